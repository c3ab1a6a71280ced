"""Chapters 4 and 6 in a real browser: what the simulations count, instructions answered, a training run and stopped."""

from __future__ import annotations

from playwright.sync_api import expect

SLOW = 60_000  # a busy machine needs its time for the first model


def test_instructions_and_their_loss(page, open_chapter):
    open_chapter(page, "instruction")
    simulation = page.locator("#pw-simulation-instruction")
    expect(simulation.locator("[data-part=loss]")).to_have_text("13")  # eleven words, the full stop, the end token
    simulation.get_by_role("button", name="short answer").click()
    expect(simulation.locator("[data-part=loss]")).to_have_text("2")
    simulation.get_by_label("Response").fill("a b c")
    expect(simulation.locator("[data-part=loss]")).to_have_text("4")

    page.get_by_label("Instructions, one on each line").fill("what is in the picture?\nhow many things are there?")
    page.locator("#pw-instructions-run").click()
    output = page.locator("#pw-instructions-output")
    expect(output.locator(".pw-answerer").first).to_contain_text("Tiny LLaVA", timeout=SLOW)
    expect(output.locator(".pw-answer").nth(1)).not_to_be_empty()


def test_stages_and_a_short_training(page, open_chapter):
    open_chapter(page, "training")
    simulation = page.locator("#pw-simulation-training")
    expect(simulation.locator("[data-trainable=true][data-stage-part]")).to_have_count(1)
    simulation.locator("input[value='2']").check()
    expect(simulation.locator("[data-stage-part=language]")).to_have_attribute("data-trainable", "true")
    simulation.locator("[data-part=method]").select_option("qlora")
    expect(simulation.locator("[data-stage-part=adapters]")).to_contain_text("rank 128")

    page.locator("#pw-train-run").click()
    output = page.locator("#pw-train-output")
    expect(output.locator(".pw-asked-again tbody tr")).to_have_count(5, timeout=SLOW)
    expect(output).to_contain_text("Stage 1 of 2 trains the projector only", timeout=SLOW)
    page.locator("#pw-train-stop").click()
    expect(output.locator(".pw-asked-again tbody tr")).to_have_count(5)
    expect(output.locator(".pw-is-trainable")).to_have_count(1)
