"""Demos refuse bad input in one sentence, write their data to JSON and back, and never render a reader's markup."""

import pytest
from PIL import Image
from pydantic import ValidationError

from demos import ask, attention, honesty, similarity
from patchwork.catalog import load_catalog
from patchwork.demo import Map
from patchwork.plan import make_plan
from patchwork.ui import panel, render
from tests.fakes import MACHINE, FakeModel, make_card

PICTURE = Image.new("RGB", (12, 8), (10, 200, 30))
EVIL = '<img src=x onerror="alert(1)">'


def fake_model() -> FakeModel:
    card = make_card(title=EVIL)
    return FakeModel(card, make_plan(card, MACHINE))


@pytest.mark.parametrize(
    ("demo", "fields", "words"),
    [
        (ask, {"question": "   "}, "no question yet"),
        (ask, {"question": "x" * 2001}, "limit is 2000"),
        (similarity, {"captions": " \n \n"}, "at least one caption"),
        (similarity, {"captions": "\n".join("abcdefghi")}, "at most 8 captions"),
        (similarity, {"captions": "y" * 201}, "longer than 200"),
        (attention, {"text": "z" * 201}, "longer than 200"),
        (honesty, {"text": "z" * 201}, "longer than 200"),
    ],
)
def test_bad_words_are_refused_before_any_work(demo, fields, words):
    with pytest.raises(ValidationError, match=words):
        demo.Inputs(picture=PICTURE, **fields)


@pytest.mark.parametrize("demo", [ask, similarity])
def test_events_and_inputs_survive_json(demo):
    inputs = demo.Inputs(picture=PICTURE, **({"question": "why"} if demo is ask else {"captions": ["a", "b"]}))
    again = demo.Inputs.model_validate_json(inputs.model_dump_json())
    assert again.picture.tobytes() == PICTURE.tobytes()
    for event in demo.run(inputs, fake_model()):
        assert type(event).model_validate_json(event.model_dump_json()) == event


def test_readers_markup_stays_text():
    for demo, fields in ((ask, {"question": EVIL}), (similarity, {"captions": [EVIL, "b"]})):
        inputs = demo.Inputs(picture=PICTURE, **fields)
        for event in demo.run(inputs, fake_model()):
            assert "<img src=x" not in demo.render(event, inputs)
    assert "<img src=x" not in render.draw_problem(EVIL)


def test_similarity_ranks_by_cosine():
    inputs = similarity.Inputs(picture=PICTURE, captions="a long caption\nshort")
    *_, last = similarity.run(inputs, fake_model())
    assert [score.caption for score in last.scores] == ["short", "a long caption"]


def test_boxes_in_an_answer_are_read_in_the_checkpoints_convention():
    card = make_card(coordinates="tiny_percent")
    model = FakeModel(card, make_plan(card, MACHINE))
    model.script = ("[00 00 ", "50 50]")
    picture = Image.new("RGB", (100, 100))
    *_, last = ask.run(ask.Inputs(picture=picture, question="where?"), model)
    (box,) = last.boxes
    assert abs(box.x1) <= 1 and abs(box.x2 - 50) <= 1.5 and abs(box.y2 - 50) <= 1.5
    assert "<rect" in ask.render(last, ask.Inputs(picture=picture, question="where?"))
    model.script = ("[90 00 50",)
    *_, broken = ask.run(ask.Inputs(picture=picture, question="where?"), model)
    assert broken.boxes == []


def test_a_map_covers_its_region():
    patches = list(render.place_patches(Map(label="m", grid=[[0, 1], [2, 3]], region=(-10, 0, 30, 20))))
    assert patches[0] == (0, -10, 0, 20, 10, 0) and patches[3] == (3, 10, 10, 20, 10, 3)


@pytest.mark.parametrize(("share", "colour"), [(0, "#440154"), (1, "#fde725"), (0.5, "#21918c"), (-3, "#440154")])
def test_the_ramp_is_viridis(share, colour):
    assert render.mix_colour(share) == colour


def test_a_failure_keeps_the_result_and_drops_the_older_failure():
    shown = render.draw_problem("old") + "<div>result</div>"
    assert panel.without_problem(shown) == "<div>result</div>"
    assert panel.without_problem("<div>result</div>") == "<div>result</div>"


@pytest.mark.parametrize("demo", [ask, attention, similarity])
def test_every_demo_has_a_bundled_checkpoint_and_a_recommended_one(demo):
    cards = load_catalog().offering(demo.NEEDS)
    assert cards[0].bundled and any(demo.NAME in card.recommended_for for card in cards)
