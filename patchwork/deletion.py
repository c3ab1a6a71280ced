"""Does hiding what a map calls hot cost a score more than hiding anything else? Knows no family and no page.

The deletion curve of Petsiuk, Das and Saenko (RISE, 2018), with two controls: random orders, and the order of the same
architecture before training (Adebayo et al., Sanity checks for saliency maps, 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

STEPS = 8
RANDOM_ORDERS = 4
UNTRAINED = 3
CLEAR = 0.1
"""How much of the score's whole fall must lie between a map's curve and a control's, on average, to count."""

Kind = Literal["informative", "no better than chance", "no better than untrained", "nothing to lose", "control"]


@dataclass(frozen=True)
class Verdict:
    """`gain`: how far the score's curve runs below a control's on average, in shares of the score's whole fall."""

    kind: Kind
    gain_over_chance: float
    gain_over_untrained: float


def list_counts(patches: int, steps: int = STEPS) -> list[int]:
    """How many patches are hidden at each step: none at first, all at last."""
    return [round(patches * step / steps) for step in range(steps + 1)]


def order_hottest(values: Sequence[float]) -> list[int]:
    """Patches from the hottest to the coolest; equal ones stay in reading order."""
    return sorted(range(len(values)), key=lambda index: -values[index])


def average_curve(counts: Sequence[int], scores: Sequence[float]) -> float:
    """The curve's mean height over the share hidden: the area under it, by trapezia."""
    widths = [after - before for before, after in pairwise(counts)]
    heights = [(left + right) / 2 for left, right in pairwise(scores)]
    return sum(width * height for width, height in zip(widths, heights, strict=True)) / counts[-1]


def judge(
    counts: Sequence[int],
    own: Sequence[float],
    chance: Sequence[Sequence[float]],
    untrained: Sequence[Sequence[float]],
    least_fall: float,
    is_untrained: bool = False,
) -> Verdict:
    """Curves of one score → what they say of the map behind `own`. All start and end at the same two scores.

    Informative only when the score depends on the picture, falls earlier than under every random order, and clearly
    earlier than under their mean and under the mean of the untrained maps. An untrained model is a control, never
    informative.
    """
    fall = own[0] - own[-1]
    if is_untrained or fall < least_fall:
        return Verdict("control" if is_untrained else "nothing to lose", 0.0, 0.0)
    mine = average_curve(counts, own)
    by_chance = [average_curve(counts, curve) for curve in chance]
    by_untrained = [average_curve(counts, curve) for curve in untrained]
    over_chance = (sum(by_chance) / len(by_chance) - mine) / fall
    over_untrained = (sum(by_untrained) / len(by_untrained) - mine) / fall
    kind: Kind = "informative"
    if mine >= min(by_chance) or over_chance < CLEAR:
        kind = "no better than chance"
    elif over_untrained < CLEAR:
        kind = "no better than untrained"
    return Verdict(kind, over_chance, over_untrained)
