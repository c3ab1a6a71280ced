"""Outlines of the kinds of things: polygons in a square from −1 to 1. Knows no colour, size or place."""

from __future__ import annotations

import math


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


def leaf(bulge: float, inset: float = 0.0) -> list[tuple[float, float]]:
    """Two arcs that meet at the ends of a diagonal."""
    points = []
    for side in (1, -1):
        for i in range(21):
            t = i / 20 if side == 1 else 1 - i / 20
            along, out = (2 * t - 1) * (0.9 - inset), side * bulge * math.sin(math.pi * t)
            points.append((along + out, -along + out))
    return points


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
    "ring": ([regular(48)], [[(0.66 * x, 0.66 * y) for x, y in regular(48)]]),
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
    "frame": (
        [[(-0.95, -0.95), (0.95, -0.95), (0.95, 0.95), (-0.95, 0.95)]],
        [[(-0.64, -0.64), (0.64, -0.64), (0.64, 0.64), (-0.64, 0.64)]],
    ),
    "mushroom": (
        [arc(0, 0.05, 1, 180, 360), [(-0.3, 0), (0.3, 0), (0.4, 0.98), (-0.4, 0.98)]],
        [
            [(-0.45 + 0.17 * x, -0.36 + 0.17 * y) for x, y in regular(16)],
            [(0.2 + 0.2 * x, -0.5 + 0.2 * y) for x, y in regular(16)],
        ],
    ),
    "bell": (
        [
            [
                (-0.14, -1),
                (0.14, -1),
                (0.2, -0.84),
                (0.5, -0.6),
                (0.62, 0.1),
                (0.95, 0.6),
                (-0.95, 0.6),
                (-0.62, 0.1),
                (-0.5, -0.6),
                (-0.2, -0.84),
            ],
            [(0.24 * x, 0.72 + 0.24 * y) for x, y in regular(20)],
        ],
        [],
    ),
    "leaf": ([leaf(0.5)], [leaf(0.045, 0.12)]),
    "bottle": (
        [
            [
                (-0.2, -1),
                (0.2, -1),
                (0.2, -0.45),
                (0.48, -0.1),
                (0.48, 1),
                (-0.48, 1),
                (-0.48, -0.1),
                (-0.2, -0.45),
            ]
        ],
        [[(-0.26, 0.22), (0.26, 0.22), (0.26, 0.66), (-0.26, 0.66)]],
    ),
    "hat": (
        [
            [(-1, 0.4), (1, 0.4), (1, 0.68), (-1, 0.68)],
            [(-0.56, -0.75), (0.56, -0.75), (0.62, 0.41), (-0.62, 0.41)],
        ],
        [[(-0.63, 0.1), (0.63, 0.1), (0.63, 0.24), (-0.63, 0.24)]],
    ),
    "lamp": (
        [
            [(-0.5, -1), (0.5, -1), (0.85, 0.05), (-0.85, 0.05)],
            [(-0.09, 0.05), (0.09, 0.05), (0.09, 0.8), (-0.09, 0.8)],
            [(-0.5, 0.78), (0.5, 0.78), (0.5, 1), (-0.5, 1)],
        ],
        [],
    ),
    "crown": ([[(-1, 0.75), (-1, -0.6), (-0.5, 0.05), (0, -0.9), (0.5, 0.05), (1, -0.6), (1, 0.75)]], []),
    "flag": (
        [
            [(-0.8, -1), (-0.62, -1), (-0.62, 1), (-0.8, 1)],
            [(-0.62, -0.92), (0.95, -0.42), (-0.62, 0.12)],
        ],
        [],
    ),
    "sign": (
        [
            [(-1, -0.66), (1, -0.66), (1, 0.34), (-1, 0.34)],
            [(-0.11, 0.34), (0.11, 0.34), (0.11, 1), (-0.11, 1)],
        ],
        [],
    ),
}
BOARD = (-1.0, -0.66, 1.0, 0.34)
"""The part of a sign that carries its text."""
HOLE = {"ring": 0.66, "frame": 0.64}
"""Kinds that something can lie inside of, and half the width of their hole."""
