"""“Does it look?” and “Measure it yourself” in a real browser, in their chapter: run, watched, stopped, narrow."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

SLOW = 240_000  # a busy machine needs its time for dozens of answers


@pytest.fixture
def panels(page, open_chapter):
    open_chapter(page, "frontier")
    return page


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
