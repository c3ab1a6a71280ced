"""The trace in a real browser: a token's map, a patch's tokens, a layer, save and load, replay in the simulation."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect


def test_a_trace_is_explored_saved_loaded_and_replayed(page, open_chapter, tmp_path: Path):
    open_chapter(page, "llava")
    simulation = page.locator("#pw-simulation-llava")
    expect(simulation.locator("[data-part=replay]")).to_be_disabled()
    page.locator("#pw-trace-run").click()
    output = page.locator("#pw-trace-output")
    expect(output.locator(".pw-token").first).to_be_visible()
    expect(output.locator(".pw-answerer")).to_contain_text("Tiny LLaVA")

    second = output.locator(".pw-token").nth(1)
    second.click()
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(output.locator(".pw-trace-head")).to_contain_text("Token 2 of")
    before = output.locator(".pw-patch").first.get_attribute("fill")
    assert before.startswith("#")
    second.press("ArrowLeft")
    expect(output.locator(".pw-trace-head")).to_contain_text("Token 1 of")
    layer = output.get_by_role("button", name="1", exact=True)
    layer.click()
    expect(output.locator(".pw-trace-caption")).to_contain_text("layer 1")
    output.locator(".pw-patch[data-patch='9']").click()
    expect(output.locator(".pw-trace-patch")).to_contain_text("Patch 9:")
    output.locator(".pw-figure[data-rows]").press("ArrowRight")
    expect(output.locator(".pw-trace-patch")).to_contain_text("Patch 10:")

    with page.expect_download() as download:
        output.locator(".pw-trace-save").click()
    path = tmp_path / "trace.json"
    download.value.save_as(path)
    tokens = len(json.loads(path.read_text())["moments"][-1]["event"]["trace"]["steps"])
    assert output.locator(".pw-token").count() == tokens
    page.locator("#pw-trace-load input[type=file]").or_(
        page.locator("input[type=file][accept='.json']")
    ).first.set_input_files(path)
    expect(output.locator(".pw-recorded")).to_contain_text("Recorded")
    expect(output.locator(".pw-token")).to_have_count(tokens)

    simulation.locator("[data-part=replay]").click()
    expect(simulation.locator(".pw-forward-answer .pw-forward-box")).to_have_count(tokens)


def test_the_simulation_walks_by_keys(page, open_chapter):
    open_chapter(page, "llava")
    simulation = page.locator("#pw-simulation-llava")
    expect(simulation.locator(".pw-forward-box")).to_have_count(10)
    simulation.locator(".pw-forward").press("ArrowRight")
    expect(simulation.locator("[data-state=now]")).to_contain_text("Vision tower")
    simulation.locator("[data-part=model]").select_option("13b")
    expect(simulation.locator("[data-box=join]")).to_contain_text("[582, 5120]")
    simulation.locator("[data-box=join]").hover()
    expect(simulation.locator("[data-part=facts]")).to_contain_text("Projector [576, 5120] and Word table [6, 5120]")
    expect(simulation.locator("[data-feeds]")).to_have_count(2)
