"""Two models, one question, a reader who judges: who stands where, and what was preferred. Judges nothing itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from patchwork.errors import Problem

Vote = Literal["left", "right", "tie"]
Tally = Mapping[tuple[str, str], tuple[int, int, int]]
"""For each pair of ids, in alphabetical order: how often the first, the second, and neither was preferred."""


@dataclass(frozen=True)
class Round:
    """Ids of the models that answer on the left and on the right; `blind`: the reader does not know which is which."""

    shown: tuple[str, str]
    blind: bool


def deal(first: str, second: str, blind: bool, toss: Callable[[], float] = random.random) -> Round:
    """As they were chosen; blind: in an order left to chance. Raises `Problem` for one model twice."""
    if first == second:
        raise Problem("Both sides have the same model; choose another one on one side.")
    return Round((second, first) if blind and toss() < 0.5 else (first, second), blind)


def add_vote(tally: Tally, round_: Round, vote: Vote) -> dict[tuple[str, str], tuple[int, int, int]]:
    pair = tuple(sorted(round_.shown))
    preferred = {"left": round_.shown[0], "right": round_.shown[1], "tie": ""}[vote]
    counts = tally.get(pair, (0, 0, 0))
    now = tuple(count + (one == preferred) for count, one in zip(counts, (*pair, ""), strict=True))
    return {**tally, pair: now}
