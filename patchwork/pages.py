"""A PDF, or a picture of a page → one page as an RGB picture. Knows no model."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from PIL import Image

from patchwork.errors import Problem
from patchwork.images import MAX_BYTES, bound, load_picture, read_file

MOST_PAGES = 300
LONGEST = 2048
DAMAGED = "This PDF is damaged or incomplete; save or download it again and try once more."


def is_pdf(data: bytes) -> bool:
    return b"%PDF-" in data[:1024]


def count_pages(path: str | Path) -> int:
    """Pages of a PDF; 1 for anything else, which may be a picture. Raises `Problem` for a PDF that cannot be used."""
    data = read_file(Path(path))
    if not is_pdf(data):
        return 1
    with closing(open_pdf(data)) as pdf:
        return len(pdf)


def load_page(path: str | Path, number: int = 1, longest: int = LONGEST) -> Image.Image:
    """Page `number` (from 1) with its longest side at `longest` pixels; a picture is taken as its only page."""
    data = read_file(Path(path))
    if not is_pdf(data):
        return load_picture(data, longest)
    with closing(open_pdf(data)) as pdf:
        if not 1 <= number <= len(pdf):
            raise Problem(f"There is no page {number}; this PDF has pages 1 to {len(pdf)}.")
        return draw_page(pdf, number, longest)


def open_pdf(data: bytes):
    import pypdfium2

    if len(data) > MAX_BYTES:
        raise Problem(f"This PDF is larger than {MAX_BYTES // 1_000_000} MB; save the pages you need as a smaller one.")
    try:
        pdf = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise Problem(explain(error)) from None
    if not 1 <= len(pdf) <= MOST_PAGES:
        pages = len(pdf)
        pdf.close()
        raise Problem(
            f"This PDF has {pages} pages, and at most {MOST_PAGES} are opened here; save the ones you need as a "
            "smaller PDF."
            if pages
            else DAMAGED
        )
    return pdf


def explain(error: Exception) -> str:
    if "password" in str(error).lower():
        return "This PDF is locked with a password; save a copy without one and choose that."
    return DAMAGED


def draw_page(pdf, number: int, longest: int) -> Image.Image:
    """White where the page is empty. A page of absurd shape is drawn small, never larger than `longest`."""
    import pypdfium2

    try:
        page = pdf[number - 1]
        width, height = page.get_size()
        picture = page.render(scale=longest / max(width, height, 1.0)).to_pil()
    except pypdfium2.PdfiumError:
        raise Problem(f"Page {number} of this PDF cannot be drawn; choose another page.") from None
    return bound(picture.convert("RGB"), longest)
