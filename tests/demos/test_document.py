"""The document demo on a real (tiny, random) tiling model, and on scripted ones for what they write."""

import ast
from types import SimpleNamespace

import pypdfium2
import pytest
from PIL import Image
from pydantic import ValidationError

from demos import document
from patchwork.catalog import Catalog, load_catalog
from patchwork.errors import Problem
from patchwork.families.protocol import Model, Ranking
from patchwork.plan import make_plan
from patchwork.pool import Pool
from patchwork.tiles import View, choose_tiles
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


class Pointing(Scripted):
    """Scripted, and tells which of its tiles matter."""

    ranks = True

    def __init__(self, answers, scores) -> None:
        super().__init__(answers)
        self.ranking, self.options = Ranking(scores, "begun"), []

    def rank_tiles(self, image, question, max_tiles=None):
        return self.ranking if max_tiles else Ranking([])

    def read_document(self, images, question="", max_tiles=None, max_new_tokens=0, stop=None, **options):
        self.options.append(options)
        yield from super().read_document(images, question, max_tiles, max_new_tokens, stop)


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


def test_only_the_tiles_that_matter_are_read_and_all_of_them_beside():
    model = Pointing(["48", "48 all", "none", "48", "no"], [0.05, 0.61, 0.02, 0.22])
    inputs, last = run(model, question="Which price?", trace=True)
    kept = {"keep": [1, 3], "ranking": model.ranking}
    assert model.options == [kept, {}, {}, {}, {}]
    assert [most for _, most in model.asked] == [12, 12, 0, 0, 0]
    assert (last.reading.text, last.every.text, last.without.text) == ("48", "48 all", "none")
    assert [view.place for view in last.reading.views] == [1, 3, None]
    assert (last.ranked.tokens, last.reading.tokens, last.every.tokens) == (4, 12, 20)
    assert last.found == [1]
    assert type(last).model_validate_json(last.model_dump_json()) == last
    drawn = document.render(last, inputs)
    assert drawn.count("pw-skipped-share") == 2 and "2 of 4 tiles read, 2 skipped" in drawn
    assert all(f"{place} · {share}%" in drawn for place, share in ((1, 5), (2, 61), (3, 2), (4, 22)))
    assert drawn.count('class="pw-view"') == 2 and "12 tokens" in drawn and "all tiles took 20" in drawn
    assert "guess" not in drawn


def test_a_weak_look_reads_the_best_tile_and_says_that_it_may_be_wrong():
    inputs, last = run(Pointing(["48", "17", ""], [0.05, 0.11, 0.1, 0.04]), question="Which price?", compare=False)
    assert last.ranked.kept == [1] and last.every is None and last.without is None
    assert "the choice is a guess" in document.render(last, inputs)


@pytest.mark.parametrize(("fields", "asked"), [({"rank": False}, [12, 0]), ({"tiles": 0}, [0])])
def test_the_reader_can_switch_ranking_off_and_a_page_in_one_view_has_nothing_to_rank(fields, asked):
    model = Pointing(["48", "none"], [0.9, 0.0, 0.0, 0.0])
    inputs, last = run(model, question="Which price?", **fields)
    assert [most for _, most in model.asked] == asked and last.ranked is None and last.every is None
    assert not any(model.options) and "pw-skipped" not in document.render(last, inputs)


def test_a_real_model_reads_what_its_heads_point_at():
    """Weights that learnt nothing: their choice means nothing, but what is read must be what was chosen."""
    heads = {"tiles": 6, "pointing_heads": ((0, 1), (1, 2)), "letterbox": True}
    model = load_tiny("llava", shared_folder("llava"), capabilities=frozenset({"read_document"}), **heads)
    inputs, last = run(model, question="What?")
    assert last.ranked.kept == choose_tiles(model.rank_tiles(PAGE, "What?").scores)
    assert [view.place for view in last.reading.views] == [None, *last.ranked.kept]
    assert last.every.text == "".join(model.read_document([PAGE], "What?", max_new_tokens=96)).strip()
    assert last.reading.tokens == 16 * (1 + len(last.ranked.kept)) < last.every.tokens == 16 * 7
    assert document.render(last, inputs).count('class="pw-skipped"') == 6 - len(last.ranked.kept)


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


@pytest.mark.parametrize("reading", [True, False])
def test_the_panel_begins_with_a_checkpoint_that_answers_questions_and_offers_a_real_one(reading):
    """The bundled model where it reads, else the one that is recommended."""
    reads = {"capabilities": frozenset({"chat", "read_document"} if reading else {"chat"})}
    catalog = Catalog(
        card.model_copy(update=reads) if card.id == "tiny-llava" else card for card in load_catalog().cards
    )
    page = SimpleNamespace(catalog=catalog, pool=Pool(catalog, MACHINE, offline=True))
    chosen, offered = picker.choose_default(document, page), picker.recommend(document, page)
    assert "document" in offered.recommended_for
    assert chosen == ("tiny-llava" if reading else offered.id)


def test_every_reading_card_has_a_snippet_and_one_is_recommended():
    cards = load_catalog().offering(document.NEEDS)
    for card in cards:
        ast.parse(document.snippet(card))
    assert any("document" in card.recommended_for for card in cards)
