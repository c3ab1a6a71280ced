"""Captions are true, near misses are not, and there are sixteen of the promised kinds."""

import random

import pytest

from patchwork.tiny import FRESH, invent_scene
from patchwork.tiny.captions import Caption, Mention, is_true, spoil, write_caption
from patchwork.tiny.looking import write_near_misses
from patchwork.tiny.world import Scene, Thing

STAR = Thing("star", "red", "small", "plain", (0.2, 0.5), 0.08)
FISH = Thing("fish", "blue", "large", "striped", (0.7, 0.52), 0.18)
SCENE = Scene((STAR, FISH), ((200, 200, 200), (200, 200, 200), 0.0), 0)


@pytest.mark.parametrize(
    "words, first, second, link, true",
    [
        ("a red star left of a blue fish", Mention("star", "red"), Mention("fish", "blue"), "left of", True),
        ("a blue fish left of a red star", Mention("fish", "blue"), Mention("star", "red"), "left of", False),
        ("a fish right of a star", Mention("fish"), Mention("star"), "right of", True),
        ("a blue star left of a red fish", Mention("star", "blue"), Mention("fish", "red"), "left of", False),
        ("a star inside a fish", Mention("star"), Mention("fish"), "inside", False),
        ("a large star left of a fish", Mention("star", size="large"), Mention("fish"), "left of", False),
    ],
)
def test_a_claim_is_checked_against_the_scene(words, first, second, link, true):
    caption = Caption((first, second), link)
    assert str(caption) == words and is_true(SCENE, caption) == true


def test_two_mentions_need_two_objects():
    assert not is_true(SCENE, Caption((Mention("star"), Mention("star", "red"))))


def test_captions_are_true_and_near_misses_are_not():
    rng = random.Random(0)
    for seed in range(300):
        scene = invent_scene(FRESH + seed)
        caption = write_caption(scene, rng)
        assert is_true(scene, caption)
        for how in ("attribute", "relation", "object"):
            missed = spoil(scene, caption, how, rng)
            assert missed is None or (str(missed) != str(caption) and not is_true(scene, missed))


def test_sixteen_different_near_misses_of_each_pair():
    rng = random.Random(0)
    for seed in range(40):
        scene = invent_scene(FRESH + seed, count=3)
        caption = write_caption(scene, rng, pair=True)
        misses = write_near_misses(scene, caption, rng)
        assert len(set(misses)) == 16 and str(caption) not in misses
