"""How a picture is cut into the views that an encoder receives. Plain arithmetic: knows no model and no page."""

from __future__ import annotations

from dataclasses import dataclass, replace

from patchwork.images import Region

Size = tuple[int, int]
"""Width, height in pixels."""

ALL_TILES = 1000
"""More than any processor makes: no limit but the checkpoint's own."""


@dataclass(frozen=True)
class View:
    """One picture as the encoder receives it.

    `region`: the part of the original picture that it shows, in pixels of the original; what lies beyond the picture is
    padding. `size`: (width, height) of what the encoder receives. `tokens`: places it takes in the sequence, without
    the marks between views. `overview`: the whole picture, made small, beside its tiles or alone.
    """

    region: Region
    size: Size
    tokens: int
    overview: bool = False

    def shift(self, left: float, top: float) -> View:
        """The same view of a picture that began (`left`, `top`) further to the left and up, as in a letterbox."""
        x1, y1, x2, y2 = self.region
        return replace(self, region=(x1 + left, y1 + top, x2 + left, y2 + top))
