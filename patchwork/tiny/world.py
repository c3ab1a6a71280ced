"""The toy world: scenes of a few drawn objects, at any size. Knows nothing about questions or models."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

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
SIZES = {"small": 0.1, "medium": 0.14, "large": 0.19}  # half the width, as a share of the picture's side
TEXTURES = ("plain", "striped", "dotted")
PLURAL = {"fish": "fish", "cross": "crosses", "leaf": "leaves"}


def regular(n: int, start: float = -90.0, inner: float | None = None) -> list[tuple[float, float]]:
    """Corners of a regular polygon, or of a star when `inner` is given, on the unit circle."""
    steps = n if inner is None else 2 * n
    corners = []
    for i in range(steps):
        radius = 1.0 if inner is None or i % 2 == 0 else inner
        angle = math.radians(start + 360 * i / steps)
        corners.append((radius * math.cos(angle), radius * math.sin(angle)))
    return corners


def arc(cx: float, cy: float, r: float, a: float, b: float, n: int = 20) -> list[tuple[float, float]]:
    return [
        (cx + r * math.cos(math.radians(a + (b - a) * i / n)), cy + r * math.sin(math.radians(a + (b - a) * i / n)))
        for i in range(n + 1)
    ]


def heart() -> list[tuple[float, float]]:
    points = []
    for i in range(40):
        t = 2 * math.pi * i / 40
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 16, -(y + 2) / 15))
    return points


def flower() -> list[tuple[float, float]]:
    return [
        (
            (0.68 + 0.32 * math.cos(5 * t)) * math.cos(t - math.pi / 2),
            (0.68 + 0.32 * math.cos(5 * t)) * math.sin(t - math.pi / 2),
        )
        for t in (2 * math.pi * i / 60 for i in range(60))
    ]


# Each kind: polygons to fill, and polygons to cut out again, in [-1, 1].
KINDS: dict[str, tuple[list, list]] = {
    "circle": ([regular(48)], []),
    "square": ([[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]], []),
    "triangle": ([[(0, -0.95), (1, 0.85), (-1, 0.85)]], []),
    "star": ([regular(5, inner=0.42)], []),
    "heart": ([heart()], []),
    "diamond": ([[(0, -1), (0.66, 0), (0, 1), (-0.66, 0)]], []),
    "cross": (
        [
            [
                (-0.32, -1),
                (0.32, -1),
                (0.32, -0.32),
                (1, -0.32),
                (1, 0.32),
                (0.32, 0.32),
                (0.32, 1),
                (-0.32, 1),
                (-0.32, 0.32),
                (-1, 0.32),
                (-1, -0.32),
                (-0.32, -0.32),
            ]
        ],
        [],
    ),
    "ring": ([regular(48)], [[(0.52 * x, 0.52 * y) for x, y in regular(48)]]),
    "moon": ([arc(0, 0, 1, 50, 310) + arc(0.5, 0, 0.78, 280, 80)], []),
    "arrow": ([[(-1, -0.28), (0.15, -0.28), (0.15, -0.75), (1, 0), (0.15, 0.75), (0.15, 0.28), (-1, 0.28)]], []),
    "house": (
        [[(0, -1), (1, -0.15), (0.78, -0.15), (0.78, 0.95), (-0.78, 0.95), (-0.78, -0.15), (-1, -0.15)]],
        [[(-0.2, 0.35), (0.22, 0.35), (0.22, 0.96), (-0.2, 0.96)]],
    ),
    "tree": (
        [
            [
                (0, -1),
                (0.6, -0.2),
                (0.34, -0.2),
                (0.85, 0.55),
                (0.17, 0.55),
                (0.17, 1),
                (-0.17, 1),
                (-0.17, 0.55),
                (-0.85, 0.55),
                (-0.34, -0.2),
                (-0.6, -0.2),
            ]
        ],
        [],
    ),
    "fish": (
        [
            [(0.62 * math.cos(t) + 0.36, 0.52 * math.sin(t)) for t in (2 * math.pi * i / 40 for i in range(40))],
            [(-0.1, 0), (-1, -0.62), (-0.72, 0), (-1, 0.62)],
        ],
        [[(0.62 + 0.09 * x, -0.14 + 0.09 * y) for x, y in regular(16)]],
    ),
    "boat": (
        [
            [(-1, 0.3), (1, 0.3), (0.62, 0.9), (-0.62, 0.9)],
            [(0.02, -1), (0.02, 0.18), (0.82, 0.18)],
            [(-0.12, -0.6), (-0.12, 0.18), (-0.72, 0.18)],
        ],
        [],
    ),
    "cup": (
        [
            [(-0.85, -0.75), (0.5, -0.75), (0.36, 0.85), (-0.7, 0.85)],
            [(0.4 + 0.55 * x, -0.1 + 0.48 * y) for x, y in regular(32)],
        ],
        [[(0.58 + 0.24 * x, -0.1 + 0.24 * y) for x, y in regular(24)]],
    ),
    "flower": ([flower()], [[(0.24 * x, 0.24 * y) for x, y in regular(24)]]),
    "car": (
        [
            [(-1, 0.05), (-0.62, 0.0), (-0.36, -0.5), (0.36, -0.5), (0.66, 0.0), (1, 0.1), (1, 0.45), (-1, 0.45)],
            [(-0.52 + 0.26 * x, 0.46 + 0.26 * y) for x, y in regular(24)],
            [(0.52 + 0.26 * x, 0.46 + 0.26 * y) for x, y in regular(24)],
        ],
        [
            [(-0.3, -0.36), (-0.05, -0.36), (-0.05, -0.02), (-0.42, -0.02)],
            [(0.06, -0.36), (0.28, -0.36), (0.44, -0.02), (0.06, -0.02)],
        ],
    ),
    "key": (
        [
            [(-0.55 + 0.45 * x, 0.45 * y) for x, y in regular(32)],
            [
                (-0.2, -0.13),
                (1, -0.13),
                (1, 0.5),
                (0.78, 0.5),
                (0.78, 0.13),
                (0.58, 0.13),
                (0.58, 0.38),
                (0.38, 0.38),
                (0.38, 0.13),
                (-0.2, 0.13),
            ],
        ],
        [[(-0.6 + 0.2 * x, 0.2 * y) for x, y in regular(20)]],
    ),
    "umbrella": (
        [
            arc(0, 0.05, 1, 180, 360),
            [(-0.07, 0), (0.07, 0), (0.07, 0.8), (-0.07, 0.8)],
            [
                (-0.07, 0.72),
                (0.07, 0.72),
                (0.07, 0.98),
                (-0.42, 0.98),
                (-0.42, 0.74),
                (-0.3, 0.74),
                (-0.3, 0.86),
                (-0.07, 0.86),
            ],
        ],
        [],
    ),
    "cloud": (
        [
            [(-0.5 + 0.42 * x, 0.12 + 0.42 * y) for x, y in regular(28)],
            [(0.05 + 0.52 * x, -0.1 + 0.52 * y) for x, y in regular(28)],
            [(0.56 + 0.38 * x, 0.16 + 0.38 * y) for x, y in regular(28)],
            [(-0.55, 0.1), (0.6, 0.1), (0.6, 0.54), (-0.5, 0.54)],
        ],
        [],
    ),
}
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
    }
)


@dataclass(frozen=True)
class Thing:
    """One drawn object. `centre` and `half` are shares of the picture's side; `box` is x1, y1, x2, y2 in shares."""

    kind: str
    colour: str
    size: str
    texture: str
    centre: tuple[float, float]
    half: float
    tilt: float = 0.0

    @property
    def polygons(self) -> tuple[list, list]:
        c, s = math.cos(self.tilt), math.sin(self.tilt)

        def place(points):
            return [
                (self.centre[0] + self.half * (c * x - s * y), self.centre[1] + self.half * (s * x + c * y))
                for x, y in points
            ]

        fill, cut = KINDS[self.kind]
        return [place(p) for p in fill], [place(p) for p in cut]

    @property
    def box(self) -> tuple[float, float, float, float]:
        points = [p for polygon in self.polygons[0] for p in polygon]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return max(0.0, min(xs)), max(0.0, min(ys)), min(1.0, max(xs)), min(1.0, max(ys))

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    @property
    def phrase(self) -> str:
        texture = "" if self.texture == "plain" else self.texture + " "
        return f"{self.size} {texture}{self.colour} {self.kind}"


@dataclass(frozen=True)
class Scene:
    things: tuple[Thing, ...]
    background: tuple[tuple[int, int, int], tuple[int, int, int], float]
    seed: int

    def draw(self, side: int = 128) -> Image.Image:
        return draw(self, side)


def plural(kind: str) -> str:
    return PLURAL.get(kind, kind + "s")


def invent_thing(rng: random.Random, taken: list[Thing], held_out: bool) -> Thing | None:
    """One object that overlaps no other by more than a sliver; None when twenty places failed."""
    while True:
        colour, kind = rng.choice(list(COLOURS)), rng.choice(list(KINDS))
        if ((colour, kind) in HELD_OUT) == held_out:
            break
    if held_out:
        colour, kind = rng.choice(sorted(HELD_OUT))
    size = rng.choice(list(SIZES))
    half = SIZES[size] * rng.uniform(0.92, 1.08)
    texture = rng.choices(TEXTURES, (3, 1, 1))[0]
    for _ in range(30):
        centre = (rng.uniform(half + 0.01, 0.99 - half), rng.uniform(half + 0.01, 0.99 - half))
        if all(math.dist(centre, t.centre) > 0.95 * (half + t.half) for t in taken):
            return Thing(kind, colour, size, texture, centre, half, rng.uniform(-0.15, 0.15))
    return None


def invent_scene(seed: int, count: int | None = None, held_out: bool = False) -> Scene:
    """A scene of `count` (default 1–4) objects; with `held_out`, its first object is a pair never trained on."""
    rng = random.Random(seed)
    count = count or rng.choices((1, 2, 3, 4), (2, 3, 3, 2))[0]
    things: list[Thing] = []
    while len(things) < count:
        thing = invent_thing(rng, things, held_out and not things)
        if thing is None:
            break
        if things and rng.random() < 0.18:  # twins make counting worth asking
            twin = rng.choice(things)
            if (thing.colour, twin.kind) not in HELD_OUT:
                thing = Thing(twin.kind, thing.colour, thing.size, thing.texture, thing.centre, thing.half, thing.tilt)
        if any(t.name == thing.name for t in things):
            continue
        things.append(thing)
    warm = lambda: tuple(rng.randint(176, 240) for _ in range(3))  # noqa: E731
    return Scene(tuple(things), (warm(), warm(), rng.uniform(0, 2 * math.pi)), seed)


def draw_background(scene: Scene, side: int) -> Image.Image:
    first, second, angle = scene.background
    ys, xs = np.mgrid[0:side, 0:side] / side - 0.5
    t = np.clip(0.5 + (xs * math.cos(angle) + ys * math.sin(angle)), 0, 1)[..., None]
    noise = np.random.default_rng(scene.seed).normal(0, 2.0, (side, side, 1))
    return Image.fromarray(np.clip(np.array(first) * (1 - t) + np.array(second) * t + noise, 0, 255).astype(np.uint8))


def draw(scene: Scene, side: int = 128) -> Image.Image:
    """The scene as an RGB picture of side × side pixels, antialiased by drawing at twice the size."""
    big = 2 * side
    picture = draw_background(scene, side).resize((big, big))
    for thing in scene.things:
        fill, cut = thing.polygons
        x1, y1, x2, y2 = (round(v * big) for v in thing.box)
        pad = round(0.03 * big)
        left, top = max(0, x1 - pad), max(0, y1 - pad)
        frame = (left, top, min(big, x2 + pad), min(big, y2 + pad))
        mask = Image.new("L", (frame[2] - left, frame[3] - top), 0)
        pen = ImageDraw.Draw(mask)
        for polygons, value in ((fill, 255), (cut, 0)):
            for polygon in polygons:
                pen.polygon([(x * big - left, y * big - top) for x, y in polygon], fill=value)
        shadow = mask.filter(ImageFilter.BoxBlur(0.012 * big)).point(lambda v: v * 70 // 255)
        offset = round(0.012 * big)
        picture.paste((40, 36, 48), (left + offset, top + offset), shadow)
        picture.paste(paint_patch(thing, mask.size, big), (left, top), mask)
    return picture.resize((side, side), Image.Resampling.BOX)


def paint_patch(thing: Thing, size: tuple[int, int], big: int) -> Image.Image:
    r, g, b = COLOURS[thing.colour]
    patch = Image.new("RGB", size, (r, g, b))
    if thing.texture == "plain":
        return patch
    other = (
        tuple(int(c + (255 - c) * 0.66) for c in (r, g, b))
        if (r + g + b) / 3 < 190
        else tuple(int(c * 0.55) for c in (r, g, b))
    )
    pen = ImageDraw.Draw(patch)
    step = max(6, round(0.05 * big))
    if thing.texture == "striped":
        for x in range(-size[1], size[0] + step, step):
            pen.line([(x, 0), (x + size[1], size[1])], fill=other, width=max(2, round(step * 0.42)))
    else:
        radius = step * 0.3
        for i, y in enumerate(range(step // 2, size[1] + step, step)):
            for x in range((i % 2) * step // 2, size[0] + step, step):
                pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=other)
    return patch
