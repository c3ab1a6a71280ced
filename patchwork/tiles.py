"""How a picture is cut into the views that an encoder receives. Plain arithmetic: knows no model and no page."""

from __future__ import annotations

import math
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


def cut_evenly(size: Size, columns: int, rows: int, tile: Size, tokens: int) -> list[View]:
    """A picture stretched over columns × rows tiles, row by row; `tokens` for each."""
    width, height = size[0] / columns, size[1] / rows
    return [
        View((x * width, y * height, (x + 1) * width, (y + 1) * height), tile, tokens)
        for y in range(rows)
        for x in range(columns)
    ]


def see_whole(size: Size, seen: Size, tokens: int) -> View:
    """The whole picture, stretched to what the encoder takes."""
    return View((0.0, 0.0, float(size[0]), float(size[1])), seen, tokens, overview=True)


# ---- Idefics3, SmolVLM, Granite-Docling (Laurençon et al. 2024): the longer side is brought to a fixed length, even
# where that enlarges, and both sides are then rounded up to whole tiles

LARGEST = 4096


def count_idefics3_tiles(size: Size, longest: int, tile: int) -> tuple[int, int]:
    """(columns, rows); (0, 0) when the picture fits one tile and is not cut."""
    width, height = scale_to(size, longest)
    ratio = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        height = math.ceil(int(width / ratio) / tile) * tile
    else:
        height = math.ceil(height / tile) * tile
        width = math.ceil(int(height * ratio) / tile) * tile
    return (0, 0) if max(width, height) <= tile else (width // tile, height // tile)


def scale_to(size: Size, longest: int) -> Size:
    """The longer side becomes `longest`, the shorter an even number; then neither more than 4096."""
    width, height = size
    ratio = width / height
    if width >= height:
        width, height = longest, max(1, int(longest / ratio) + int(longest / ratio) % 2)
    else:
        width, height = max(1, int(longest * ratio) + int(longest * ratio) % 2), longest
    ratio = width / height
    if max(width, height) > LARGEST:
        width, height = (LARGEST, int(LARGEST / ratio)) if width >= height else (int(LARGEST * ratio), LARGEST)
    return max(1, width), max(1, height)


def limit_idefics3(size: Size, longest: int, tile: int, most: int) -> int:
    """The longest side, in whole tiles, at which a picture takes no more than `most` of them; 0 when none does."""
    sides = [longest, *range((longest - 1) // tile * tile, 0, -tile)]
    counts = ((side, math.prod(count_idefics3_tiles(size, side, tile))) for side in sides)
    return next((side for side, count in counts if count <= most), 0)
