"""Simulations and quizzes of chapters 0 and 1 as a reader uses them: by pointer, by keyboard, on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from patchwork.ui.chapter import CONTENTS
from tests.browser.conftest import open_page, wait_until_open

# Sets a slider and reads a number in the same task: nothing may wait for a server or even for the next frame.
SLIDE = """([slider, name, value]) => {
  const root = document.querySelector(slider).closest('.pw-sim');
  const input = document.querySelector(slider);
  input.value = value;
  input.dispatchEvent(new Event('input', {bubbles: true}));
  return root.querySelector(`[data-part=${name}]`).textContent;
}"""


def part(page: Page, chapter: str, name: str) -> Locator:
    return page.locator(f"#pw-simulation-{chapter} [data-part={name}]")


def slider(page: Page, chapter: str, name: str) -> Locator:
    return page.locator(f"#pw-simulation-{chapter} [data-name={name}]")


def slide(page: Page, chapter: str, name: str, value: str, shown: str) -> str:
    return page.evaluate(SLIDE, [f"#pw-simulation-{chapter} [data-name={name}]", shown, value])


def read_canvas(page: Page, chapter: str, name: str) -> str:
    return part(page, chapter, name).evaluate("canvas => canvas.toDataURL()")


def test_merging_counts_moves_and_stops(page, open_chapter):
    open_chapter(page, "modalities")
    expect(part(page, "modalities", "total")).to_have_text("42")
    assert slide(page, "modalities", "grid", "24", "patches") == "576"
    part(page, "modalities", "sentence").fill("Two dogs, one cat!")
    expect(part(page, "modalities", "words")).to_have_text("6")
    expect(part(page, "modalities", "total")).to_have_text("582")
    expect(part(page, "modalities", "squared")).to_have_text("338,724")
    before = read_canvas(page, "modalities", "stage")
    slide(page, "modalities", "time", "0.9", "say")
    expect(part(page, "modalities", "say")).to_contain_text("[582, 4096]")
    expect(part(page, "modalities", "steps").locator("[aria-current]")).to_have_text("Join")
    assert read_canvas(page, "modalities", "stage") != before
    slider(page, "modalities", "speed").select_option("2")
    play = part(page, "modalities", "play")
    play.click()
    expect(play).to_have_text("Play again")
    play.click()
    expect(play).to_have_text("Pause")
    play.click()
    expect(play).to_have_text("Play")


def test_merging_steps_for_those_who_want_less_motion(browser, url):
    with open_page(browser, url, reduced_motion="reduce") as page:
        page.goto(url + "?chapter=modalities")
        wait_until_open(page, "modalities")
        play, steps = part(page, "modalities", "play"), part(page, "modalities", "steps").locator("[aria-current]")
        expect(play).to_have_text("Next step")
        for name in ("Cut", "Describe", "Translate", "Join"):
            play.press("Enter")
            expect(steps).to_have_text(name)


def test_patchify_answers_every_control_at_once(page, open_chapter):
    open_chapter(page, "encoders")
    expect(part(page, "encoders", "patches")).to_have_text("256")
    assert slide(page, "encoders", "side", "336", "patches") == "576"
    expect(part(page, "encoders", "pairs")).to_have_text("332,929")
    before = read_canvas(page, "encoders", "picture")
    assert slide(page, "encoders", "patch", "28", "grid") == "12 × 12"
    assert read_canvas(page, "encoders", "picture") != before
    expect(part(page, "encoders", "pairs")).to_have_text("21,025")
    page.get_by_label("CLS token").uncheck()
    expect(part(page, "encoders", "pairs")).to_have_text("20,736")
    assert "no whole patch" in slide(page, "encoders", "patch", "32", "left")
    slide(page, "encoders", "patch", "28", "left")
    picture = part(page, "encoders", "picture")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] * 0.99, "y": box["height"] * 0.99})
    expect(part(page, "encoders", "chosen")).to_contain_text("Patch 144: line 12, column 12")
    picture.press("ArrowUp")
    expect(part(page, "encoders", "chosen")).to_contain_text("Patch 132: line 11, column 12")
    picture.press("ArrowLeft")
    expect(part(page, "encoders", "chosen")).to_contain_text("Patch 131:")


def test_patchify_cuts_the_readers_own_picture(page, open_chapter):
    open_chapter(page, "encoders")
    expect(part(page, "encoders", "caption")).to_contain_text("of 256")
    before = read_canvas(page, "encoders", "row")
    page.get_by_role("button", name=re.compile("^Use the example")).nth(2).click()
    page.wait_for_function(
        "before => document.querySelector('#pw-simulation-encoders [data-part=row]').toDataURL() !== before", arg=before
    )


def test_both_simulations_by_keyboard_alone(page, open_chapter):
    open_chapter(page, "encoders")
    slider(page, "encoders", "patch").focus()
    page.keyboard.press("ArrowRight")
    expect(part(page, "encoders", "grid")).to_have_text("14 × 14")
    expect(slider(page, "encoders", "patch")).to_have_attribute("aria-valuetext", "16 px")
    page.keyboard.press("Tab")
    expect(slider(page, "encoders", "side")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(part(page, "encoders", "grid")).to_have_text("15 × 15")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(part(page, "encoders", "pairs")).to_have_text("50,625")
    page.keyboard.press("Tab")
    expect(part(page, "encoders", "picture")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(part(page, "encoders", "chosen")).to_contain_text("line 2, column 1")
    page.get_by_role("tab", name=re.compile("^0 ")).focus()
    page.keyboard.press("Enter")
    part(page, "modalities", "play").focus()
    page.keyboard.press("Enter")
    expect(part(page, "modalities", "play")).to_have_text("Pause")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    expect(part(page, "modalities", "play")).to_have_text("Play again")


def test_a_quiz_explains_scores_and_remembers(page, open_chapter):
    open_chapter(page, "encoders")
    quiz = page.locator("#pw-quiz-encoders")
    first = quiz.locator("[data-question=first]")
    right, wrong = first.locator("li[data-correct=true]"), first.locator("li[data-correct=false]").first
    wrong.locator("button").press("Enter")
    expect(wrong.locator(".pw-why")).to_be_visible()
    expect(right.locator(".pw-why")).to_be_hidden()
    expect(quiz.locator(".pw-quiz-score")).to_contain_text("0 of 1 right at the first try")
    right.locator("button").press("Enter")
    expect(first.locator(".pw-why:visible")).to_have_count(4)
    expect(right.locator("button")).to_be_disabled()
    page.reload()
    wait_until_open(page, "encoders")
    expect(first.locator(".pw-why:visible")).to_have_count(4)
    expect(quiz.locator(".pw-quiz-score")).to_contain_text("0 of 1 right at the first try")


def test_a_question_takes_the_simulations_numbers(page, open_chapter):
    open_chapter(page, "encoders")
    question = page.locator("#pw-quiz-encoders [data-question=tokens]")
    asked = question.locator(".pw-asked-question")
    expect(asked).to_contain_text("14 px on a picture of 224 × 224")
    slide(page, "encoders", "side", "448", "patches")
    slide(page, "encoders", "patch", "28", "patches")
    question.locator("[data-from=state]").click()
    expect(asked).to_contain_text("28 px on a picture of 448 × 448")
    expect(question.locator("li[data-correct=true] button")).to_have_text("256")
    question.locator("li[data-correct=true] button").click()
    expect(question.locator("li[data-correct=true] .pw-why")).to_contain_text("16 × 16 = 256")
    question.locator("[data-from=random]").click()
    expect(asked).not_to_contain_text("28 px on a picture of 448")
    expect(question.locator(".pw-why:visible")).to_have_count(0)
    expect(question.locator("li[data-correct=true]")).to_have_count(1)


def test_sources_terms_and_the_way_on(page, open_chapter):
    open_chapter(page, "encoders")
    lesson = page.locator("#pw-lesson-encoders")
    cite = lesson.locator(".pw-cite a").first
    assert "2021" in cite.get_attribute("title")
    assert lesson.locator(cite.get_attribute("href")).count() == 1
    lesson.locator(".pw-way a").first.click()
    expect(page.locator("#pw-chapter-modalities .pw-title")).to_be_visible()


def test_live_maps_side_by_side_and_their_honesty(page, open_chapter):
    open_chapter(page, "encoders")
    page.get_by_label("Method").click()
    page.get_by_role("option", name=re.compile("PCA")).click()
    page.get_by_label("Beside it, for “Attention”").click()
    page.get_by_role("option", name="Tiny CLIP (bundled)").last.click()
    page.locator("#pw-attention-run").click()
    output = page.locator("#pw-attention-output")
    expect(output.locator(".pw-answerer")).to_have_count(2, timeout=90_000)
    expect(output.locator(".pw-figure")).to_have_count(2)
    expect(output).to_contain_text("Variance shown")
    page.locator("#pw-honesty-run").click()
    honesty = page.locator("#pw-honesty-output")
    expect(honesty.locator(".pw-verdict")).to_be_visible(timeout=90_000)
    expect(honesty).to_contain_text("Control: random weights")
    expect(honesty.locator("polyline")).to_have_count(8)


def test_patches_and_words_point_at_each_other_on_a_phone(phone, open_chapter):
    open_chapter(phone, "modalities")
    phone.locator("#pw-similarity-run").click()
    output = phone.locator("#pw-similarity-output")
    expect(output.locator(".pw-answerer")).to_be_visible(timeout=90_000)
    output.locator(".pw-point-patch[data-patch='9']").first.dispatch_event("pointerover", {"bubbles": True})
    expect(output.locator(".pw-linked-say")).to_contain_text("patch 9, nearest text:")
    expect(output.locator(".pw-spot.pw-here")).to_have_attribute("data-patch", "9")
    output.locator("[data-linked]").focus()
    phone.keyboard.press("ArrowRight")
    expect(output.locator(".pw-linked-say")).to_contain_text("patch 10,")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("entry", CONTENTS, ids=lambda entry: entry.id)
def test_a_simulation_fills_its_card_and_nothing_sticks_out(page, open_chapter, entry):
    open_chapter(page, entry.id)
    card = page.locator(f"#pw-simulation-{entry.id} .pw-sim")
    expect(card).to_be_visible()
    assert card.evaluate("one => one.scrollWidth <= one.clientWidth + 1")
    assert card.evaluate("one => one.offsetWidth > 0.98 * one.parentElement.clientWidth")
