"""Each live demo in a real browser: run, stop, click a patch, a bad input that loses nothing, two readers at once."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

DEMOS = {"similarity": "modalities", "attention": "encoders", "ask": "llava"}


def run(page, demo: str):
    page.locator(f"#pw-{demo}-run").click()
    answer = page.locator(f"#pw-{demo}-output .pw-answerer")
    expect(answer).to_be_visible()
    return page.locator(f"#pw-{demo}-output")


@pytest.mark.parametrize("demo", DEMOS)
def test_a_run_says_who_answered(page, open_chapter, demo):
    open_chapter(page, DEMOS[demo])
    output = run(page, demo)
    expect(output.locator(".pw-answerer")).to_have_text(re.compile(r"Tiny .* · cpu · fp32 · \d"))
    expect(output.locator(".pw-bundled")).to_contain_text("drawn world")


def test_the_model_really_answers(page, open_chapter):
    open_chapter(page, "llava")
    expect(run(page, "ask").locator(".pw-answer")).to_contain_text(re.compile("purple fish inside .* yellow ring"))
    page.get_by_role("textbox", name="Your question").fill("What colour is the ring?")
    page.locator("#pw-ask-run").click()
    expect(page.locator("#pw-ask-output .pw-asked")).to_contain_text("ring")
    expect(page.locator("#pw-ask-output .pw-answer")).to_contain_text("yellow")


def test_a_photograph_gets_an_honest_answer(page, open_chapter):
    open_chapter(page, "llava")
    picture = page.locator("#pw-picture img")
    before = picture.get_attribute("src")
    page.locator("#pw-examples [aria-label='Photographs'] button").first.click()
    expect(picture).not_to_have_attribute("src", before)
    expect(run(page, "ask").locator(".pw-answer")).to_contain_text("only know drawn scenes")


def test_clicking_a_patch_asks_that_patch(page, open_chapter):
    open_chapter(page, "encoders")
    output = run(page, "attention")
    expect(output.locator(".pw-patch")).to_have_count(64)
    output.locator(".pw-patch[data-patch='27']").click()
    expect(output.locator("figcaption")).to_contain_text("from patch 27")
    expect(output.locator(".pw-chosen")).to_have_count(1)
    output.locator(".pw-figure").focus()
    page.keyboard.press("ArrowRight")
    expect(output.locator("figcaption")).to_contain_text("from patch 28")


def test_the_map_fades_in_the_browser(page, open_chapter):
    open_chapter(page, "encoders")
    output = run(page, "attention")
    output.locator(".pw-opacity").fill("10")
    expect(output.locator(".pw-map")).to_have_css("opacity", "0.1")


def test_relevance_follows_the_text(page, open_chapter):
    open_chapter(page, "encoders")
    page.get_by_label("Method").click()
    page.get_by_role("option", name=re.compile("Relevance")).click()
    expect(run(page, "attention").locator("figcaption")).to_contain_text("relevance for “a yellow ring”")


def test_a_bad_question_keeps_the_answer(page, open_chapter):
    open_chapter(page, "llava")
    run(page, "ask")
    page.get_by_role("textbox", name="Your question").fill("  ")
    page.locator("#pw-ask-run").click()
    expect(page.locator("#pw-ask-output .pw-problem")).to_contain_text("no question yet")
    expect(page.locator("#pw-ask-output .pw-answer")).to_contain_text("yellow ring")


def test_the_code_is_shown(page, open_chapter):
    open_chapter(page, "llava")
    page.locator(".pw-code:visible button").first.click()
    expect(page.locator(".pw-code:visible .cm-content")).to_contain_text("from_pretrained(MODEL")


def test_the_hero_runs_live(page, open_chapter):
    open_chapter(page)
    expect(page.locator(".pw-hero-mark")).to_contain_text("Recorded")
    page.locator("#pw-hero-run").click()
    expect(page.locator(".pw-hero-mark")).to_have_text("Live, just now")
    expect(page.locator(".pw-hero-ask .pw-answer")).to_contain_text("yellow ring")


def test_two_readers_at_once(page, phone, open_chapter):
    for reader, words in ((page, "What colour is the ring?"), (phone, "How many objects are there?")):
        open_chapter(reader, "llava")
        reader.get_by_role("textbox", name="Your question").fill(words)
    page.locator("#pw-ask-run").click()
    phone.locator("#pw-ask-run").click()
    expect(page.locator("#pw-ask-output .pw-answerer")).to_be_visible()
    expect(phone.locator("#pw-ask-output .pw-answerer")).to_be_visible()
    expect(page.locator("#pw-ask-output .pw-answer")).to_contain_text("yellow")
    expect(phone.locator("#pw-ask-output .pw-answer")).to_contain_text("3")
