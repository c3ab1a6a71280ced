"""A share that was counted, and how far it can be trusted. Knows nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """`right` of `asked`. Shares are 0–1."""

    right: int
    asked: int

    @property
    def value(self) -> float:
        return self.right / self.asked if self.asked else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """One standard error to both sides, by the score interval (Wilson 1927, J. Am. Stat. Assoc. 22:209).

        The plain formula √(p(1−p)/n) would claim certainty after four right answers of four; this one does not.
        """
        if not self.asked:
            return 0.0, 1.0
        share, count = self.value, self.asked
        middle = (share + 1 / (2 * count)) / (1 + 1 / count)
        half = math.sqrt(share * (1 - share) / count + 1 / (4 * count * count)) / (1 + 1 / count)
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        """ "75 % (62–85)": the share and its bounds, in per cent."""
        low, high = self.bounds
        return f"{100 * self.value:.0f} % ({100 * low:.0f}–{100 * high:.0f})"
