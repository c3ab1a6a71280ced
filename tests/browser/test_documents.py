"""Chapter 8 in a real browser: the simulation by pointer and keys, a PDF as the picture of every chapter."""

from __future__ import annotations

import re

import pypdfium2
from playwright.sync_api import expect

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
    expect(page.locator("#pw-document-output .pw-problem")).to_contain_text(re.compile("offline|network"), timeout=SLOW)
