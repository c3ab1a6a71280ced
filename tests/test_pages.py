"""PDFs that readers really have: of one page, of many, locked, broken, and pictures that are none."""

import pypdfium2
import pytest
from PIL import Image

from patchwork.errors import Problem
from patchwork.pages import MOST_PAGES, count_pages, load_page


def write_pdf(path, pages=1, size=(200, 400)):
    pdf = pypdfium2.PdfDocument.new()
    for _ in range(pages):
        pdf.new_page(*size)
    pdf.save(path)
    pdf.close()
    return path


LOCKED = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj
4 0 obj<</Filter/Standard/V 1/R 2/P -4/O<OOOO>/U<UUUU>>>endobj
xref
0 5
0000000000 65535 f 
TABLE
trailer<</Size 5/Root 1 0 R/Encrypt 4 0 R/ID[<00><00>]>>
startxref
START
%%EOF
"""


def make_locked() -> bytes:
    """A PDF whose keys fit no empty password."""
    body = LOCKED.replace(b"OOOO", b"11" * 32).replace(b"UUUU", b"22" * 32)
    table = b"\n".join(b"%010d 00000 n " % body.index(b"%d 0 obj" % number) for number in range(1, 5))
    return body.replace(b"TABLE", table).replace(b"START", b"%d" % body.index(b"xref"))


def test_a_page_is_drawn_white_at_the_wanted_size(tmp_path):
    picture = load_page(write_pdf(tmp_path / "one.pdf"), longest=800)
    assert picture.size == (400, 800) and picture.mode == "RGB"
    assert picture.getpixel((200, 400)) == (255, 255, 255)


def test_the_number_chooses_the_page(tmp_path):
    path = write_pdf(tmp_path / "three.pdf", pages=3)
    assert count_pages(path) == 3
    assert load_page(path, 3, 100).size == (50, 100)
    for number in (0, 4):
        with pytest.raises(Problem, match="pages 1 to 3"):
            load_page(path, number)


def test_a_picture_is_its_own_only_page(tmp_path):
    Image.new("RGB", (30, 20), "red").save(tmp_path / "page.png")
    assert count_pages(tmp_path / "page.png") == 1
    assert load_page(tmp_path / "page.png").size == (30, 20)


@pytest.mark.parametrize(
    ("data", "words"),
    [(make_locked(), "locked with a password"), (b"%PDF-1.7 and then nothing", "damaged"), (b"", "empty")],
    ids=["locked", "broken", "empty"],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, data, words):
    path = tmp_path / "bad.pdf"
    path.write_bytes(data)
    with pytest.raises(Problem, match=words) as caught:
        load_page(path)
    assert str(caught.value).count(".") == 1


def test_a_book_is_too_long(tmp_path):
    path = write_pdf(tmp_path / "book.pdf", pages=500)
    with pytest.raises(Problem, match=f"500 pages, and at most {MOST_PAGES}"):
        count_pages(path)


def test_a_page_of_absurd_shape_stays_small(tmp_path):
    picture = load_page(write_pdf(tmp_path / "strip.pdf", size=(14_000, 3)), longest=300)
    assert max(picture.size) == 300
