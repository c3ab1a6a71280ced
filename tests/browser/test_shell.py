"""The frame of the page, as a visitor, a reader on a phone and a presenter meet it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

IDS = [
    "modalities",
    "encoders",
    "bridge",
    "fusion",
    "instruction",
    "llava",
    "training",
    "grounding",
    "documents",
    "frontier",
]


def visible_title(page: Page):
    return page.locator("#pw-chapters .pw-title:visible h2")


def take_picture_away(page: Page) -> None:
    expect(page.locator("#pw-picture img")).to_be_visible()
    page.get_by_role("button", name="Remove Image").or_(page.get_by_label("Clear")).first.click()
    expect(page.locator("#pw-picture img")).to_have_count(0)


def test_every_tab_opens_and_writes_its_address(page, open_chapter):
    open_chapter(page)
    titles = set()
    for number, chapter in enumerate(IDS):
        page.get_by_role("tab", name=re.compile(f"^{number} ")).click()
        expect(page).to_have_url(re.compile(f"chapter={chapter}"))
        expect(page.locator(f"#pw-chapter-{chapter} .pw-number")).to_have_text(f"Chapter {number}")
        titles.add(visible_title(page).inner_text())
    assert len(titles) == 10


def test_address_opens_its_chapter(page, open_chapter):
    open_chapter(page, "fusion")
    expect(visible_title(page)).to_have_text("Fusion strategies")
    expect(page.get_by_role("tab", selected=True)).to_have_text("3 Fusion")


CHOOSE_EARLY = """new MutationObserver((changes, observer) => {
  const tab = document.querySelectorAll('#pw-chapters [role=tab]')[5];
  if (!tab) return;
  observer.disconnect();
  tab.click();
}).observe(document, {subtree: true, childList: true});"""


def test_a_reader_quicker_than_the_address_is_not_moved_back(page, url):
    page.add_init_script(CHOOSE_EARLY)
    page.goto(url + "?chapter=fusion")
    page.wait_for_function("window.PATCHWORK?.started === true")
    expect(visible_title(page)).to_have_text("The LLaVA architecture")
    expect(page.get_by_role("tab", selected=True)).to_have_text("5 LLaVA")


def test_unknown_chapter_opens_the_first(page, open_chapter):
    open_chapter(page, "nowhere")
    expect(visible_title(page)).to_have_text("Two modalities, one model")


def test_header_says_offline(page, open_chapter):
    open_chapter(page)
    expect(page.locator(".pw-status")).to_contain_text("offline")


@pytest.mark.parametrize(("theme", "is_dark"), [("light", False), ("dark", True)])
def test_theme_changes_paper_and_ink(page, open_chapter, theme, is_dark):
    open_chapter(page, __theme=theme)
    paper, ink = page.evaluate(
        "() => { const s = getComputedStyle(document.querySelector('.pw-title h2')); "
        "return [getComputedStyle(document.body).backgroundColor, s.color].map(c => "
        "c.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3) }"
    )
    assert (paper < 60 and ink > 190) if is_dark else (paper > 230 and ink < 60)


@pytest.mark.parametrize("chapter", IDS)
def test_no_sideways_scroll_on_a_phone(phone, open_chapter, chapter):
    open_chapter(phone, chapter)
    expect(phone.get_by_role("tab", selected=True)).to_be_in_viewport()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_long_names_of_programs_break_on_a_phone(phone, open_chapter):
    open_chapter(phone, "documents")
    code = phone.locator("code", has_text="patchwork bench --only documents")
    expect(code).to_be_attached()
    box = code.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390


def test_fields_and_lists_have_an_edge_that_is_seen(page, open_chapter):
    open_chapter(page, "encoders")
    read_edge = (
        "field => { const {borderWidth, borderColor} = getComputedStyle(field); return [borderWidth, borderColor]; }"
    )
    seen = [
        page.get_by_label("Text for relevance").evaluate(read_edge),
        page.locator("#pw-attention-card .wrap:has(> .wrap-inner)").evaluate(read_edge),
    ]
    assert seen == [["1px", "rgb(143, 134, 118)"]] * 2


@pytest.mark.parametrize("width", [600, 1024, 1100, 1920])
def test_no_sideways_scroll_at_other_widths(page, open_chapter, width):
    page.set_viewport_size({"width": width, "height": 900})
    open_chapter(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_picture_and_question_stay_while_chapters_change(page, open_chapter):
    open_chapter(page)
    question = page.get_by_role("textbox", name="Your question")
    question.fill("How many circles are there?")
    page.get_by_role("tab", name=re.compile("^7 ")).click()
    expect(visible_title(page)).to_have_text("Grounding and spatial understanding")
    expect(question).to_have_value("How many circles are there?")
    expect(question).to_be_visible()


def test_example_becomes_the_picture(page, open_chapter):
    open_chapter(page)
    picture = page.locator("#pw-picture img")
    before = picture.get_attribute("src")
    page.get_by_role("button", name=re.compile("^Use the example")).nth(1).click()
    expect(picture).not_to_have_attribute("src", before)
    expect(picture).to_have_attribute("alt", re.compile("."))


def test_broken_picture_is_explained(page, open_chapter, tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"nothing" * 20)
    open_chapter(page)
    take_picture_away(page)
    page.locator("#pw-picture input[type=file]").set_input_files(broken)
    expect(page.locator(".toast-body")).to_be_visible()
    expect(page.locator("#pw-picture img")).to_have_count(0)


def test_own_picture_stays(page, open_chapter, tmp_path: Path):
    own = tmp_path / "own.png"
    Image.new("RGB", (320, 200), (200, 40, 40)).save(own)
    open_chapter(page)
    take_picture_away(page)
    with page.expect_response(lambda response: "queue/join" in response.url):
        page.locator("#pw-picture input[type=file]").set_input_files(own)
    page.wait_for_timeout(1500)  # long enough for the check, which would take the picture away
    expect(page.locator("#pw-picture img")).to_have_attribute("src", re.compile("own"))
    expect(page.locator(".toast-body")).to_have_count(0)


def test_two_readers_do_not_see_each_other(page, phone, open_chapter):
    open_chapter(page)
    open_chapter(phone)
    page.get_by_role("textbox", name="Your question").fill("Mine alone")
    expect(phone.get_by_role("textbox", name="Your question")).not_to_have_value("Mine alone")


def test_presenter_keys(page, open_chapter):
    open_chapter(page)
    page.keyboard.press("ArrowRight")
    expect(visible_title(page)).to_have_text("Two modalities, one model")
    page.keyboard.press("p")
    expect(page.locator("#pw-tray")).to_be_hidden()
    expect(page.locator(".pw-clock")).to_have_text(re.compile(r"\d\d:\d\d"))
    page.keyboard.press("ArrowRight")
    expect(visible_title(page)).to_have_text("Vision encoders")
    page.keyboard.press("9")
    expect(visible_title(page)).to_have_text("Frontier VLMs")
    expect(page.locator(".pw-where span:visible")).to_have_text("9 · Frontier VLMs")
    page.keyboard.press("ArrowLeft")
    expect(visible_title(page)).to_have_text("Document understanding")
    page.keyboard.press("Escape")
    expect(page.locator("#pw-tray")).to_be_visible()


def test_presenter_keys_work_from_a_slider_and_a_choice_but_its_arrows_are_its_own(page, open_chapter):
    open_chapter(page, "documents")
    page.keyboard.press("p")
    tiles = page.get_by_role("slider", name="At most so many tiles").first
    tiles.focus()
    before = tiles.input_value()
    page.keyboard.press("ArrowLeft")
    expect(tiles).not_to_have_value(before)
    expect(visible_title(page)).to_have_text("Document understanding")
    page.keyboard.press("7")
    expect(visible_title(page)).to_have_text("Grounding and spatial understanding")
    page.keyboard.press("8")
    page.get_by_role("checkbox", name="Read only the tiles that matter").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#pw-tray")).to_be_visible()


def test_arrows_move_along_the_tab_bar(page, open_chapter):
    open_chapter(page, "fusion")
    page.get_by_role("tab", name=re.compile("^3 ")).focus()
    page.keyboard.press("ArrowRight")
    expect(visible_title(page)).to_have_text("Visual instruction tuning")
    expect(page.get_by_role("tab", name=re.compile("^4 "))).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(visible_title(page)).to_have_text("Fusion strategies")


def test_keys_typed_into_the_question_stay_there(page, open_chapter):
    open_chapter(page)
    question = page.get_by_role("textbox", name="Your question")
    question.fill("")
    question.press_sequentially("p 3 r")
    expect(question).to_have_value("p 3 r")
    expect(page.locator("#pw-tray")).to_be_visible()
    expect(visible_title(page)).to_have_text("Two modalities, one model")
