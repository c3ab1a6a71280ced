"""The drawn world is reproducible, its boxes enclose what is drawn, and held-out pairs stay out of training."""

import math
import random
import re

import numpy as np
import pytest
from PIL import ImageChops

from patchwork.tiny import FRESH, invent_scene
from patchwork.tiny.disturb import disturb
from patchwork.tiny.phrasings import KEPT, LEARNT, UNKNOWN_KEPT, UNKNOWN_LEARNT
from patchwork.tiny.questions import NAMED, REFUSAL, WEIGHTS, make_turn, make_turns
from patchwork.tiny.shapes import HOLE, KINDS
from patchwork.tiny.tokenizer import train_tokenizer, wrap_tokenizer, write_samples
from patchwork.tiny.world import COLOURS, COUNTS, HELD_OUT, SIZES, TEXTURES, WORDS, Scene, Thing, is_inside

GREY = ((200, 200, 200), (200, 200, 200), 0.0)


def test_the_world_is_as_rich_as_promised():
    assert len(KINDS) >= 24 and len(COLOURS) == 10 and len(SIZES) == 3 and len(TEXTURES) == 3
    scenes = [invent_scene(FRESH + i) for i in range(600)]
    assert {len(scene.things) for scene in scenes} == set(COUNTS) == set(range(1, 10))
    assert {thing.kind for scene in scenes for thing in scene.things} == set(KINDS)
    texts = {thing.text for scene in scenes for thing in scene.things if thing.text}
    assert len(texts & set(WORDS)) > 12 and any(text.isdigit() for text in texts)


def test_a_seed_is_a_scene():
    assert invent_scene(5) == invent_scene(5) != invent_scene(6)
    assert np.array_equal(invent_scene(5).draw(64), invent_scene(5).draw(64))


@pytest.mark.parametrize("kind", KINDS)
def test_the_box_encloses_the_drawing(kind):
    thing = Thing(kind, "red", "large", "plain", (0.5, 0.5), 0.19)
    with_thing = np.asarray(Scene((thing,), GREY, 1).draw(200)).astype(int)
    red = (with_thing[..., 0] - with_thing[..., 1]) > 60  # the object is red; background and shadow are grey
    ys, xs = np.nonzero(red)
    measured = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    assert np.abs(np.array(measured) - np.array(thing.box) * 200).max() <= 2.5


def test_held_out_pairs_are_never_drawn_for_training():
    pairs = {(thing.colour, thing.kind) for seed in range(4000) for thing in invent_scene(seed).things}
    assert not pairs & HELD_OUT
    assert len(pairs) > 250  # of 286: the others do occur
    assert all(
        (s.things[0].colour, s.things[0].kind) in HELD_OUT for s in (invent_scene(i, held_out=True) for i in range(50))
    )


@pytest.mark.parametrize("kind", HOLE)
def test_inside_means_seen_through_the_hole(kind):
    """Painted, not computed: what lies inside is seen whole, though the ring or frame is painted over it."""
    outer = Thing(kind, "red", "large", "plain", (0.5, 0.5), 0.25)
    inner = Thing("circle", "blue", "small", "plain", (0.51, 0.49), 0.085)
    beside = Thing("circle", "blue", "small", "plain", (0.82, 0.5), 0.085)
    for thing, inside in ((inner, True), (beside, False)):
        below, above = Scene((thing, outer), GREY, 1).draw(128), Scene((outer, thing), GREY, 1).draw(128)
        differs = np.asarray(ImageChops.difference(below, above)).max()
        assert is_inside(thing, outer) == inside
        assert (differs < 40) == inside  # nothing of it is hidden (soft shadows may fall)
    assert (
        sum(is_inside(x, y) for i in range(300) for s in [invent_scene(FRESH + i)] for x in s.things for y in s.things)
        > 25
    )


def test_a_sign_carries_its_text():
    """The word changes the board and nothing else."""
    scenes = [
        Scene((Thing("sign", "yellow", "large", "plain", (0.5, 0.5), 0.2, 0.0, text),), GREY, 1)
        for text in ("go", "42", "")
    ]
    word, number, blank = (np.asarray(scene.draw(128)).astype(int) for scene in scenes)
    for one, other in ((word, blank), (number, blank), (word, number)):
        ys, xs, _ = np.nonzero(np.abs(one - other) > 60)
        assert len(xs) > 30 and xs.min() / 128 > 0.3 and xs.max() / 128 < 0.7
        assert ys.min() / 128 > 0.36 and ys.max() / 128 < 0.58


def find_thing(scene: Scene, words: str) -> Thing:
    words = words.removesuffix(".").removeprefix("an ").removeprefix("a ")
    return next(thing for thing in scene.things if words in (thing.name, thing.kind, thing.phrase))


@pytest.mark.parametrize("type", [*WEIGHTS, "describe"])
def test_answers_are_true(type):
    """Checked against the scene itself, the named objects found again by the question's own words."""
    rng, seen = random.Random(0), 0
    for seed in range(300):
        scene = invent_scene(FRESH + seed)
        turn = make_turn(type, scene, rng, kept=seed % 3 == 0)
        if turn is None:
            continue
        seen += 1
        named = (
            [find_thing(scene, turn.question[a:b]) for a, b, _ in turn.asked]
            if type not in ("count", "kind", "what is in")
            else []
        )
        if type in ("colour", "size", "texture"):
            assert turn.answer == getattr(named[0], type)
        if type == "count all":
            assert int(turn.answer) == len(scene.things)
        if type == "is there" and turn.answer.startswith("yes"):
            assert named
        if type == "is there" and turn.answer.startswith("no"):
            assert turn.answer.removeprefix("no, there is no ").rstrip(".") not in {t.name for t in scene.things} | {
                t.kind for t in scene.things
            }
        if type in ("left or right", "above or below"):
            (x1, y1), (x2, y2) = (scene.things[i].centre for i in turn.spans[0][2])
            assert (
                turn.answer
                == {"left or right": ("left", "right")[x1 > x2], "above or below": ("above", "below")[y1 > y2]}[type]
            )
        if type == "inside" and turn.answer != "nothing":
            assert math.dist(find_thing(scene, turn.answer).centre, named[0].centre) < 0.06
        if type == "sign":
            assert turn.answer == named[0].text
        if type == "where":
            assert turn.answer == "[" + " ".join(f"{min(99, int(100 * v)):02d}" for v in named[0].box) + "]"
        if type == "absent":
            assert turn.answer.removeprefix("there is no ").rstrip(".") not in {t.name for t in scene.things} | {
                t.kind for t in scene.things
            }
        if type == "unknown":
            assert turn.answer == REFUSAL
        if type == "describe":
            assert turn.answer.count(" and ") <= 1 and sum(t.phrase in turn.answer for t in scene.things) >= min(
                NAMED - 1, len(scene.things)
            )
        for text, spans in ((turn.question, turn.asked), (turn.answer, turn.spans)):
            assert all(0 <= start < end <= len(text) and objects for start, end, objects in spans)
    assert seen > 25


def test_questions_are_worded_in_many_ways_and_some_are_kept_apart():
    assert set(LEARNT) == set(KEPT) == {*WEIGHTS, "describe"} - {"absent", "unknown"}
    assert all(len(set(LEARNT[type])) >= 15 and len(set(KEPT[type])) >= 3 for type in LEARNT)
    assert all(not set(LEARNT[type]) & set(KEPT[type]) for type in LEARNT)
    assert not set(UNKNOWN_LEARNT) & set(UNKNOWN_KEPT)
    assert not (set(UNKNOWN_LEARNT) | set(UNKNOWN_KEPT)) & (set(KINDS) | set(COLOURS) | set(WORDS))


def test_disturbed_wordings_keep_their_names_whole_and_are_no_kept_ones():
    rng = random.Random(0)
    kept = {phrasing.rstrip("?.") for phrasings in KEPT.values() for phrasing in phrasings}
    for phrasing in {phrasing for phrasings in LEARNT.values() for phrasing in phrasings}:
        several = [disturb(phrasing, rng) for _ in range(60)]
        assert len(set(several)) >= 20 and phrasing in several
        assert all(re.findall(r"{\w}", text) == re.findall(r"{\w}", phrasing) for text in several)
        assert not {text.rstrip("?.") for text in several} & kept


def test_what_a_disturbed_question_speaks_of_is_marked_in_it():
    for seed in range(40):
        scene = invent_scene(FRESH + seed)
        for turn in make_turns(scene, random.Random(seed), 12, noisy=True):
            for start, end, objects in turn.asked:
                words = turn.question[start:end]
                assert words.startswith("[") or any(
                    word in words for i in objects for word in (scene.things[i].kind, scene.things[i].colour)
                )


@pytest.fixture(scope="module")
def tokenizer():
    return wrap_tokenizer(train_tokenizer(write_samples(1500)))


def test_text_survives_the_tokenizer(tokenizer):
    for turn in make_turns(invent_scene(FRESH), random.Random(1), 30):
        assert tokenizer.decode(tokenizer(turn.answer).input_ids) == turn.answer
    assert tokenizer.decode(tokenizer("Ein blaues Ü?").input_ids) == "ein blaues ü?"  # lower case, nothing lost
    assert tokenizer(REFUSAL).input_ids


def test_a_coordinate_is_one_token(tokenizer):
    for number in range(100):
        assert len(tokenizer(f"[{number:02d} {number:02d} {number:02d} {number:02d}]").input_ids) == 6
