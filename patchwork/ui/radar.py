"""A radar of measured shares as SVG: one spoke a skill, an error bar on each, chance beside it. Knows no model."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from patchwork.shares import Share

WIDTH, HEIGHT, RADIUS = 480, 392, 132
CENTRE = (WIDTH / 2, HEIGHT / 2)
RINGS = (0.25, 0.5, 0.75, 1.0)
BESIDE, CAP = 15, 5  # pixels of the drawing: from the rim to a label, and half a cap of an error bar


@dataclass(frozen=True)
class Spoke:
    """`share` is None where nothing was asked; `words` then stand for it. `chance`: 0–1, or None."""

    title: str
    share: Share | None
    chance: float | None
    words: str = "not asked"


def draw_radar(spokes: Sequence[Spoke], label: str) -> str:
    """The first spoke points up, the others follow clockwise. A spoke without a share breaks the outline."""
    shares = [spoke.share.value if spoke.share else None for spoke in spokes]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    return (
        f'<svg class="pw-spider" {size} role="img" aria-label="{html.escape(label, quote=True)}">'
        f"{draw_rings(spokes)}{draw_outline([spoke.chance for spoke in spokes], 'chance')}"
        f"{draw_outline(shares, 'own', filled=True)}"
        f"{''.join(draw_bar(spoke.share, i, len(spokes)) for i, spoke in enumerate(spokes) if spoke.share)}"
        f"{''.join(draw_label(spoke, i, len(spokes)) for i, spoke in enumerate(spokes))}</svg>"
    )


def place(number: int, count: int, share: float, aside: float = 0.0, beyond: float = 0.0) -> tuple[float, float]:
    """Where a share lies on a spoke; `aside` and `beyond` move it across and outwards, in pixels."""
    angle = 2 * math.pi * number / count
    right, up, radius = math.sin(angle), math.cos(angle), share * RADIUS + beyond
    return CENTRE[0] + radius * right + aside * up, CENTRE[1] - radius * up + aside * right


def write_point(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def draw_rings(spokes: Sequence[Spoke]) -> str:
    count, parts = len(spokes), []
    for ring in RINGS:
        corners = " ".join(write_point(place(i, count, ring)) for i in range(count))
        parts.append(f'<polygon class="pw-ring" points="{corners}"/>')
    for i, spoke in enumerate(spokes):
        (x1, y1), (x2, y2) = CENTRE, place(i, count, 1)
        missing = "" if spoke.share else " pw-missing"
        parts.append(f'<line class="pw-spoke{missing}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')
    return "".join(parts)


def draw_outline(values: Sequence[float | None], kind: str, filled: bool = False) -> str:
    """From spoke to spoke, open beside one without a value."""
    count, parts = len(values), []
    for i, value in enumerate(values):
        j = (i + 1) % count
        if value is None or values[j] is None:
            continue
        first, second = write_point(place(i, count, value)), write_point(place(j, count, values[j]))
        if filled:
            parts.append(f'<polygon class="pw-wedge" points="{write_point(CENTRE)} {first} {second}"/>')
        parts.append(f'<polyline class="pw-spider-{kind}" points="{first} {second}"/>')
    return "".join(parts)


def draw_bar(share: Share, number: int, count: int) -> str:
    """The point, and one standard error to both sides of it."""
    (low, high), (x, y) = share.bounds, place(number, count, share.value)
    ends = [[place(number, count, end, aside) for aside in (-CAP, CAP)] for end in (low, high)]
    caps = [f"M{write_point(a)} L{write_point(b)}" for a, b in ends]
    shaft = f"M{write_point(place(number, count, low))} L{write_point(place(number, count, high))}"
    return (
        f'<path class="pw-error" d="{shaft} {" ".join(caps)}"/><circle class="pw-dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    )


def draw_label(spoke: Spoke, number: int, count: int) -> str:
    """Title and value, outside of the rim, grown away from it."""
    x, y = place(number, count, 1, beyond=BESIDE)
    across, down = x - CENTRE[0], y - CENTRE[1]
    anchor = "middle" if abs(across) < RADIUS / 4 else "start" if across > 0 else "end"
    lift = -14 if down < -RADIUS * 0.9 else 8 if down > RADIUS * 0.9 else 0
    value = f"{100 * spoke.share.value:.0f} %" if spoke.share else spoke.words
    return (
        f'<text class="pw-label" x="{x:.1f}" y="{y + lift:.1f}" text-anchor="{anchor}">{html.escape(spoke.title)}'
        f'<tspan class="pw-value" x="{x:.1f}" dy="1.15em">{html.escape(value)}</tspan></text>'
    )
