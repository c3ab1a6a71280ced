"""Chapter 7 in a real browser: the simulation by pointer and keys, the live panel with the reader's own box."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

SLOW = 60_000


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """What the first run of a model would import, so that no test waits for that."""
    from transformers import AutoProcessor, LlavaForConditionalGeneration  # noqa: F401


def drag(canvas, start, end) -> None:
    """From one share of the canvas to another; Playwright waits until the canvas stands still."""
    bounds = canvas.bounding_box()
    places = [{"x": bounds["width"] * x, "y": bounds["height"] * y} for x, y in (start, end)]
    canvas.drag_to(canvas, source_position=places[0], target_position=places[1])


def test_one_box_in_every_convention(page, open_chapter):
    open_chapter(page, "grounding")
    sim = page.locator(".pw-coords")
    where = sim.locator("[data-part='where']")
    expect(where).to_contain_text("512 × 512 px", timeout=SLOW)
    before = where.inner_text()
    sim.locator("canvas[data-part='picture']").focus()
    page.keyboard.press("ArrowRight")
    expect(where).not_to_have_text(before)
    sim.locator("select[data-part='route']").select_option("paligemma")
    sim.locator("[data-part='steps'] button").last.click()
    expect(sim.locator("[data-part='say']")).to_contain_text("Read back")
    sim.locator("select[data-part='reading']").select_option("swapped")
    expect(sim.locator("[data-part='say']")).to_contain_text("its reader was wrong")
    sim.locator("tr[data-name='kosmos2']").click()
    expect(sim.locator("[data-part='text']")).to_have_text(re.compile(r"<patch_index_\d{4}><patch_index_\d{4}>"))


def test_the_overlap_follows_the_readers_box_without_the_model(page, open_chapter):
    open_chapter(page, "grounding")
    pad, output = page.locator("#pw-ground-pad canvas"), page.locator("#pw-ground-output")
    expect(page.locator(".pw-coords [data-part='where']")).to_contain_text("512 × 512 px", timeout=SLOW)
    region = page.locator("#pw-ground-region textarea, #pw-ground-region input")
    pad.focus()
    page.keyboard.press("ArrowRight")
    expect(region).to_have_value(re.compile(r"\d+, \d+, \d+, \d+"), timeout=SLOW)
    page.locator("#pw-ground-run").click()
    expect(output.locator(".pw-answerer")).to_be_visible(timeout=SLOW)
    overlap = output.locator(".pw-overlap").first
    expect(overlap).to_have_text(re.compile(r"\d\.\d\d"))
    before = overlap.inner_text()
    drag(pad, (0.2, 0.1), (0.3, 0.2))
    expect(overlap).not_to_have_text(before)


def test_what_is_in_my_box(page, open_chapter):
    open_chapter(page, "grounding")
    page.get_by_label("Say what is in my box").check()
    page.locator("#pw-ground-run").click()
    expect(page.locator("#pw-ground-output .pw-problem")).to_contain_text("no box yet", timeout=SLOW)
    page.locator("#pw-ground-region textarea, #pw-ground-region input").fill("280, 140, 480, 330")
    page.locator("#pw-ground-run").click()
    expect(page.locator("#pw-ground-output .pw-answer")).not_to_be_empty(timeout=SLOW)
    expect(page.locator("#pw-ground-output .pw-asked")).to_contain_text("What is in the box")
