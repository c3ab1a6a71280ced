"""The drawn world is reproducible, its boxes enclose what is drawn, and held-out pairs stay out of training."""

import random

import numpy as np
import pytest

from patchwork.tiny import FRESH, invent_scene
from patchwork.tiny.questions import PHRASINGS, REFUSAL, WEIGHTS, clip_caption, is_true, make_turn, make_turns, spoil
from patchwork.tiny.tokenizer import train_tokenizer, wrap_tokenizer
from patchwork.tiny.world import HELD_OUT, KINDS, SIZES, Scene, Thing


def test_a_seed_is_a_scene():
    assert invent_scene(5) == invent_scene(5) != invent_scene(6)
    assert np.array_equal(invent_scene(5).draw(64), invent_scene(5).draw(64))


@pytest.mark.parametrize("kind", KINDS)
def test_the_box_encloses_the_drawing(kind):
    thing = Thing(kind, "red", "large", "plain", (0.5, 0.5), SIZES["large"])
    grey = ((200, 200, 200), (200, 200, 200), 0.0)
    with_thing = np.asarray(Scene((thing,), grey, 1).draw(200)).astype(int)
    red = (with_thing[..., 0] - with_thing[..., 1]) > 90  # the object is red; background and shadow are grey
    ys, xs = np.nonzero(red)
    measured = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    assert np.abs(np.array(measured) - np.array(thing.box) * 200).max() <= 2.5


def test_held_out_pairs_are_never_drawn_for_training():
    pairs = {(thing.colour, thing.kind) for seed in range(4000) for thing in invent_scene(seed).things}
    assert not pairs & HELD_OUT
    assert len(pairs) > 150  # of 190: the others do occur
    assert all(
        (s.things[0].colour, s.things[0].kind) in HELD_OUT for s in (invent_scene(i, held_out=True) for i in range(50))
    )


@pytest.mark.parametrize("type", [*WEIGHTS, "describe"])
def test_answers_are_true(type):
    """Checked against the scene itself, for the types whose truth is one look."""
    rng, seen = random.Random(0), 0
    for seed in range(200):
        scene = invent_scene(FRESH + seed)
        turn = make_turn(type, scene, rng)
        if turn is None:
            continue
        seen += 1
        names = {thing.name for thing in scene.things}
        if type == "count all":
            assert int(turn.answer) == len(scene.things)
        if type == "is there":
            words = (
                turn.answer.rstrip(".").split("there is ")[1].removeprefix("no ").removeprefix("an ").removeprefix("a ")
            )
            present = words in names or words in {thing.kind for thing in scene.things}
            assert present == turn.answer.startswith("yes")
        if type == "absent":
            assert turn.answer.split()[-1].rstrip(".") not in {thing.kind for thing in scene.things}
        if type == "describe":
            assert all(thing.name.split()[0] in turn.answer for thing in scene.things)
        for start, end, objects in turn.spans:
            assert 0 <= start < end <= len(turn.answer) and set(objects) <= set(range(len(scene.things)))
    assert seen > 30


def test_near_misses_are_wrong_and_captions_right():
    rng = random.Random(0)
    for seed in range(300):
        scene = invent_scene(FRESH + seed)
        caption, text = clip_caption(scene, rng)
        assert is_true(scene, caption[0], caption[1])
        assert all(spoil(scene, caption, how, rng) != text for how in ("attribute", "relation", "object"))


def test_every_type_has_several_phrasings():
    assert all(len(set(PHRASINGS[type])) >= 3 for type in WEIGHTS if type != "absent")


@pytest.fixture(scope="module")
def tokenizer():
    return wrap_tokenizer(train_tokenizer())


def test_text_survives_the_tokenizer(tokenizer):
    for turn in make_turns(invent_scene(FRESH), random.Random(1), 30):
        assert tokenizer.decode(tokenizer(turn.answer).input_ids) == turn.answer
    assert tokenizer.decode(tokenizer("Ein blaues Ü?").input_ids) == "ein blaues ü?"  # lower case, nothing lost
    assert tokenizer(REFUSAL).input_ids


def test_a_coordinate_is_one_token(tokenizer):
    for number in range(100):
        assert len(tokenizer(f"[{number:02d} {number:02d} {number:02d} {number:02d}]").input_ids) == 6
