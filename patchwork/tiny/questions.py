"""What can be asked of a scene, with the true answer and the objects that question and answer speak of."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from patchwork.tiny.captions import CLEAR, Mention, a, join, spoil, write_caption
from patchwork.tiny.disturb import disturb
from patchwork.tiny.phrasings import (
    ELSEWHERE_KEPT,
    ELSEWHERE_LEARNT,
    KEPT,
    LEARNT,
    UNKNOWN_KEPT,
    UNKNOWN_LEARNT,
)
from patchwork.tiny.shapes import HOLE, KINDS
from patchwork.tiny.world import COLOURS, Scene, Thing, is_inside, plural

REFUSAL = "i only know drawn scenes."
NAMED = 5
"""A description names at most so many objects, from left to right; of the rest it gives the number."""
Span = tuple[int, int, tuple[int, ...]]
"""First character, end, and the objects those characters speak of."""


@dataclass(frozen=True)
class Turn:
    """`asked`, `spans`: which parts of question and answer speak of which objects. `pair`: of two, told apart."""

    type: str
    question: str
    answer: str
    asked: tuple[Span, ...] = ()
    spans: tuple[Span, ...] = ()
    pair: bool = False


@dataclass(frozen=True)
class Name:
    """Words for objects of a scene."""

    words: str
    objects: tuple[int, ...] = ()


def fill_in(phrasing: str, names: dict[str, Name]) -> tuple[str, tuple[Span, ...]]:
    """The phrasing with names put in for their letters, and where it speaks of which objects."""
    text, spans = "", []
    for piece in re.split(r"(\{\w\})", phrasing):
        name = names.get(piece[1:-1]) if piece.startswith("{") else None
        if name and name.objects:
            spans.append((len(text), len(text) + len(name.words), name.objects))
        text += name.words if name else piece
    return text, tuple(spans)


class Asker:
    """Makes questions about one scene; `kept` words them as training never does, `noisy` as people may type."""

    def __init__(self, scene: Scene, rng: random.Random, kept: bool = False, noisy: bool = False) -> None:
        self.noisy = noisy
        self.scene, self.things, self.rng = scene, scene.things, rng
        self.kept, self.phrasings = kept, KEPT if kept else LEARNT

    def ask(self, type: str, **names: Name) -> tuple[str, tuple[Span, ...]]:
        """A question of this type with the names put in, and where it speaks of which objects."""
        phrasing = self.rng.choice(self.phrasings[type])
        text, spans = fill_in(disturb(phrasing, self.rng) if self.noisy else phrasing, names)
        if not self.kept and self.rng.random() < 0.1:  # readers leave the last sign out
            text = text.rstrip("?.")
        return text, spans

    def answer(self, type: str, answer: str, objects: tuple[int, ...] = (), pair=False, **names: Name) -> Turn:
        """A turn whose whole answer speaks of these objects."""
        question, asked = self.ask(type, **names)
        return Turn(type, question, answer, asked, ((0, len(answer), objects),) if objects else (), pair)

    def name(self, number: int) -> Name:
        """ "star" where that is enough, else (or sometimes anyway) "red star"."""
        thing = self.things[number]
        alone = sum(other.kind == thing.kind for other in self.things) == 1
        return Name(thing.kind if alone and self.rng.random() < 0.5 else thing.name, (number,))

    def make(self, type: str, focus: int | None = None) -> Turn | None:
        """One question of this type, about object `focus` if given; None where the scene does not allow it."""
        number = self.rng.randrange(len(self.things)) if focus is None else focus
        makers = {
            "colour": self.make_colour,
            "size": lambda i: self.answer("size", self.things[i].size, (i,), n=self.name(i)),
            "texture": lambda i: self.answer("texture", self.things[i].texture, (i,), n=self.name(i)),
            "kind": self.make_kind,
            "count": self.make_count,
            "count all": lambda i: self.answer("count all", str(len(self.things)), tuple(range(len(self.things)))),
            "is there": self.make_presence,
            "left or right": lambda i: self.make_relation("left or right", i),
            "above or below": lambda i: self.make_relation("above or below", i),
            "is it so": self.make_claim,
            "inside": self.make_inside,
            "sign": self.make_sign,
            "where": lambda i: self.answer("where", box_text(self.things[i]), (i,), n=self.name(i)),
            "what is in": self.make_region,
            "absent": self.make_absent,
            "unknown": self.make_unknown,
            "describe": self.make_description,
        }
        return makers[type](number)

    def make_colour(self, i: int) -> Turn | None:
        thing = self.things[i]
        if sum(other.kind == thing.kind for other in self.things) > 1:
            return None
        return self.answer("colour", thing.colour, (i,), n=Name(thing.kind, (i,)))

    def make_kind(self, i: int) -> Turn | None:
        thing = self.things[i]
        if sum(other.colour == thing.colour for other in self.things) > 1:
            return None
        return self.answer("kind", a(thing.kind), (i,), c=Name(thing.colour, (i,)))

    def make_count(self, i: int) -> Turn:
        """Of a kind or of a colour; more often than by chance of one that is there twice, or not at all."""
        by_kind = self.rng.random() < 0.7
        value = lambda thing: thing.kind if by_kind else thing.colour  # noqa: E731
        values = [value(thing) for thing in self.things]
        several = [v for v in values if values.count(v) > 1]
        roll, chosen = self.rng.random(), values[i]
        if roll < 0.3:
            chosen = self.rng.choice([v for v in (KINDS if by_kind else COLOURS) if v not in values] or [chosen])
        elif several and roll < 0.8:
            chosen = self.rng.choice(several)
        members = tuple(j for j, v in enumerate(values) if v == chosen)
        words = plural(chosen) if by_kind else f"{chosen} {self.rng.choice(('things', 'objects'))}"
        return self.answer("count", str(len(members)), members, s=Name(words, members))

    def make_presence(self, i: int) -> Turn:
        if self.rng.random() < 0.5:
            thing = self.things[i]
            words = thing.name if self.rng.random() < 0.7 else thing.kind
            members = tuple(j for j, other in enumerate(self.things) if words in (other.name, other.kind))
            return self.answer("is there", f"yes, there is {a(words)}.", members, a=Name(a(words), members))
        words = self.absent_name() if self.rng.random() < 0.7 else self.absent_kind()
        return self.answer("is there", f"no, there is no {words}.", a=Name(a(words)))

    def absent_name(self) -> str:
        """A colour and kind that are not there together; half of the time close to an object that is."""
        present = {thing.name for thing in self.things}
        while True:
            thing, roll = self.rng.choice(self.things), self.rng.random()
            colour = self.rng.choice(list(COLOURS)) if roll < 0.6 else thing.colour
            kind = thing.kind if roll < 0.3 else self.rng.choice(list(KINDS))
            if f"{colour} {kind}" not in present:
                return f"{colour} {kind}"

    def absent_kind(self) -> str:
        present = {thing.kind for thing in self.things}
        return self.rng.choice([kind for kind in KINDS if kind not in present])

    def other(self, i: int, axis: int) -> int | None:
        """Another object that lies clearly to one side on this axis."""
        here = self.things[i].centre[axis]
        others = [j for j, thing in enumerate(self.things) if abs(thing.centre[axis] - here) > CLEAR]
        return self.rng.choice(others) if others else None

    def make_relation(self, type: str, i: int) -> Turn | None:
        axis = 0 if type == "left or right" else 1
        j = self.other(i, axis)
        if j is None:
            return None
        after = self.things[i].centre[axis] > self.things[j].centre[axis]
        words = (("left", "right") if axis == 0 else ("above", "below"))[after]
        return self.answer(type, words, (i, j), pair=True, n=self.name(i), m=self.name(j))

    def make_claim(self, i: int) -> Turn | None:
        """A relation of two objects that holds, or a near miss of one."""
        caption, holds = write_caption(self.scene, self.rng, pair=True), self.rng.random() < 0.5
        if caption.link and not holds:
            caption = spoil(
                self.scene, caption, self.rng.choice(("relation", "relation", "attribute", "object")), self.rng
            )
        if not caption or not caption.link:
            return None
        first, second = (self.claim_name(mention) for mention in caption.mentions)
        side = caption.link.endswith("of") and self.rng.random() < 0.5
        link = Name(f"to the {caption.link}" if side else caption.link)
        objects = (*first.objects, *second.objects) if first.objects and second.objects else ()
        return self.answer("is it so", "yes" if holds else "no", objects, pair=True, n=first, m=second, r=link)

    def claim_name(self, mention: Mention) -> Name:
        """Of an object that is there, or of none."""
        members = [j for j, thing in enumerate(self.things) if mention.fits(thing)]
        return self.name(members[0]) if members else Name(f"{mention.colour} {mention.kind}")

    def make_inside(self, i: int) -> Turn | None:
        holders = [j for j, thing in enumerate(self.things) if thing.kind in HOLE]
        if not holders:
            return None
        j = self.rng.choice(holders)
        inner = [k for k, thing in enumerate(self.things) if is_inside(thing, self.things[j])]
        answer = a(self.things[inner[0]].name) if inner else "nothing"
        return self.answer("inside", answer, (inner[0] if inner else j,), m=self.name(j))

    def make_sign(self, i: int) -> Turn | None:
        signs = [j for j, thing in enumerate(self.things) if thing.text]
        if not signs:
            return None
        j = self.rng.choice(signs)
        return self.answer("sign", self.things[j].text, (j,), n=self.name(j))

    def make_region(self, i: int) -> Turn:
        thing = self.things[i]
        return self.answer("what is in", a(thing.phrase), (i,), b=Name(box_text(thing), (i,)))

    def make_absent(self, i: int) -> Turn:
        """A question that takes for granted what is not there."""
        kind = self.absent_kind()
        type = "sign" if kind == "sign" else self.rng.choice(("colour", "size", "texture", "where"))
        words = self.absent_name() if type != "colour" and kind != "sign" and self.rng.random() < 0.4 else kind
        question, _ = self.ask(type, n=Name(words))
        return Turn("absent", question, f"there is no {words}.")

    def make_unknown(self, i: int) -> Turn:
        """About things that the drawn world does not have."""
        nouns, elsewhere = (UNKNOWN_KEPT, ELSEWHERE_KEPT) if self.kept else (UNKNOWN_LEARNT, ELSEWHERE_LEARNT)
        if self.rng.random() < 0.25:
            return Turn("unknown", self.rng.choice(elsewhere), REFUSAL)
        noun, type = self.rng.choice(nouns), self.rng.choice(("colour", "size", "where", "is there"))
        if self.rng.random() < 0.2:
            noun = f"{self.rng.choice(list(COLOURS))} {noun}"
        question, _ = self.ask(type, n=Name(noun), a=Name(a(noun)))
        return Turn("unknown", question, REFUSAL)

    def make_description(self, i: int) -> Turn:
        answer, spans = describe_scene(self.scene)
        return Turn("describe", self.ask("describe")[0], answer, (), spans)


def box_text(thing: Thing) -> str:
    """`[x1 y1 x2 y2]`: two digits each, hundredths of the picture's side, 99 at the most."""
    return "[" + " ".join(f"{min(99, int(100 * v)):02d}" for v in thing.box) + "]"


def describe_scene(scene: Scene) -> tuple[str, tuple[Span, ...]]:
    """The objects from left to right, those inside others with them, and which characters speak of which.

    What joins an object to the one before speaks of it already: whether ", ", " and" or " inside" is to be said.
    """
    things = scene.things
    inner = {i: j for i, x in enumerate(things) for j, y in enumerate(things) if is_inside(x, y)}
    order = sorted((i for i in range(len(things)) if i not in inner.values()), key=lambda i: things[i].centre[0])
    chains = [[i, inner[i]] if i in inner else [i] for i in order]
    named = [chain for k, chain in enumerate(chains) if sum(map(len, chains[: k + 1])) <= NAMED]
    rest = len(things) - sum(map(len, named))
    parts = [" inside ".join(a(things[i].phrase) for i in chain) for chain in named]
    text = join([*parts, f"{rest} more"] if rest else parts) + "."
    spans, start, told = [], 0, [i for chain in named for i in chain]
    for i in told:
        phrase = a(things[i].phrase)
        end = text.index(phrase, start) + len(phrase)
        spans.append((start, end, (i,)))
        start = end
    if rest:
        spans.append((start, len(text) - 1, tuple(i for i in range(len(things)) if i not in told)))
    return text, tuple(spans)


WEIGHTS = {
    "colour": 1.0,
    "kind": 1.0,
    "size": 0.6,
    "texture": 0.6,
    "count": 1.0,
    "count all": 0.4,
    "is there": 1.4,
    "left or right": 1.0,
    "above or below": 0.8,
    "is it so": 1.0,
    "inside": 0.7,
    "sign": 1.2,
    "where": 1.3,
    "what is in": 0.9,
    "absent": 0.8,
    "unknown": 0.12,
}
"""How often training asks each type, where the scene allows it. Where more is refused, so is unfamiliar wording."""


def make_turn(type: str, scene: Scene, rng: random.Random, focus: int | None = None, kept: bool = False) -> Turn | None:
    """One question of this type about this scene, or None where the scene does not allow it."""
    return Asker(scene, rng, kept).make(type, focus)


def make_turns(scene: Scene, rng: random.Random, count: int = 9, noisy: bool = False) -> list[Turn]:
    """A description and `count` − 1 other questions."""
    asker = Asker(scene, rng, noisy=noisy)
    turns = [asker.make("describe")]
    while len(turns) < count:
        if turn := asker.make(rng.choices(list(WEIGHTS), WEIGHTS.values())[0]):
            turns.append(turn)
    return turns
