"""Chapter 9 in a real browser: the radar by pointer, keys and touch, and the bill of a clip."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

SLOW = 30_000
SCORES = "rows => rows.map(row => row.textContent).sort()"


@pytest.fixture
def radar(page, open_chapter) -> Locator:
    return open_radar(page, open_chapter)


def open_radar(page: Page, open_chapter) -> Locator:
    open_chapter(page, "frontier")
    radar = page.locator("#pw-simulation-frontier")
    expect(radar.locator("tbody tr")).to_have_count(7, timeout=SLOW)
    return radar


def read_areas(radar: Locator) -> list[float]:
    """The areas that are told, in percent, in the order of the chosen models."""
    words = radar.locator("[data-part='areas']").inner_text()
    return [float(share) for share in re.findall(r"area ([\d.]+) %", words)]


def test_the_order_changes_the_areas_and_no_number(radar):
    scores = radar.locator("tbody tr").evaluate_all(SCORES)
    picture = radar.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    favour = radar.get_by_role("button", name="Arrange in its favour")
    favour.nth(0).click()
    first, second = read_areas(radar)
    assert first > second
    favour.nth(1).click()
    first, second = read_areas(radar)
    assert first < second
    assert radar.locator("canvas").evaluate("canvas => canvas.toDataURL()") != picture
    assert radar.locator("tbody tr").evaluate_all(SCORES) == scores


def test_spokes_move_by_keys_and_the_focus_goes_with_them(radar):
    names = radar.locator("[data-part='axes'] li")
    radar.get_by_role("button", name="Move MMMU later").press("Enter")
    expect(names.nth(1)).to_contain_text("MMMU")
    button = radar.get_by_role("button", name="Move MMMU later")
    expect(button).to_be_focused()
    button.press("Enter")
    expect(names.nth(2)).to_contain_text("MMMU")
    expect(radar.locator("tbody th").nth(2)).to_contain_text("MMMU")
    radar.get_by_role("button", name="first order").click()
    expect(names.first).to_contain_text("MMMU")


def test_two_to_four_models_and_three_spokes_at_least(radar):
    told = radar.locator("[data-part='told']")
    models = radar.locator("[data-part='models']")
    models.get_by_text("GPT-4o (May)").click()
    expect(models.locator("[aria-pressed='true']")).to_have_count(4)
    models.get_by_text("SmolVLM2-2.2B").click()
    expect(told).to_contain_text("Four are enough")
    for name in ("GPT-4o (May)", "LLaVA-1.5-7B", "Qwen2-VL-7B"):
        models.get_by_text(name).click()
    expect(told).to_contain_text("needs two models")
    expect(models.locator("[aria-pressed='true']")).to_have_count(2)
    for name in ("MMMU", "MathVista", "DocVQA", "ChartQA", "OCRBench"):
        radar.get_by_role("checkbox", name=name).click()
    expect(told).to_contain_text("needs three spokes")
    expect(radar.locator("tbody tr")).to_have_count(3)


def test_what_is_missing_stays_missing(radar):
    areas = radar.locator("[data-part='areas'] li")
    expect(areas.nth(2)).to_contain_text("no area: 4 of 7 missing")
    expect(areas.nth(2).get_by_role("button")).to_have_count(0)
    radar.get_by_label("Whose numbers").select_option("independent")
    expect(areas.nth(1)).to_contain_text("no area: 7 of 7 missing")
    expect(radar.locator("tbody i").first).to_have_text("missing")


def test_the_scale_the_bill_and_their_questions(page, radar):
    before = read_areas(radar)
    low = radar.locator("[data-name='low']")
    low.fill("50")
    assert max(read_areas(radar)) < min(before)
    question = page.locator("#pw-quiz-frontier [data-question='scale']")
    question.locator("[data-from='state']").click()
    expect(question.locator(".pw-asked-question")).to_contain_text("from 50 at the centre")
    expect(question.locator("li[data-correct='true'] button")).to_have_text("21.2 % of the way")
    radar.locator("[data-name='seconds']").fill("10")
    bill = radar.locator("[data-part='bill']")
    for tokens in ("640 tokens", "2,630 tokens", "2,990 tokens"):
        expect(bill).to_contain_text(tokens)
    expect(radar.locator("[data-part='cost']")).to_contain_text("300 in this clip")


def test_on_a_phone_nothing_is_wider_than_the_page(phone, open_chapter):
    radar = open_radar(phone, open_chapter)
    radar.locator("[data-part='models']").get_by_text("GPT-4o (May)").tap()
    expect(radar.locator("[data-part='areas'] li")).to_have_count(4)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    expect(radar.locator("tbody td").first).to_have_css("display", "block")
