"""On stage: what the canvases, the citations and the notes say is large enough for the last row, and whole."""

from __future__ import annotations

from itertools import combinations

import pytest
from playwright.sync_api import Page, expect

LEAST = 16

# Every word drawn on a canvas since it was last cleared, as it stands on the screen, in CSS pixels.
RECORD = """
const kept = new WeakMap();
const pen = CanvasRenderingContext2D.prototype;
const {fillText, clearRect} = pen;
pen.clearRect = function (...box) { kept.set(this.canvas, []); clearRect.apply(this, box); };
pen.fillText = function (words, x, y, most = Infinity) {
  fillText.call(this, words, x, y, ...(most < Infinity ? [most] : []));
  if (!this.globalAlpha) return;
  const {canvas} = this;
  const size = this.measureText(words);
  const by = this.getTransform().a * canvas.clientWidth / canvas.width;
  const [left, right] = [x - size.actualBoundingBoxLeft, x + size.actualBoundingBoxRight];
  const [top, bottom] = [y - size.actualBoundingBoxAscent, y + size.actualBoundingBoxDescent];
  const type = Number(this.font.match(/([\\d.]+)px/)[1]) * by;
  const box = [left, top, right, bottom].map((edge) => edge * by);
  const known = kept.get(canvas) ?? kept.set(canvas, []).get(canvas);
  known.push({words, type, box, squeezed: size.width > most + 0.5});
};
window.listCanvases = () => [...document.querySelectorAll(".pw-sim canvas")]
  .filter((canvas) => canvas.offsetParent && kept.get(canvas)?.length)
  .map((canvas) => ({words: kept.get(canvas), width: canvas.clientWidth, height: canvas.clientHeight}));
"""


def do_nothing(page: Page) -> None:
    pass


def read_back(page: Page) -> None:
    page.get_by_role("button", name="Back", exact=True).click()


def find_region(page: Page) -> None:
    page.get_by_role("button", name="Find the first region").click()


def listen_across(page: Page) -> None:
    page.get_by_label("Cross-attention").check()
    page.evaluate("document.activeElement.blur()")  # the keys are the field's while it has the focus


CHAPTERS = [
    ("modalities", do_nothing),
    ("bridge", do_nothing),
    ("fusion", do_nothing),
    ("fusion", listen_across),
    ("grounding", read_back),
    ("documents", find_region),
    ("frontier", do_nothing),
]


def list_canvases(page: Page) -> list[dict]:
    page.wait_for_function("listCanvases().length > 0")
    page.wait_for_timeout(500)
    return page.evaluate("listCanvases()")


def touch(first: list[float], second: list[float]) -> bool:
    """Whether two boxes (left, top, right, bottom) share more than a pixel."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    return across > 1 and down > 1


def check_whole(canvas: dict) -> None:
    """No word is cut off, squeezed, or written over another."""
    for word in canvas["words"]:
        left, top, right, bottom = word["box"]
        assert left >= -1 and top >= -1 and right <= canvas["width"] + 1 and bottom <= canvas["height"] + 1, word
        assert not word["squeezed"], word
    for one, other in combinations(canvas["words"], 2):
        assert not touch(one["box"], other["box"]), (one, other)


@pytest.mark.parametrize("width", [1280, 1920])
@pytest.mark.parametrize(("chapter", "act"), CHAPTERS)
def test_words_on_canvases_are_large_and_whole_on_stage(page, open_chapter, width, chapter, act):
    page.set_viewport_size({"width": width, "height": 800})
    page.add_init_script(RECORD)
    open_chapter(page, chapter)
    act(page)
    before = list_canvases(page)
    page.keyboard.press("p")
    expect(page.locator("html")).to_have_class("pw-presenting")
    for canvas in list_canvases(page):
        assert min(word["type"] for word in canvas["words"]) >= LEAST
        check_whole(canvas)
    page.keyboard.press("Escape")
    assert list_canvases(page) == before


LIST_SMALL = """least => [...document.querySelectorAll('#pw-main *')].filter((element) =>
  element.offsetParent && !element.closest('svg, .katex, .pw-cite') &&
  [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()) &&
  parseFloat(getComputedStyle(element).fontSize) < least
).map((element) => `${element.className || element.tagName}: ${element.textContent.trim().slice(0, 40)}`)"""


@pytest.mark.parametrize(
    ("chapter", "demo"),
    [
        ("modalities", "similarity"),
        ("encoders", "attention"),
        ("bridge", "bridge"),
        ("fusion", "fusion"),
        ("instruction", "instructions"),
        ("llava", "trace"),
        ("grounding", "ground"),
        ("documents", "document"),
        ("frontier", "look"),
    ],
)
def test_on_stage_a_finished_run_can_be_read_from_the_last_row(page, open_chapter, chapter, demo):
    open_chapter(page, chapter)
    page.locator(f"#pw-{demo}-run").click()
    expect(page.locator(f"#pw-{demo}-output .pw-answerer").first).to_be_visible(timeout=120_000)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("p")
    expect(page.locator("html")).to_have_class("pw-presenting")
    page.wait_for_timeout(500)  # sizes of buttons change gradually
    assert page.evaluate(LIST_SMALL, 16) == []


def test_citations_and_notes_on_stage(page, open_chapter):
    open_chapter(page, "fusion")
    page.keyboard.press("p")
    read_size = "element => parseFloat(getComputedStyle(element).fontSize)"
    assert page.locator(".pw-cite:visible").first.evaluate(read_size) >= 14
    assert page.locator(".pw-notes li:visible").first.evaluate(read_size) >= 18
