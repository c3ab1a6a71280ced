"""Chapter 8 in a real browser: the simulation by pointer and keys, a PDF as the picture of every chapter."""

from __future__ import annotations

import re

import pypdfium2
from playwright.sync_api import expect

from patchwork.examples import example_pages

SLOW = 30_000


def test_place_and_budget(page, open_chapter):
    open_chapter(page, "documents")
    sim = page.locator(".pw-docs")
    meaning = sim.locator("[data-part='meaning']")
    expect(meaning).to_contain_text("price of the", timeout=SLOW)
    sim.locator("canvas[data-part='layout']").focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    expect(meaning).not_to_contain_text("price of the")
    sim.locator("tr[data-name='qwen2vl'] button").click()
    expect(sim.locator("[data-part='budget']")).to_contain_text(
        "Qwen2-VL sees this page of 1,240 × 1,754 px as one view"
    )
    sim.locator("input[data-name='longest']").fill("448")
    expect(sim.locator("[data-part='budget']")).to_contain_text("too small to tell letters apart")
    sim.locator("[data-part='parse']").click()
    expect(sim.locator("[data-part='found']")).to_have_text("1 of 8: Title")


def test_a_pdf_becomes_the_picture(page, open_chapter, tmp_path):
    pdf = pypdfium2.PdfDocument.new()
    pdf.new_page(300, 100)
    pdf.new_page(100, 300)
    pdf.save(tmp_path / "two.pdf")
    open_chapter(page, "documents")
    expect(page.locator(".pw-docs [data-part='meaning']")).not_to_be_empty(timeout=SLOW)
    expect(page.locator(".pw-cannot")).to_contain_text("cannot read")
    page.locator("#pw-document-file input[type='file']").set_input_files(tmp_path / "two.pdf")
    expect(page.locator("#pw-document-told")).to_contain_text("Page 1 of 2 is now your picture", timeout=SLOW)
    page.locator("#pw-document-page input").fill("2")
    expect(page.locator("#pw-document-told")).to_contain_text("Page 2 of 2", timeout=SLOW)
    page.locator("#pw-document-run").click()
    expect(page.locator("#pw-document-output .pw-answerer")).to_contain_text("Tiny LLaVA", timeout=SLOW)


def test_the_upload_stands_beside_the_controls_and_leaves_no_gap(page, open_chapter):
    open_chapter(page, "documents")
    file = page.locator("#pw-document-file")
    expect(file).to_be_visible(timeout=SLOW)
    upload = file.bounding_box()
    first = page.get_by_label("At most so many tiles").first.bounding_box()
    last = page.get_by_label("Find the tile").bounding_box()
    assert upload["x"] + upload["width"] <= first["x"]
    assert upload["y"] <= first["y"] and last["y"] <= upload["y"] + upload["height"] + 20


def test_a_price_list_and_its_question_are_taken_together(page, open_chapter):
    example = example_pages()[1]
    open_chapter(page, "documents")
    picture = page.locator("#pw-picture img")
    before = picture.get_attribute("src")
    page.locator(".pw-lists button").nth(1).click()
    expect(page.get_by_role("textbox", name="Your question")).to_have_value(example.question, timeout=SLOW)
    expect(picture).not_to_have_attribute("src", before, timeout=SLOW)
    expect(page.get_by_label("Read only the tiles that matter")).to_be_visible()
    page.locator("#pw-document-run").click()
    output = page.locator("#pw-document-output")
    expect(output.locator(".pw-answerer")).to_contain_text("Tiny LLaVA", timeout=SLOW)
    expect(output.locator(".pw-explain").first).to_contain_text("of 9 tiles read")
    assert output.locator(".pw-skipped").count() >= 6
    expect(output.locator(".pw-answer").first).to_contain_text(read_off(example))


def read_off(example) -> str:
    """What the cards named in the question print, in its order."""
    field, *names = re.fullmatch(r"what is the (\w+) of the (.+?)(?: and of the (.+))?\?", example.question).groups()
    entries = {entry.thing.name: entry for entry in example.page.entries}
    return " and ".join(entries[name].value(field) for name in names if name)
