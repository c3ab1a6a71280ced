"""“Does it look?” and “Measure it yourself” in a real browser, in a tab of their own: run, watched, stopped, narrow."""

from __future__ import annotations

import gradio as gr
import pytest
from playwright.sync_api import expect

from app import Options, build_app, launch_app
from demos import look, measure
from patchwork.ui import chapter
from tests.browser.conftest import open_page, wait_until_open

SLOW = 240_000  # a busy machine needs its time for dozens of answers


def fill_tab(entry, lesson, page, demos) -> None:
    """The two panels, whatever the lessons hold."""
    gr.HTML(f'<div class="pw-title">{entry.title}</div>')
    if entry.id == "frontier":
        look.build(page)
        measure.build(page)


@pytest.fixture(scope="module")
def address():
    options = Options(offline=True, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chapter, "fill_tab", fill_tab)
        blocks = build_app(options)
    _, url, _ = launch_app(blocks, options, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield url
    blocks.close(verbose=False)


@pytest.fixture
def panels(browser, address):
    with open_page(browser, address) as page:
        page.goto(f"{address}?chapter=frontier")
        wait_until_open(page, "frontier")
        yield page


def fits(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_three_pictures_and_the_yeses(panels):
    panels.get_by_label("number input for “Is there a …?” questions").fill("4")
    panels.locator("#pw-look-run").click()
    output = panels.locator("#pw-look-output")
    expect(output.locator(".pw-sight")).to_have_count(3, timeout=SLOW)
    expect(output.locator(".pw-yes-row")).to_have_count(3, timeout=SLOW)
    expect(output.locator(".pw-answerer")).to_contain_text("Tiny LLaVA", timeout=SLOW)
    expect(output.locator("[data-sight=blank] .pw-answer")).not_to_be_empty()
    expect(output.locator("[data-part=accuracy]")).to_contain_text("of 4 answers are right")
    output.locator("summary").click()
    expect(output.locator(".pw-all-polls tbody tr")).to_have_count(4)
    panels.set_viewport_size({"width": 390, "height": 844})
    assert fits(panels)
    assert output.locator(".pw-all-polls .pw-table").evaluate("one => one.scrollWidth <= one.clientWidth")


def test_a_stopped_radar_stays(panels):
    panels.locator("#pw-measure-run").click()
    output = panels.locator("#pw-measure-output")
    expect(output.locator(".pw-dot")).to_have_count(8, timeout=SLOW)
    panels.locator("#pw-measure-stop").click()
    panels.wait_for_timeout(3000)  # for what was under way
    stopped = output.inner_html()
    panels.wait_for_timeout(3000)
    assert output.inner_html() == stopped
    expect(output.locator(".pw-dot")).to_have_count(8)
    expect(output.locator("[data-axis=sign]")).to_contain_text("of")
    assert fits(panels)
