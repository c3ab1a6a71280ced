"""Several pictures in a real browser: the built-in clip, its frames, a reader's own GIF, a file that is none."""

from __future__ import annotations

import pytest
from PIL import Image
from playwright.sync_api import expect

SLOW = 120_000  # a busy machine needs its time for the first model


@pytest.fixture
def panel(page, open_chapter):
    open_chapter(page, "frontier")
    return page


def test_the_star_is_seen_to_fly(panel):
    panel.locator("#pw-several-run").click()
    output = panel.locator("#pw-several-output")
    expect(output.locator(".pw-answerer")).to_contain_text("Tiny LLaVA", timeout=SLOW)
    expect(output.locator("figcaption")).to_have_text(["1 left", "2 left", "3 right", "4 right"])
    expect(output).to_contain_text("256 tokens")


def test_frames_come_from_the_clip_that_was_chosen(panel, tmp_path):
    pictures = panel.locator("#pw-several-pictures .gallery-item")
    expect(pictures).to_have_count(4)
    count = panel.get_by_label("number input for Frames taken from the clip")
    count.fill("2")
    count.press("Enter")
    expect(pictures).to_have_count(2)
    frames = [Image.new("RGB", (60, 40), (40 * number, 0, 0)) for number in range(6)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    chooser = panel.locator("#pw-several-own")
    with panel.expect_file_chooser() as choosing:
        chooser.click()
    choosing.value.set_files(tmp_path / "clip.gif")
    count.fill("3")
    count.press("Enter")
    expect(pictures).to_have_count(3)
    panel.locator("#pw-several-run").click()
    expect(panel.locator("#pw-several-output .pw-filmstrip img")).to_have_count(3, timeout=SLOW)
    assert panel.locator("#pw-several-output .pw-filmstrip img").first.evaluate("one => one.naturalWidth") == 60


def test_a_checkpoint_may_stand_beside_itself_in_fewer_bits(panel):
    panel.locator("#pw-measure-beside input").click()
    expect(panel.get_by_role("option", name="Tiny LLaVA (bundled) in nf4")).to_be_visible()


def test_on_a_phone_nothing_scrolls_sideways(phone, open_chapter):
    open_chapter(phone, "frontier")
    phone.locator("#pw-several-pictures").scroll_into_view_if_needed()
    expect(phone.locator("#pw-several-pictures .gallery-item")).to_have_count(4)
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert phone.locator("#pw-several-pictures .grid-wrap").evaluate("one => one.scrollWidth <= one.clientWidth")
