"""The panels of chapter 3: what they show is what was measured, in words that cannot become markup."""

import pytest
import torch
from pydantic import ValidationError

from demos import fusion, kinds
from patchwork.catalog import load_catalog
from patchwork.families import get_family
from patchwork.fusion_questions import list_questions
from patchwork.hardware import detect_cpu
from patchwork.plan import make_plan
from patchwork.tiny import FRESH, draw_scene
from tests.fakes import MACHINE, FakeModel, make_card

PICTURE = draw_scene(FRESH + 5, 128)
EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def result():
    card = load_catalog().get("tiny-clip")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    fusion.MEASURED = 6
    *_, last = fusion.run(fusion.Inputs(picture=PICTURE, place="after"), model)
    return last


def test_every_way_answers_and_is_measured(result):
    assert [way.kind for way in result.ways] == list(fusion.TITLES)
    words = len(result.words)
    assert [way.row for way in result.ways] == [64 + words, 64 + words, 8 + words, words]
    assert all(way.answer and way.fresh.total == result.ways[0].fresh.total > 0 for way in result.ways)
    assert len(result.ways[-1].gates) == 2 * sum(s.name.startswith("crossings") for s in result.ways[-1].stages)


def test_masks_are_as_large_as_what_they_mask(result):
    for way in result.ways:
        for mask in way.masks:
            assert len(mask.rows) == len(mask.looks) and {len(row) for row in mask.rows} == {len(mask.looked)}
    interleaved = result.ways[1].masks[0]
    assert interleaved.looks == "t" * len(result.words) + "v" * 64
    assert [mask.name.split(".")[0] for mask in result.ways[3].masks] == ["crossings", "layers"]


def test_it_survives_json_and_shows_every_figure(result):
    assert fusion.RunResult.model_validate_json(result.model_dump_json()) == result
    shown = fusion.render(result, fusion.Inputs(picture=PICTURE, question="how many things are there?"))
    assert all(f"{way.added:,}" in shown for way in result.ways)
    assert shown.count("<svg viewBox=") == 1 + sum(len(way.masks) for way in result.ways)


def test_runs_of_a_mask():
    assert list(fusion.find_runs("1110", "vvtt")) == [(0, 2, "v"), (2, 3, "t")]
    assert list(fusion.find_runs("0101", "tttt")) == [(1, 2, "t"), (3, 4, "t")]


def test_the_listed_questions_are_taken_and_long_ones_refused():
    assert fusion.Inputs(picture=PICTURE).question in list_questions()
    for text, words in ((" ", "no question yet"), ("x" * 81, "longer than 80")):
        with pytest.raises(ValidationError, match=words):
            fusion.Inputs(picture=PICTURE, question=text)


class Reader(FakeModel):
    def prepare(self, images, prompt):
        return {"input_ids": torch.zeros(1, 80)}


def test_kinds_escapes_what_was_asked_and_says_how_long_the_row_is():
    card = make_card(title=EVIL, family="llava")
    inputs = kinds.Inputs(picture=PICTURE, question=EVIL)
    *_, last = kinds.run(inputs, Reader(card, make_plan(card, MACHINE)))
    assert (last.row, last.picture_places) == (80, 64) and last.way == kinds.WAYS["llava"]
    shown = kinds.render(last, inputs)
    assert "<img src=x" not in shown and "80 places" in shown
