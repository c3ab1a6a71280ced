"""Chapters 2 and 3 as a reader meets them: turn, climb, choose a way in, read a patch, run the live panels."""

from __future__ import annotations

import re

from playwright.sync_api import expect

PATIENCE = 60_000


def read(page, chapter: str, part: str):
    return page.locator(f"#pw-simulation-{chapter} [data-part='{part}']")


def run(page, demo: str):
    page.locator(f"#pw-{demo}-run").click()
    output = page.locator(f"#pw-{demo}-output")
    expect(output.locator(".pw-answerer")).to_be_visible(timeout=PATIENCE)
    return output


def test_turning_by_slider_key_and_steps(page, open_chapter):
    open_chapter(page, "bridge")
    score = read(page, "bridge", "score")
    expect(score).to_have_text("-0.467")
    page.locator("#pw-simulation-bridge [data-name='angle']").fill("138")
    expect(read(page, "bridge", "right")).to_have_text("6 of 6")
    read(page, "bridge", "plane").press("ArrowLeft")
    expect(page.locator("#pw-simulation-bridge [data-of='angle']")).to_have_text("141°")
    read(page, "bridge", "wrong").check()
    read(page, "bridge", "climb").click()
    expect(read(page, "bridge", "say")).to_contain_text("steps from 141°", timeout=PATIENCE)
    expect(score).to_have_text(re.compile("0.450"), timeout=PATIENCE)


def test_a_patch_is_read_everywhere_without_another_run(page, open_chapter):
    open_chapter(page, "bridge")
    output = run(page, "bridge")
    expect(output).to_contain_text("Do not trust the words")
    output.locator(".pw-grid-cell[data-patch='20']").click()
    expect(output.locator("[data-cell='number']")).to_have_text("21")
    output.locator(".pw-figure").press("ArrowDown")
    expect(output.locator("[data-cell='number']")).to_have_text("29")
    output.get_by_role("button", name="after the bridge").click()
    expect(output.locator("tr[aria-current='true']")).to_contain_text("after the bridge")
    output.get_by_role("button", name="control: shuffled").click()
    expect(output.locator(".pw-words[data-what='control']:visible")).to_have_count(1)
    expect(output.locator(".pw-part").first).to_contain_text("Bridge switched off")


def test_ways_in_change_the_row(page, open_chapter):
    open_chapter(page, "fusion")
    row = read(page, "fusion", "row-length")
    expect(row).to_have_text("640")
    page.get_by_role("radio", name="Resampled").check()
    expect(row).to_have_text("128")
    page.get_by_role("radio", name="Cross-attention").check()
    expect(row).to_have_text("64")
    page.locator("#pw-simulation-fusion [data-name='text']").fill("100")
    expect(row).to_have_text("100")


def test_four_modules_answer(page, open_chapter):
    open_chapter(page, "fusion")
    output = run(page, "fusion")
    expect(output.locator(".pw-way-in")).to_have_count(4)
    expect(output.locator(".pw-said")).to_have_text([re.compile(r"\w")] * 4)
    expect(output).to_contain_text("right just now")


# Boxes that hold something wider than themselves; what scrolls sideways is a box of its own.
LIST_BURST = """() => [...document.querySelectorAll('#pw-main :is(.pw-panel, section, article, figure)')]
  .filter((box) => box.offsetParent && box.scrollWidth > box.clientWidth + 1)
  .map((box) => box.className || box.tagName)"""


def test_both_chapters_hold_on_a_phone_after_a_run(phone, open_chapter):
    for chapter in ("bridge", "fusion"):
        open_chapter(phone, chapter)
        run(phone, chapter)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        assert phone.evaluate(LIST_BURST) == []
