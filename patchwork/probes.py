"""Probes: questions about drawn scenes whose true answers are known, put to any model that chats. Knows no page.

Wanted answers come in turns, so that none is commoner and a blind guess is right as often as `Axis.chance` says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal

from patchwork.answers import read_choice, read_number, read_yes_or_no
from patchwork.boxes import iou
from patchwork.tiny import FRESH
from patchwork.tiny.captions import a
from patchwork.tiny.shapes import KINDS
from patchwork.tiny.world import COLOURS, WORDS, Scene, Thing, invent_scene

if TYPE_CHECKING:
    from PIL import Image

    from patchwork.families.protocol import Model

FIRST = FRESH + 3_000_000
"""First seed of the probes' scenes: training stays below `FRESH`, and nothing else on the page draws these."""
ROOM = 100_000  # seeds of one axis
APART = 0.15  # of the picture's side: nearer than that, left and right could be argued about
MOST_COUNTED = 5
SIDE = 384  # pixels of a probe's picture
MOST_TOKENS = 48
ENOUGH = 0.5  # overlap with the true box, as intersection over union, from which a box counts as right
MIDDLE = (0.25, 0.25, 0.75, 0.75)
"""The box that a model would answer that never looks, in shares of the picture's side."""
Answers = Literal["word", "number", "yes or no", "box"]
Found = tuple[tuple[str, ...], str, int]
"""Names that go into the question, the true answer, and the number of the object that it is about (−1: all)."""


@dataclass(frozen=True)
class Axis:
    """One kind of question. `plain` is worded as training words it; `hint` tells other models what to choose from."""

    name: str
    title: str
    plain: str
    options: tuple[str, ...]
    answers: Answers = "word"
    hint: str = ""
    in_turns: bool = True  # whether every answer is wanted equally often

    @property
    def chance(self) -> float | None:
        """How often a blind guess among the offered answers is right, 0–1; None for boxes, which are measured."""
        return 1 / len(self.options) if self.options else None

    def ask(self, names: tuple[str, ...]) -> str:
        words = dict(zip("nm", names, strict=False))
        return self.plain.format(**words, a=a(words.get("n", "thing")))


def list_choices(options: tuple[str, ...]) -> str:
    """ "left or right", "red, orange or blue"."""
    return ", ".join(options[:-1]) + " or " + options[-1]


def one_word(*options: str) -> str:
    return f"Answer with one word: {list_choices(options)}."


NUMBERS = tuple(map(str, range(1, MOST_COUNTED + 1)))
SIGNS = (*WORDS, *map(str, range(10, 100)))
AXES = {
    axis.name: axis
    for axis in (
        Axis(
            "left or right",
            "Left or right",
            "is the {n} left or right of the {m}?",
            ("left", "right"),
            hint=one_word("left", "right"),
        ),
        Axis("colour", "Colour", "what colour is the {n}?", tuple(COLOURS), hint=one_word(*COLOURS)),
        Axis("kind", "Kind", "what is the {n} thing?", tuple(KINDS), hint=one_word(*KINDS)),
        Axis(
            "presence",
            "Presence",
            "is there {a} in the picture?",
            ("yes", "no"),
            "yes or no",
            one_word("yes", "no"),
        ),
        Axis(
            "above or below",
            "Above or below",
            "is the {n} above or below the {m}?",
            ("above", "below"),
            hint=one_word("above", "below"),
        ),
        Axis(
            "count",
            "Counting",
            "how many things are in the picture?",
            NUMBERS,
            "number",
            f"Answer with one number from 1 to {MOST_COUNTED}.",
        ),
        Axis(
            "sign",
            "Signs",
            "what does the sign say?",
            SIGNS,
            hint="Answer with that word or number only.",
            in_turns=False,
        ),
        Axis("box", "Boxes", "where is the {n}?", (), "box", in_turns=False),
    )
}
"""In the order in which they stand around the radar."""


@dataclass(frozen=True)
class Probe:
    """One question about one scene. `box`: x1, y1, x2, y2 of its object in shares of the picture's side."""

    axis: Axis
    seed: int
    objects: int | None
    names: tuple[str, ...]
    answer: str
    box: tuple[float, float, float, float] | None = None

    @property
    def scene(self) -> Scene:
        return invent_scene(self.seed, self.objects)

    def draw(self, side: int = SIDE) -> Image.Image:
        return self.scene.draw(side)

    @property
    def question(self) -> str:
        return self.axis.ask(self.names)

    @property
    def hinted(self) -> str:
        """The question with a capital letter and the closed set of answers, for models that know no drawn world."""
        return f"{self.question[0].upper()}{self.question[1:]} {self.axis.hint}".strip()

    def word_for(self, model: Model) -> str:
        """The bundled models know the plain wording only, from their training."""
        return self.question if model.card.bundled else self.hinted

    def read(self, text: str) -> str:
        """Which of the offered answers this is; "" where that cannot be told."""
        if self.axis.answers == "yes or no":
            return read_yes_or_no(text)
        return read_number(text) if self.axis.answers == "number" else read_choice(text, self.axis.options)


def find_questions(name: str, scene: Scene) -> list[Found]:
    """All that can be asked of this scene on this axis without room for argument."""
    things = scene.things
    alone = [i for i, thing in enumerate(things) if sum(other.kind == thing.kind for other in things) == 1]
    if name == "colour":
        return [((things[i].kind,), things[i].colour, i) for i in alone]
    if name == "kind":
        colours = [thing.colour for thing in things]
        return [((t.colour,), t.kind, i) for i, t in enumerate(things) if colours.count(t.colour) == 1]
    if name == "count":
        return [((), str(len(things)), -1)] if len(things) <= MOST_COUNTED else []
    if name == "presence":
        return [((kind,), "yes" if any(t.kind == kind for t in things) else "no", -1) for kind in KINDS]
    if name == "sign":
        signs = [i for i, thing in enumerate(things) if thing.text]
        return [(("sign",), things[signs[0]].text, signs[0])] if len(signs) == 1 else []
    if name == "box":
        return [((thing.name,), "", i) for i, thing in enumerate(things)]
    axis = 0 if name == "left or right" else 1
    return [found for i in alone for j in alone if i != j for found in relate(things, i, j, axis)]


def relate(things: tuple[Thing, ...], i: int, j: int, axis: int) -> list[Found]:
    """The one question about two objects, none where they are too near each other on this axis."""
    distance = things[i].centre[axis] - things[j].centre[axis]
    words = ("left", "right") if axis == 0 else ("above", "below")
    return [((things[i].kind, things[j].kind), words[distance > 0], i)] if abs(distance) >= APART else []


def write_probes(name: str) -> Iterator[Probe]:
    """The axis's probes, always the same ones in the same order, each about a scene of its own; no end."""
    axis, rng = AXES[name], random.Random(name)
    seeds = count(FIRST + ROOM * list(AXES).index(name))
    while True:
        for wanted in rng.sample(axis.options, len(axis.options)) if axis.in_turns else [""]:
            yield find_probe(axis, wanted, rng, seeds)


def find_probe(axis: Axis, wanted: str, rng: random.Random, seeds: Iterator[int]) -> Probe:
    """The next scene with a question that has this answer, or any where none is wanted."""
    objects = int(wanted) if axis.name == "count" else None
    kind = rng.choice(list(KINDS))  # asked for as often where it is there as where it is not
    for seed in seeds:
        scene = invent_scene(seed, objects)
        fitting = [one for one in find_questions(axis.name, scene) if wanted in ("", one[1])]
        if axis.name == "presence":
            fitting = [one for one in fitting if one[0] == (kind,)]
        if fitting:
            names, answer, number = rng.choice(fitting)
            return Probe(axis, seed, objects, names, answer, scene.things[number].box if number >= 0 else None)
    raise AssertionError("seeds have no end")


def find_other(probe: Probe) -> Probe:
    """The same question about another scene, where its answer is another."""
    for seed in count(probe.seed + ROOM * len(AXES)):
        for names, answer, number in find_questions(probe.axis.name, scene := invent_scene(seed)):
            if names == probe.names and answer != probe.answer:
                box = scene.things[number].box if number >= 0 else None
                return Probe(probe.axis, seed, None, names, answer, box)
    raise AssertionError("seeds have no end")


@dataclass(frozen=True)
class Outcome:
    """What a model said to a probe, how that was read ("" where it could not be), and whether it is right."""

    said: str
    read: str
    right: bool


def put(probe: Probe, model: Model) -> Outcome:
    """Ask the model; a box is asked for in the checkpoint's own way, and its first one counts."""
    picture = probe.draw()
    if probe.axis.answers == "box":
        return put_box(probe, model, picture)
    said = "".join(model.chat([picture], probe.word_for(model), max_new_tokens=MOST_TOKENS)).strip()
    read = probe.read(said)
    return Outcome(said, read, read == probe.answer)


def put_box(probe: Probe, model: Model, picture: Image.Image) -> Outcome:
    *_, grounding = model.ground(picture, probe.names[0])
    if not grounding.boxes:
        return Outcome(grounding.text.strip(), "", False)
    overlap = overlap_box(probe, tuple(edge / picture.width for edge in grounding.boxes[0].box))
    return Outcome(grounding.text.strip(), f"overlap {overlap:.2f}", overlap >= ENOUGH)


def overlap_box(probe: Probe, box: tuple[float, float, float, float] = MIDDLE) -> float:
    """Intersection over union with the true box, of a box in shares of the picture's side."""
    return iou(probe.box, box)
