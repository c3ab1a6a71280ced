"""What a caption can claim of a scene, whether it is true, and near misses of it. Knows no model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from patchwork.tiny.shapes import KINDS
from patchwork.tiny.world import COLOURS, SIZES, TEXTURES, WORDS, Scene, Thing, is_inside

LINKS = ("left of", "right of", "above", "below", "inside")
PLACES = ("on the left", "on the right", "at the top", "at the bottom")
CLEAR, VAGUE = 0.08, 0.03
"""A relation holds from a difference of CLEAR of the picture's side on, and does not below VAGUE."""


@dataclass(frozen=True)
class Mention:
    """What is said of one object; empty: nothing is said of that."""

    kind: str
    colour: str = ""
    size: str = ""
    texture: str = ""
    text: str = ""

    def __str__(self) -> str:
        words = " ".join(word for word in (self.size, self.texture, self.colour, self.kind) if word and word != "plain")
        return a(words) + (f" saying {self.text}" if self.text else "")

    def fits(self, thing: Thing) -> bool:
        return (
            self.kind == thing.kind
            and self.colour in ("", thing.colour)
            and self.size in ("", thing.size)
            and self.texture in ("", thing.texture)
            and self.text in ("", thing.text)
        )


@dataclass(frozen=True)
class Caption:
    """Objects that are there; `link` relates the first to the second, `place` says where the only one is."""

    mentions: tuple[Mention, ...]
    link: str = ""
    place: str = ""

    def __str__(self) -> str:
        names = [str(mention) for mention in self.mentions]
        return f"{names[0]} {self.link} {names[1]}" if self.link else " ".join([join(names), self.place]).strip()


def a(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def link_margin(link: str, first: Thing, second: Thing) -> float:
    """How clearly the relation holds, as a share of the side; "inside" holds by 1 or fails by 1."""
    if link == "inside":
        return 1.0 if is_inside(first, second) else -1.0
    axis, sign = {"left of": (0, 1), "right of": (0, -1), "above": (1, 1), "below": (1, -1)}[link]
    return sign * (second.centre[axis] - first.centre[axis])


def place_margin(place: str, thing: Thing) -> float:
    axis, sign = {"on the left": (0, 1), "on the right": (0, -1), "at the top": (1, 1), "at the bottom": (1, -1)}[place]
    return sign * (0.5 - thing.centre[axis])


def find_fits(scene: Scene, mentions: tuple[Mention, ...]) -> Iterator[list[Thing]]:
    """Every way to give each mention an object of its own."""
    if not mentions:
        yield []
        return
    for thing in scene.things:
        if mentions[0].fits(thing):
            for rest in find_fits(scene, mentions[1:]):
                if all(thing is not other for other in rest):
                    yield [thing, *rest]


def is_true(scene: Scene, caption: Caption, least: float = VAGUE) -> bool:
    """Whether the scene shows what the caption says; relations must hold by `least`."""
    for things in find_fits(scene, caption.mentions):
        if caption.link and link_margin(caption.link, *things) <= least:
            continue
        if caption.place and place_margin(caption.place, things[0]) <= least:
            continue
        return True
    return False


def mention(thing: Thing, rng: random.Random) -> Mention:
    """ "a red star" mostly; at times all that can be said of it, or its kind alone."""
    roll = rng.random()
    if roll < 0.1:
        return Mention(thing.kind)
    text = thing.text if rng.random() < 0.6 else ""
    if roll < 0.7:
        return Mention(thing.kind, thing.colour, text=text)
    return Mention(thing.kind, thing.colour, thing.size, "" if thing.texture == "plain" else thing.texture, text)


def choose_link(first: Thing, second: Thing, rng: random.Random) -> str:
    """A relation that clearly holds between the two, or none."""
    if is_inside(first, second):
        return "inside"
    holding = [link for link in LINKS if link_margin(link, first, second) > CLEAR]
    return rng.choice(holding) if holding else ""


def write_caption(scene: Scene, rng: random.Random, pair: bool | None = None) -> Caption:
    """Something true of the scene; `pair` asks for two named objects and their relation where there are two."""
    things = list(scene.things)
    rng.shuffle(things)
    roll = 0.5 if pair else rng.random()
    if len(things) > 1 and roll < 0.6:
        inner = [(x, y) for x in things for y in things if is_inside(x, y)]
        first, second = inner[0] if inner and rng.random() < 0.3 else things[:2]
        if link := choose_link(first, second, rng):
            if pair:
                names = Mention(first.kind, first.colour), Mention(second.kind, second.colour)
            else:
                names = mention(first, rng), mention(second, rng)
            return Caption(names, link)
    if len(things) == 1 or roll < 0.8:
        holding = [place for place in PLACES if place_margin(place, things[0]) > CLEAR]
        place = rng.choice(holding) if holding and rng.random() < 0.6 else ""
        return Caption((Mention(things[0].kind, things[0].colour) if pair else mention(things[0], rng),), place=place)
    return Caption(tuple(mention(thing, rng) for thing in things[: rng.choice((2, 2, 3, 4))]))


def spoil(scene: Scene, caption: Caption, how: str, rng: random.Random) -> Caption | None:
    """A caption that is almost right: an attribute, a relation or an object swapped. None where impossible."""
    swap = {"attribute": swap_attribute, "relation": swap_relation, "object": swap_object}[how]
    for _ in range(12):
        missed = swap(scene, caption, rng)
        if missed is None:
            return None
        if not is_true(scene, missed, -0.02 if missed.link == caption.link else VAGUE):
            return missed
    return None


def change(caption: Caption, number: int, **words: str) -> Caption:
    """The same caption with other words for one of its objects."""
    mentions = list(caption.mentions)
    mentions[number] = replace(mentions[number], **words)
    return replace(caption, mentions=tuple(mentions))


def swap_attribute(scene: Scene, caption: Caption, rng: random.Random) -> Caption:
    """Two colours exchanged, or another colour (half of the time one that is in the picture), size, pattern, word."""
    mentions = caption.mentions
    k = rng.randrange(len(mentions))
    if len(mentions) > 1 and rng.random() < 0.3:
        j = (k + 1) % len(mentions)
        return change(change(caption, k, colour=mentions[j].colour), j, colour=mentions[k].colour)
    if mentions[k].size and rng.random() < 0.35:
        return change(caption, k, size=rng.choice(list(SIZES)))
    if mentions[k].texture and rng.random() < 0.3:
        return change(caption, k, texture=rng.choice(TEXTURES[1:]))
    if mentions[k].text and rng.random() < 0.5:
        number = mentions[k].text.isdigit()
        return change(caption, k, text=str(rng.randint(10, 99)) if number else rng.choice(WORDS))
    near = [thing.colour for thing in scene.things]
    return change(caption, k, colour=rng.choice(near if rng.random() < 0.5 else list(COLOURS)))


def swap_relation(scene: Scene, caption: Caption, rng: random.Random) -> Caption | None:
    """Another relation, or the two objects exchanged; for a place, another place."""
    if caption.place:
        return replace(caption, place=rng.choice(PLACES))
    if not caption.link:
        return None
    link = caption.link if rng.random() < 0.4 else rng.choice(LINKS)
    return replace(caption, link=link, mentions=caption.mentions[:: rng.choice((1, -1))])


def swap_object(scene: Scene, caption: Caption, rng: random.Random) -> Caption:
    """Another kind of thing, a third of the time one that is in the picture."""
    near = [thing.kind for thing in scene.things]
    kind = rng.choice(near if rng.random() < 0.33 else list(KINDS))
    return change(caption, rng.randrange(len(caption.mentions)), kind=kind)
