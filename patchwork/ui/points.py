"""Points of a shared space as a drawing: squares are visual, circles textual. It knows no model and no demo."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import NamedTuple

SIDE, EDGE, ROOM = 340, 26, 60
"""Of the drawing, in its own units: the square for the points, its margin, room for labels on the right."""

Place = tuple[float, float]


class Mark(NamedTuple):
    """`kind`: patch, picture, caption or word. `title` is for the pointer; `index` ties a patch to the picture."""

    kind: str
    place: Place
    title: str
    label: str = ""
    colour: str = ""
    index: int = 0


def draw_points(marks: Sequence[Mark]) -> str:
    """An SVG with one scale for both axes. A label that would cover an earlier one is left to the pointer."""
    fit = fit_places([mark.place for mark in marks])
    places = [fit(mark.place) for mark in marks]
    shapes = "".join(draw_shape(mark, *place) for mark, place in zip(marks, places, strict=True))
    labels = "".join(draw_labels(marks, places))
    return (
        f'<svg viewBox="0 0 {SIDE + ROOM} {SIDE}" role="img" aria-label="Patches and words on two axes">'
        f"{shapes}{labels}</svg>"
    )


def fit_places(places: Sequence[Place]) -> Callable[[Place], Place]:
    """From the space's units to the drawing's, the same along both axes; upwards is positive."""
    xs, ys = [x for x, _ in places], [y for _, y in places]
    unit = (SIDE - 2 * EDGE) / max(max(xs) - min(xs), max(ys) - min(ys), 1e-9)
    middle = ((max(xs) + min(xs)) / 2, (max(ys) + min(ys)) / 2)
    return lambda place: (SIDE / 2 + unit * (place[0] - middle[0]), SIDE / 2 - unit * (place[1] - middle[1]))


def draw_shape(mark: Mark, x: float, y: float) -> str:
    title = f"<title>{html.escape(mark.title)}</title>"
    if mark.kind == "patch":
        place = f'x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"'
        return f'<rect class="pw-point-patch" data-patch="{mark.index}" {place} fill="{mark.colour}">{title}</rect>'
    if mark.kind == "picture":
        return f'<path class="pw-point-picture" d="M{x:.1f} {y - 8:.1f}l8 8-8 8-8-8z">{title}</path>'
    return f'<circle class="pw-point-{mark.kind}" cx="{x:.1f}" cy="{y:.1f}" r="5">{title}</circle>'


def draw_labels(marks: Sequence[Mark], places: Sequence[Place]) -> list[str]:
    drawn, taken = [], []
    for mark, (x, y) in zip(marks, places, strict=True):
        box = (x + 8, y - 7, x + 10 + 7 * len(mark.label), y + 7)
        if mark.label and not any(overlap(box, other) for other in taken):
            taken.append(box)
            drawn.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}">{html.escape(mark.label)}</text>')
    return drawn


def overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
