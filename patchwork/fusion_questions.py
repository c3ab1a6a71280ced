"""The small set of questions that the fusion modules learn: colour, kind, corner, count. Knows no model."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from patchwork.tiny import FRESH, Scene, invent_scene
from patchwork.tiny.world import COLOURS, KINDS

HELD_OUT = FRESH + 500_000
"""First seed of the scenes that accuracy is measured on; training uses seeds from 0 on."""

HOW_MANY = "how many things are there?"
COLOUR, KIND, WHERE, COUNT = "colour", "kind", "where", "count"
MOST = 4
"""Objects in a scene: more than these is a task for a larger model."""

MARGIN = 0.05
"""Objects this near the middle of the picture are not asked for their corner."""


@dataclass(frozen=True)
class Asked:
    """One question to one scene (its index), and the true answer."""

    scene: int
    type: str
    question: str
    answer: str


def ask_scene(index: int, scene: Scene) -> Iterator[Asked]:
    """Every question of the small set that has one true answer here."""
    kinds, colours = (Counter(getattr(thing, name) for thing in scene.things) for name in ("kind", "colour"))
    yield Asked(index, COUNT, HOW_MANY, str(len(scene.things)))
    for thing in scene.things:
        if colours[thing.colour] == 1:
            yield Asked(index, KIND, f"what is the {thing.colour} thing?", thing.kind)
        if kinds[thing.kind] > 1:
            continue
        yield Asked(index, COLOUR, f"what colour is the {thing.kind}?", thing.colour)
        if all(abs(place - 0.5) > MARGIN for place in thing.centre):
            yield Asked(index, WHERE, f"where is the {thing.kind}?", name_corner(*thing.centre))


def invent_scenes(first: int, count: int) -> list[Scene]:
    """The first `count` scenes of at most `MOST` objects from seed `first` on."""
    scenes = filter(lambda scene: len(scene.things) <= MOST, map(invent_scene, itertools.count(first)))
    return list(itertools.islice(scenes, count))


def name_corner(x: float, y: float) -> str:
    """Fractions of the picture's side → "top left" and so on."""
    return f"{'top' if y < 0.5 else 'bottom'} {'left' if x < 0.5 else 'right'}"


def list_questions() -> list[str]:
    """All questions that the modules can be asked."""
    return [
        HOW_MANY,
        *(f"what colour is the {kind}?" for kind in KINDS),
        *(f"where is the {kind}?" for kind in KINDS),
        *(f"what is the {colour} thing?" for colour in COLOURS),
    ]
