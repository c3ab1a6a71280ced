"""The document demo on a real (tiny, random) tiling model, and on scripted ones for what they write."""

import ast
from types import SimpleNamespace

import pypdfium2
import pytest
from PIL import Image
from pydantic import ValidationError

from demos import document
from patchwork.catalog import load_catalog
from patchwork.errors import Problem
from patchwork.families.protocol import Model
from patchwork.plan import make_plan
from patchwork.pool import Pool
from patchwork.tiles import View
from patchwork.ui import picker
from tests.fakes import MACHINE, make_card
from tests.tiny_models import load_tiny, shared_folder

PAGE = Image.radial_gradient("L").resize((60, 90)).convert("RGB")


class Scripted(Model):
    """Four tiles and an overview; answers what its script says for each size of picture it is given."""

    reads = frozenset({"question", "page"})

    def __init__(self, answers) -> None:
        card = make_card(title="Scripted")
        super().__init__(card, make_plan(card, MACHINE))
        self.answers, self.asked = answers, []

    def list_views(self, image, max_tiles=None):
        tiles = [View((x, y, x + 30, y + 45), (32, 32), 4) for y in (0, 45) for x in (0, 30)] if max_tiles else []
        return [*tiles, View((0, 0, 60, 90), (32, 32), 4, overview=True)]

    def count_image_tokens(self, image, max_tiles=None):
        return sum(view.tokens for view in self.list_views(image, max_tiles))

    def read_document(self, images, question="", max_tiles=None, max_new_tokens=0, stop=None):
        self.asked.append((images[0].size, max_tiles))
        yield self.answers[len(self.asked) - 1]


def run(model, **fields):
    inputs = document.Inputs(picture=PAGE, **fields)
    *_, last = document.run(inputs, model)
    return inputs, last


def test_a_real_tiling_model_with_and_without_tiles():
    model = load_tiny("idefics3", shared_folder("idefics3"))
    inputs, last = run(model, question="What?", tiles=16)
    views = model.list_views(PAGE, 16)
    assert [view.region for view in last.reading.views] == [view.region for view in views] and len(views) > 2
    assert last.reading.tokens == model.count_image_tokens(PAGE, 16) > last.without.tokens
    assert len(last.without.views) == 1
    assert type(last).model_validate_json(last.model_dump_json()) == last
    drawn = document.render(last, inputs)
    assert drawn.count('class="pw-view"') == len(views) - 1 and "pw-view-small" in drawn


def test_the_slider_reaches_the_model_and_one_view_is_not_asked_twice():
    model = Scripted(["only once"])
    _, last = run(model, question="What?", tiles=0)
    assert model.asked == [((60, 90), 0)] and last.without is None


def test_tiles_asked_alone_are_marked_where_they_agree():
    model = Scripted(["The total is 42.", "no idea", "", "it", "the total is 42", "3"])
    inputs, last = run(model, question="What is the total?", trace=True)
    assert last.found == [2]
    assert [size for size, _ in model.asked[2:]] == [(32, 32)] * 4
    assert "tile 3 gave the same answer" in document.render(last, inputs)


def test_a_page_that_is_written_out_is_shown_raw_and_rendered():
    inputs, last = run(Scripted(["# Title\n\n|a|b|\n|-|-|\n|1|2|\n\n<script>x</script>", ""]))
    drawn = document.render(last, inputs)
    assert "<h1>Title</h1>" in drawn and "<td>1</td>" in drawn and "<pre># Title" in drawn
    assert "<script>" not in drawn


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<doctag><title><loc_1><loc_2><loc_3><loc_4>Report</title></doctag>", "<h1>Report</h1>"),
        ("<section_header_level_1><loc_1><loc_2><loc_3><loc_4>Sums</section_header_level_1>", "<h2>Sums</h2>"),
        ("<otsl><loc_1><loc_2><loc_3><loc_4><fcel>a<fcel>b<nl></otsl>", "a | b"),
        ("![x](https://example.org/x.png) and [y](https://example.org)", "[y](https://example.org)"),
    ],
)
def test_markup_becomes_safe_html(text, expected):
    drawn = document.render_markup(text)
    assert expected in drawn and "<img" not in drawn and "<a " not in drawn and "loc_" not in drawn


def test_a_checkpoint_is_only_asked_what_it_can_do():
    model = Scripted(["x"])
    model.reads = frozenset({"page"})
    with pytest.raises(Problem, match="leave the question empty"):
        run(model, question="What?")
    model.reads = frozenset({"question"})
    with pytest.raises(Problem, match="type one"):
        run(model)


def test_an_uploaded_pdf_becomes_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(document, "get_upload_folder", lambda: str(tmp_path))
    pdf = pypdfium2.PdfDocument.new()
    pdf.new_page(300, 100)
    pdf.new_page(100, 300)
    pdf.save(tmp_path / "two.pdf")
    picture, number, told = document.open_upload(str(tmp_path / "two.pdf"), None)
    assert picture.width > picture.height and number.maximum == 2 and number.value == 1 and "Page 1 of 2" in told
    picture, _, told = document.open_upload(str(tmp_path / "two.pdf"), 2)
    assert picture.width < picture.height and "Page 2 of 2" in told
    for path, words in ((tmp_path / "two.pdf", "pages 1 to 2"), (tmp_path.parent / "else.pdf", "did not arrive")):
        assert words in document.open_upload(str(path), 9)[2]


def test_bad_input_is_refused():
    for fields in ({"tiles": 17}, {"tiles": -1}, {"question": "x" * 2001}):
        with pytest.raises(ValidationError):
            document.Inputs(picture=PAGE, **fields)


def test_the_panel_begins_with_a_checkpoint_that_answers_questions_and_offers_it():
    page = SimpleNamespace(catalog=load_catalog(), pool=Pool(load_catalog(), MACHINE, offline=True))
    chosen = picker.choose_default(document, page)
    assert "document" in page.catalog.get(chosen).recommended_for
    assert picker.recommend(document, page).id == chosen


def test_every_reading_card_has_a_snippet_and_one_is_recommended():
    cards = load_catalog().offering(document.NEEDS)
    for card in cards:
        ast.parse(document.snippet(card))
    assert any("document" in card.recommended_for for card in cards)
