"""The toy world: which scenes of drawn objects there are. Knows nothing about pixels, questions or models."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from patchwork.tiny.shapes import HOLE, KINDS

COLOURS = {
    "red": (214, 40, 40),
    "orange": (244, 132, 28),
    "yellow": (250, 208, 44),
    "green": (52, 160, 74),
    "blue": (36, 92, 208),
    "purple": (132, 58, 168),
    "pink": (244, 138, 184),
    "brown": (122, 78, 44),
    "black": (34, 34, 40),
    "white": (250, 250, 250),
}
SIZES = {"small": (0.08, 0.096), "medium": (0.118, 0.138), "large": (0.165, 0.195)}
"""Half the width, least and most, as a share of the picture's side."""
CONTAINER = (0.225, 0.26)  # half the width of a ring or frame that something lies inside of; called large
TEXTURES = ("plain", "striped", "dotted")
WORDS = (
    *("stop", "go", "open", "exit", "cafe", "park", "shop", "taxi", "bus", "zoo", "bank"),
    *("menu", "sale", "hot", "cold", "east", "west", "help", "milk", "tea", "new", "home"),
)
"""Words a sign can carry; else it carries a number from 10 to 99."""
PLURAL = {"fish": "fish", "cross": "crosses", "leaf": "leaves"}
COUNTS = {1: 16, 2: 27, 3: 23, 4: 15, 5: 10, 6: 3, 7: 2, 8: 2, 9: 2}
"""How many objects a scene has, and how often, in per cent."""

# Colour–kind pairs that training never draws: they measure whether the model composes.
HELD_OUT = frozenset(
    {
        ("red", "star"),
        ("blue", "fish"),
        ("green", "heart"),
        ("yellow", "boat"),
        ("purple", "house"),
        ("orange", "tree"),
        ("pink", "car"),
        ("black", "moon"),
        ("white", "cup"),
        ("brown", "flower"),
        ("green", "crown"),
        ("blue", "mushroom"),
        ("red", "bell"),
        ("yellow", "key"),
    }
)


@dataclass(frozen=True)
class Thing:
    """One drawn object. `centre` and `half` are shares of the picture's side; `text` is what a sign carries."""

    kind: str
    colour: str
    size: str
    texture: str
    centre: tuple[float, float]
    half: float
    tilt: float = 0.0
    text: str = ""

    def place(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Points of the kind's own square, as shares of the picture."""
        c, s = self.half * math.cos(self.tilt), self.half * math.sin(self.tilt)
        return [(self.centre[0] + c * x - s * y, self.centre[1] + s * x + c * y) for x, y in points]

    @property
    def polygons(self) -> tuple[list, list]:
        fill, cut = KINDS[self.kind]
        return [self.place(p) for p in fill], [self.place(p) for p in cut]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x1, y1, x2, y2 of what is filled, in shares of the picture's side."""
        points = [p for polygon in KINDS[self.kind][0] for p in self.place(polygon)]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return max(0.0, min(xs)), max(0.0, min(ys)), min(1.0, max(xs)), min(1.0, max(ys))

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    @property
    def phrase(self) -> str:
        texture = "" if self.texture == "plain" else self.texture + " "
        says = f" saying {self.text}" if self.text else ""
        return f"{self.size} {texture}{self.colour} {self.kind}{says}"


@dataclass(frozen=True)
class Scene:
    """`things` in the order they are drawn: later ones lie on top."""

    things: tuple[Thing, ...]
    background: tuple[tuple[int, int, int], tuple[int, int, int], float]
    seed: int
    clutter: int = 0

    def draw(self, side: int = 128):
        """As an RGB picture of side × side pixels."""
        from patchwork.tiny.paint import paint_scene

        return paint_scene(self, side)


def plural(kind: str) -> str:
    return PLURAL.get(kind, kind + "s")


def is_inside(first: Thing, second: Thing) -> bool:
    """Whether the first lies in the hole of the second."""
    if second.kind not in HOLE or first is second:
        return False
    return math.dist(first.centre, second.centre) + 0.6 * first.half < HOLE[second.kind] * second.half


def invent_thing(rng: random.Random, taken: list[Thing], held_out: bool, sizes: tuple[int, ...]) -> Thing | None:
    """One object that overlaps no other by more than a little; None when thirty places failed."""
    colour, kind = rng.choice(list(COLOURS)), rng.choice(list(KINDS))
    while (colour, kind) in HELD_OUT:
        colour, kind = rng.choice(list(COLOURS)), rng.choice(list(KINDS))
    if held_out:
        colour, kind = rng.choice(sorted(HELD_OUT))
    elif len(taken) < 2 and rng.random() < 0.1:  # signs are worth more than one kind in thirty
        kind = "sign"
    size = rng.choices(list(SIZES), sizes)[0]
    text = invent_text(rng) if kind == "sign" else ""
    if text and size == "small":
        size = "medium"
    half = rng.uniform(*SIZES[size]) * (1.12 if text else 1.0)
    texture = "plain" if text else rng.choices(TEXTURES, (3, 1, 1))[0]
    for _ in range(30):
        centre = (rng.uniform(half + 0.01, 0.99 - half), rng.uniform(half + 0.01, 0.99 - half))
        if all(math.dist(centre, t.centre) > 0.9 * (half + t.half) for t in taken):
            return Thing(kind, colour, size, texture, centre, half, 0.0 if text else rng.uniform(-0.15, 0.15), text)
    return None


def invent_text(rng: random.Random) -> str:
    return rng.choice(WORDS) if rng.random() < 0.65 else str(rng.randint(10, 99))


def invent_pair(rng: random.Random) -> list[Thing]:
    """A large ring or frame and a small object inside it."""
    kind, half = rng.choice(list(HOLE)), rng.uniform(*CONTAINER)
    centre = (rng.uniform(half + 0.01, 0.99 - half), rng.uniform(half + 0.01, 0.99 - half))
    texture = rng.choices(TEXTURES, (3, 1, 1))[0]
    outer = Thing(kind, rng.choice(list(COLOURS)), "large", texture, centre, half, rng.uniform(-0.1, 0.1))
    inner = None
    while inner is None or inner.text or inner.kind in HOLE or inner.name == outer.name:
        inner = invent_thing(rng, [], False, (1, 0, 0))
    near = (centre[0] + rng.uniform(-0.02, 0.02), centre[1] + rng.uniform(-0.02, 0.02))
    return [
        outer,
        Thing(inner.kind, inner.colour, inner.size, inner.texture, near, min(inner.half, 0.36 * half), inner.tilt),
    ]


def invent_scene(seed: int, count: int | None = None, held_out: bool = False) -> Scene:
    """A scene of `count` (default 1–9) objects; with `held_out`, its first object is a pair never trained on."""
    rng = random.Random(seed)
    count = count or rng.choices(list(COUNTS), COUNTS.values())[0]
    sizes = (3, 4, 3) if count < 5 else (5, 4, 1) if count == 5 else (1, 0, 0)
    things = invent_pair(rng) if 1 < count < 6 and not held_out and rng.random() < 0.22 else []
    failures = 0
    while len(things) < count and failures < 40:
        thing = invent_thing(rng, things, held_out and not things, sizes)
        if thing and things and not thing.text and rng.random() < 0.2:  # twins make counting worth asking
            twin = rng.choice(things)
            if (thing.colour, twin.kind) not in HELD_OUT and not twin.text:
                thing = Thing(twin.kind, thing.colour, thing.size, thing.texture, thing.centre, thing.half, thing.tilt)
        if thing is None or any(t.name == thing.name for t in things):
            failures += 1
        else:
            things.append(thing)
    pale = lambda: tuple(rng.randint(176, 240) for _ in range(3))  # noqa: E731
    clutter = rng.choice((0, 0, 3, 6, 10))
    return Scene(tuple(things), (pale(), pale(), rng.uniform(0, 2 * math.pi)), seed, clutter)
