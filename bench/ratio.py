"""Interleaved pairs → median ratio with an interval. Knows nothing about what is timed."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """`median` of ours ÷ reference over `pairs` pairs; `low`–`high` is a 95 % bootstrap interval of that median."""

    name: str
    median: float
    low: float
    high: float
    pairs: int
    note: str = ""


def time_call(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def summarise(name: str, ratios: list[float], note: str = "") -> Ratio:
    """Median of the ratios, and how far it moves when the pairs are drawn again with replacement."""
    draws = random.Random(0)
    medians = sorted(statistics.median(draws.choices(ratios, k=len(ratios))) for _ in range(2000))
    return Ratio(name, statistics.median(ratios), medians[50], medians[1949], len(ratios), note)


def compare(
    name: str,
    ours: Callable[[], float],
    reference: Callable[[], float],
    pairs: int = 15,
    note: str = "",
) -> Ratio:
    """Run both measurements in turn (each returns seconds or bytes), the order swapped in every other pair."""
    ratios = []
    for index in range(pairs):
        if index % 2:
            below = reference()
            above = ours()
        else:
            above = ours()
            below = reference()
        ratios.append(above / below)
    return summarise(name, ratios, note)
