"""Probes: true, never trained on, worded as training words them, balanced; and what a model says is scored right."""

from collections import Counter
from itertools import islice

import pytest

from patchwork.catalog import load_catalog
from patchwork.families import get_family
from patchwork.families.protocol import GroundedBox, Grounding
from patchwork.hardware import detect_cpu
from patchwork.plan import make_plan
from patchwork.probes import APART, AXES, FIRST, find_other, overlap_box, put, write_probes
from patchwork.tiny import FRESH, invent_scene
from patchwork.tiny.phrasings import LEARNT
from tests.fakes import MACHINE, FakeModel, make_card

TYPES = {"presence": "is there", "count": "count all", "box": "where"}
"""Training's own names where they differ."""


def take(name, count=20):
    return list(islice(write_probes(name), count))


class Scripted(FakeModel):
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, said: str, **changes) -> None:
        card = make_card(**changes)
        super().__init__(card, make_plan(card, MACHINE))
        self.said, self.asked = said, []

    def chat(self, images, prompt, max_new_tokens=128, stop=None):
        self.asked.append((images[0].size, prompt))
        yield self.said

    def ground(self, image, phrase, max_new_tokens=256, stop=None):
        self.asked.append((image.size, phrase))
        yield Grounding("text", self.boxes, ())


@pytest.mark.parametrize("name", AXES)
def test_the_plain_question_is_one_that_training_asks(name):
    wordings = {wording.replace("{c}", "{n}") for wording in LEARNT[TYPES.get(name, name)]}
    asked = AXES[name].plain.replace("the sign", "the {n}") if name == "sign" else AXES[name].plain
    assert asked in wordings


@pytest.mark.parametrize("name", AXES)
def test_probes_are_the_same_every_time_and_never_trained_on(name):
    probes = take(name)
    assert probes == take(name)
    assert len({probe.seed for probe in probes}) == 20 and min(probe.seed for probe in probes) >= FIRST > FRESH


def test_no_two_axes_share_a_scene():
    seeds = [probe.seed for name in AXES for probe in take(name)]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize(
    ("name", "each"), [("left or right", 10), ("above or below", 10), ("presence", 10), ("count", 4), ("colour", 2)]
)
def test_answers_come_equally_often(name, each):
    assert set(Counter(probe.answer for probe in take(name)).values()) == {each}
    assert AXES[name].chance == pytest.approx(each / 20)


def test_truths_are_what_the_scene_holds():
    """Read off the scene's objects here, not with the code that wrote the probes."""
    for probe in take("colour"):
        (thing,) = [thing for thing in probe.scene.things if thing.kind == probe.names[0]]
        assert thing.colour == probe.answer
    for probe in take("kind"):
        (thing,) = [thing for thing in probe.scene.things if thing.colour == probe.names[0]]
        assert thing.kind == probe.answer
    for probe in take("count"):
        assert probe.answer == str(len(probe.scene.things)) and probe.scene == invent_scene(probe.seed, probe.objects)
    for probe in take("presence"):
        assert (probe.answer == "yes") == (probe.names[0] in {thing.kind for thing in probe.scene.things})
    for probe in take("sign"):
        assert [thing.text for thing in probe.scene.things if thing.text] == [probe.answer]
    for probe in take("box"):
        (thing,) = [thing for thing in probe.scene.things if thing.name == probe.names[0]]
        assert thing.box == probe.box


@pytest.mark.parametrize(("name", "axis", "before"), [("left or right", 0, "left"), ("above or below", 1, "above")])
def test_relations_leave_no_room_for_argument(name, axis, before):
    for probe in take(name):
        places = {thing.kind: thing.centre[axis] for thing in probe.scene.things}
        first, second = (places[kind] for kind in probe.names)
        assert abs(first - second) >= APART and (probe.answer == before) == (first < second)


@pytest.mark.parametrize("name", ["colour", "kind", "count", "presence", "left or right", "sign"])
def test_another_scene_has_another_answer_to_the_same_question(name):
    probe = take(name, 1)[0]
    other = find_other(probe)
    assert other.question == probe.question and other.answer != probe.answer and other.scene != probe.scene


def test_a_real_checkpoint_is_told_the_choices_and_a_bundled_one_is_not():
    probe = take("left or right", 1)[0]
    stranger, bundled = Scripted("Right", repo="some/where"), Scripted("right")
    assert put(probe, stranger).right == put(probe, bundled).right == (probe.answer == "right")
    ((_, told),), ((_, plain),) = stranger.asked, bundled.asked
    assert told == f"{plain[0].upper()}{plain[1:]} Answer with one word: left or right."
    assert plain == probe.question


@pytest.mark.parametrize(
    ("name", "say", "read", "right"),
    [
        ("colour", "It is {}.", None, True),
        ("count", "{} things", None, True),
        ("presence", "{}.", None, True),
        ("sign", "The sign says “{}”", None, True),
        ("colour", "no idea", "", False),
        ("count", "99", "99", False),
    ],
)
def test_what_is_said_is_read_and_scored(name, say, read, right):
    probe = take(name, 1)[0]
    outcome = put(probe, Scripted(say.format(probe.answer.upper())))
    assert (outcome.read, outcome.right) == (probe.answer if read is None else read, right)


def test_a_box_counts_from_an_overlap_of_a_half():
    probe = take("box", 1)[0]
    model = Scripted("", capabilities=["chat", "ground"])
    side = probe.draw().width
    x1, y1, x2, y2 = (edge * side for edge in probe.box)
    half = (x1, y1, x1 + (x2 - x1) * 0.45, y2)
    for boxes, right in ([((x1, y1, x2, y2), half), True], [(half, (x1, y1, x2, y2)), False], [(), False]):
        model.boxes = tuple(GroundedBox("it", box, (0, 1)) for box in boxes)
        assert put(probe, model).right is right
    assert put(probe, model).read == "" and model.asked[-1][1] == probe.names[0]
    assert overlap_box(probe, probe.box) == pytest.approx(1)


def test_the_bundled_model_answers_its_own_world():
    """The first three of every axis; by chance alone it would hardly get seven."""
    card = load_catalog().get("tiny-llava")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    outcomes = [put(probe, model) for name in AXES for probe in take(name, 3)]
    assert sum(outcome.right for outcome in outcomes) >= 18
