"""On stage a recording steps in for a run that keeps the room waiting, and says so; off stage nothing is replaced."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from app import Options, build_app, launch_app

MARK = re.compile(r"Recorded on \d+ \w+ \d{4} with Tiny LLaVA.*because the live run took too long")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """An app without any patience: every live run is too slow for its stage."""
    options = Options(offline=True, device="cpu", patience=0.0)
    blocks = build_app(options)
    _, address, _ = launch_app(blocks, options, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield address
    blocks.close(verbose=False)


def ask_something_else(page: Page) -> None:
    page.get_by_role("textbox", name="Your question").fill("What colour is the ring?")


def test_a_stalled_run_on_stage_shows_the_recording_with_its_own_question(page, open_chapter):
    open_chapter(page, "llava")
    ask_something_else(page)
    page.keyboard.press("Tab")
    page.keyboard.press("p")
    expect(page.locator("#pw-tray")).to_be_hidden()
    page.locator("#pw-ask-run").click()
    output = page.locator("#pw-ask-output")
    expect(output.locator(".pw-stand-in")).to_have_text(MARK)
    expect(output.locator(".pw-stand-in")).to_contain_text("not yours: “What is in the picture?”")
    expect(output.locator(".pw-stand-in img")).to_be_visible()
    expect(output.locator(".pw-asked")).to_contain_text("What is in the picture?")
    expect(output.locator(".pw-answerer")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_off_stage_the_live_run_answers_however_long_it_takes(page, open_chapter):
    open_chapter(page, "llava")
    ask_something_else(page)
    page.locator("#pw-ask-run").click()
    output = page.locator("#pw-ask-output")
    expect(output.locator(".pw-answerer")).to_be_visible()
    expect(output.locator(".pw-asked")).to_contain_text("What colour is the ring?")
    expect(output.locator(".pw-stand-in")).to_have_count(0)


def test_a_demo_without_a_recording_goes_on_on_stage(page, open_chapter):
    open_chapter(page, "modalities")
    page.keyboard.press("p")
    page.locator("#pw-similarity-run").click()
    output = page.locator("#pw-similarity-output")
    expect(output.locator(".pw-answerer")).to_be_visible()
    expect(output.locator(".pw-stand-in")).to_have_count(0)


def test_the_first_screen_gets_its_recorded_runs_back(page, open_chapter):
    open_chapter(page)
    mark = page.locator(".pw-hero-mark")
    expect(mark).to_have_text(re.compile(r"^Recorded \d+ \w+ \d{4}$"))
    page.keyboard.press("p")
    page.keyboard.press("r")
    expect(mark).to_have_text(re.compile(r"^Recorded \d+ \w+ \d{4}, and shown because the live run took too long$"))
    expect(page.locator(".pw-hero .pw-answer")).to_be_visible()
