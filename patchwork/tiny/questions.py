"""What can be asked of a scene, in several phrasings, with the true answer and the objects it speaks of."""

from __future__ import annotations

import random
from dataclasses import dataclass

from patchwork.tiny.world import COLOURS, KINDS, Scene, Thing, plural

REFUSAL = "i only know drawn scenes."
NUMBERS = ("no", "one", "two", "three", "four", "five")


@dataclass(frozen=True)
class Turn:
    """`spans`: (first character, end, object indices): which parts of the answer speak of which objects."""

    type: str
    question: str
    answer: str
    spans: tuple[tuple[int, int, tuple[int, ...]], ...] = ()


PHRASINGS: dict[str, tuple[str, ...]] = {
    "colour": (
        "what colour is the {k}?",
        "what color is the {k}?",
        "which colour does the {k} have?",
        "the {k} is what colour?",
        "tell me the colour of the {k}.",
        "what is the colour of the {k}?",
        "colour of the {k}?",
    ),
    "kind": (
        "what is the {c} thing?",
        "what is the {c} object?",
        "what shape is the {c} thing?",
        "name the {c} object.",
        "which object is {c}?",
        "what {c} thing do you see?",
    ),
    "size": (
        "how big is the {k}?",
        "what size is the {k}?",
        "is the {k} small, medium or large?",
        "how large is the {k}?",
        "tell me the size of the {k}.",
    ),
    "texture": (
        "what pattern does the {k} have?",
        "is the {k} plain, striped or dotted?",
        "what texture has the {k}?",
        "what is the pattern of the {k}?",
    ),
    "count": (
        "how many {ks} are there?",
        "how many {ks} do you see?",
        "count the {ks}.",
        "how many {ks} are in the picture?",
        "what is the number of {ks}?",
    ),
    "count all": (
        "how many things are there?",
        "how many objects are there?",
        "how many objects do you see?",
        "count the objects.",
        "how many things are in the picture?",
    ),
    "is there": (
        "is there {a}?",
        "do you see {a}?",
        "can you see {a}?",
        "is {a} in the picture?",
        "does the picture show {a}?",
    ),
    "left or right": (
        "is the {n} left or right of the {m}?",
        "is the {n} to the left or to the right of the {m}?",
        "on which side of the {m} is the {n}, left or right?",
    ),
    "above or below": (
        "is the {n} above or below the {m}?",
        "is the {n} higher or lower than the {m}, above or below?",
        "above or below the {m}: where is the {n}?",
    ),
    "where": (
        "where is the {n}?",
        "find the {n}.",
        "locate the {n}.",
        "show me the {n}.",
        "point to the {n}.",
        "give the box of the {n}.",
    ),
    "what is in": ("what is in {b}?", "what is at {b}?", "describe {b}.", "which object is in {b}?"),
    "describe": (
        "describe the picture.",
        "describe the image.",
        "what do you see?",
        "what is in the picture?",
        "what does the picture show?",
        "write a caption.",
        "describe this picture.",
        "what is this?",
    ),
}


def a(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def box_text(thing: Thing) -> str:
    """`[x1 y1 x2 y2]`: two digits each, hundredths of the picture's side, 99 at the most."""
    return "[" + " ".join(f"{min(99, int(100 * v)):02d}" for v in thing.box) + "]"


def join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def caption(scene: Scene, order: list[int]) -> tuple[str, tuple]:
    """The objects in reading order and which characters speak of which."""
    text, spans = "", []
    for place, index in enumerate(order):
        if place:
            text += " and " if place == len(order) - 1 else ", "
        phrase = a(scene.things[index].phrase)
        spans.append((len(text), len(text) + len(phrase), (index,)))
        text += phrase
    return text + ".", tuple(spans)


def reading_order(scene: Scene) -> list[int]:
    return sorted(range(len(scene.things)), key=lambda i: scene.things[i].centre[0])


def whole(answer: str, *objects: int) -> tuple:
    """The whole answer speaks of these objects (of none: nothing to point at)."""
    return ((0, len(answer), objects),) if objects else ()


def shortest_name(scene: Scene, thing: Thing, rng: random.Random) -> str:
    """ "star" where that is enough, else (or sometimes anyway) "red star"."""
    alone = sum(t.kind == thing.kind for t in scene.things) == 1
    return thing.kind if alone and rng.random() < 0.5 else thing.name


def ask(type: str, rng: random.Random, **words: str) -> str:
    return rng.choice(PHRASINGS[type]).format(**words)


def absent_name(scene: Scene, rng: random.Random) -> str:
    """A colour and kind that are not there together; half of the time close to an object that is."""
    present = {t.name for t in scene.things}
    while True:
        thing = rng.choice(scene.things)
        roll = rng.random()
        colour = rng.choice(list(COLOURS)) if roll < 0.6 else thing.colour
        kind = thing.kind if roll < 0.3 else rng.choice(list(KINDS))
        if f"{colour} {kind}" not in present:
            return f"{colour} {kind}"


def absent_kind(scene: Scene, rng: random.Random) -> str:
    return rng.choice([k for k in KINDS if all(t.kind != k for t in scene.things)])


def make_turn(type: str, scene: Scene, rng: random.Random, focus: int | None = None) -> Turn | None:
    """One question of this type about this scene, or None where the scene does not allow it."""
    things = scene.things
    i = rng.randrange(len(things)) if focus is None else focus
    t = things[i]
    name = shortest_name(scene, t, rng)
    if type in ("colour", "size", "texture"):
        if type == "colour":
            if sum(o.kind == t.kind for o in things) > 1:
                return None
            name = t.kind
        answer = {"colour": t.colour, "size": t.size, "texture": t.texture}[type]
        return Turn(type, ask(type, rng, k=name), answer, whole(answer, i))
    if type == "kind":
        if sum(o.colour == t.colour for o in things) > 1:
            return None
        answer = a(t.kind)
        return Turn(type, ask(type, rng, c=t.colour), answer, whole(answer, i))
    if type == "count":
        kind = t.kind if rng.random() < 0.85 else absent_kind(scene, rng)
        members = tuple(j for j, o in enumerate(things) if o.kind == kind)
        answer = str(len(members))
        return Turn(type, ask(type, rng, ks=plural(kind)), answer, whole(answer, *members))
    if type == "count all":
        answer = str(len(things))
        return Turn(type, ask(type, rng), answer, whole(answer, *range(len(things))))
    if type == "is there":
        if rng.random() < 0.5:
            words = t.name if rng.random() < 0.7 else t.kind
            return Turn(type, ask(type, rng, a=a(words)), f"yes, there is {a(words)}.", whole("yes", i))
        words = absent_name(scene, rng) if rng.random() < 0.7 else absent_kind(scene, rng)
        return Turn(type, ask(type, rng, a=a(words)), f"no, there is no {words}.")
    if type in ("left or right", "above or below"):
        axis = 0 if type == "left or right" else 1
        others = [j for j, o in enumerate(things) if abs(o.centre[axis] - t.centre[axis]) > 0.08]
        if not others:
            return None
        j = rng.choice(others)
        smaller = t.centre[axis] < things[j].centre[axis]
        answer = (("left", "right") if axis == 0 else ("above", "below"))[not smaller]
        m = shortest_name(scene, things[j], rng)
        return Turn(type, ask(type, rng, n=name, m=m), answer, whole(answer, i, j))
    if type == "where":
        answer = box_text(t)
        return Turn(type, ask(type, rng, n=name), answer, whole(answer, i))
    if type == "what is in":
        answer = a(t.phrase)
        return Turn(type, ask(type, rng, b=box_text(t)), answer, whole(answer, i))
    if type == "absent":
        kind = absent_kind(scene, rng)
        question = ask(rng.choice(["colour", "size", "texture", "where"]), rng, k=kind, n=kind)
        return Turn(type, question, f"there is no {kind}.")
    answer, spans = caption(scene, reading_order(scene))
    return Turn("describe", ask("describe", rng), answer, spans)


WEIGHTS = {
    "colour": 1.2,
    "kind": 1.0,
    "size": 0.6,
    "texture": 0.6,
    "count": 0.9,
    "count all": 0.5,
    "is there": 1.3,
    "left or right": 0.8,
    "above or below": 0.8,
    "where": 1.3,
    "what is in": 0.9,
    "absent": 0.5,
}


def make_turns(scene: Scene, rng: random.Random, count: int = 9) -> list[Turn]:
    """A description and `count` − 1 other questions."""
    turns = [make_turn("describe", scene, rng)]
    while len(turns) < count:
        turn = make_turn(rng.choices(list(WEIGHTS), WEIGHTS.values())[0], scene, rng)
        if turn:
            turns.append(turn)
    return turns


def relation(first: Thing, second: Thing) -> str:
    dx, dy = second.centre[0] - first.centre[0], second.centre[1] - first.centre[1]
    if abs(dx) > abs(dy):
        return "left of" if dx > 0 else "right of"
    return "above" if dy > 0 else "below"


OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}


def clip_caption(scene: Scene, rng: random.Random) -> tuple[list, str]:
    """(parts, text): parts are [colour, kind] pairs, and for two objects a relation between them."""
    chosen = rng.sample(range(len(scene.things)), min(len(scene.things), rng.choice((1, 2, 2, 3, 4))))
    parts = [[scene.things[i].colour, scene.things[i].kind] for i in chosen]
    link = (
        relation(scene.things[chosen[0]], scene.things[chosen[1]]) if len(parts) == 2 and rng.random() < 0.7 else None
    )
    return [parts, link, chosen], say(parts, link)


def say(parts: list, link: str | None) -> str:
    names = [a(" ".join(p)) for p in parts]
    return f"{names[0]} {link} {names[1]}" if link else join(names)


def is_true(scene: Scene, parts: list, link: str | None) -> bool:
    """Whether the scene contains all that the caption says (with distinct objects for repeated names)."""
    names = [" ".join(p) for p in parts]
    if any(names.count(n) > sum(t.name == n for t in scene.things) for n in names):
        return False
    if not link:
        return True
    find = {t.name: t for t in scene.things}
    return relation(find[names[0]], find[names[1]]) == link


def spoil(scene: Scene, caption: list, how: str, rng: random.Random) -> str | None:
    """A caption that is almost right: an attribute, a relation or an object swapped. None where impossible."""
    parts, link, _ = caption
    for _ in range(20):
        new, new_link = [list(p) for p in parts], link
        k = rng.randrange(len(new))
        if how == "relation":
            if not link:
                return None
            if rng.random() < 0.5:
                new_link = OPPOSITE[link]
            else:
                new = new[::-1]
        elif how == "attribute":
            if len(new) > 1 and rng.random() < 0.5:
                j = (k + 1) % len(new)
                new[k][0], new[j][0] = new[j][0], new[k][0]
            else:
                new[k][0] = rng.choice(list(COLOURS))
        else:
            new[k][1] = rng.choice(list(KINDS))
        if not is_true(scene, new, new_link):
            return say(new, new_link)
    return None
