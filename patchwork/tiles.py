"""How a picture is cut into the views that an encoder receives. Plain arithmetic: knows no model and no page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from patchwork.images import Region

Grids = Iterable[tuple[int, int]]
"""(height, width) in pixels of every canvas a checkpoint knows, as configurations list them."""
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

    def stretch(self, across: float, down: float) -> View:
        """The same view of a picture that is so many times as wide and high."""
        x1, y1, x2, y2 = self.region
        return replace(self, region=(x1 * across, y1 * down, x2 * across, y2 * down))


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


# ---- Qwen2-VL and its successors (Wang et al. 2024): one view, each side rounded to whole merged patches, the number
# of pixels kept between two bounds


def fit_qwen(size: Size, factor: int, fewest: int, most: int, least: int = 0) -> Size:
    """(width, height) in pixels of the view; `factor`: the side of a merged patch; the bounds are counts of pixels.
    `least`: what a side is at least before its bounds are looked at (LFM2-VL, which else does the same)."""
    width, height = (max(least, round(side / factor) * factor) for side in size)
    if width * height > most:
        shrink = math.sqrt(size[0] * size[1] / most)
        return tuple(max(factor, math.floor(side / shrink / factor) * factor) for side in size)
    if width * height < fewest:
        grow = math.sqrt(fewest / (size[0] * size[1]))
        return tuple(math.ceil(side * grow / factor) * factor for side in size)
    return width, height


# ---- LLaVA-NeXT and LLaVA-OneVision (Liu et al. 2024; Li et al. 2024): the picture is laid on the canvas, of a short
# list, that wastes least; the canvas is cut into tiles; patches of the padding are taken out again afterwards


def choose_canvas(size: Size, grids: Grids) -> Size:
    """(width, height): most pixels of the picture kept, then fewest wasted, then first in the list."""

    def judge(canvas: tuple[int, int]) -> tuple[int, int]:
        scale = min(canvas[1] / size[0], canvas[0] / size[1])
        kept = min(int(size[0] * scale) * int(size[1] * scale), size[0] * size[1])
        return kept, kept - canvas[0] * canvas[1]

    height, width = max(grids, key=judge)
    return width, height


def shrink_for_canvas(size: Size, grids: Grids, most: int) -> Size:
    """The largest size of this shape, a tenth smaller each step, whose canvas has at most so many pixels.

    The smallest canvas of the list is as small as it gets: then the last step that chose it.
    """
    grids = list(grids)
    most = max(most, min(math.prod(grid) for grid in grids))
    steps = ((max(1, int(size[0] * 0.9**n)), max(1, int(size[1] * 0.9**n))) for n in range(100))
    return next((step for step in steps if math.prod(choose_canvas(step, grids)) <= most), size)


def fit_inside(size: Size, canvas: Size) -> Size:
    """Scaled to touch the canvas; a fraction of a pixel counts as one."""
    across, down = canvas[0] / size[0], canvas[1] / size[1]
    if across < down:
        return canvas[0], min(math.ceil(size[1] * across), canvas[1])
    return min(math.ceil(size[0] * down), canvas[0]), canvas[1]


def keep_unpadded(size: Size, patches: Size) -> Size:
    """(columns, rows) of patches that are left of a canvas of `patches` when those of the padding are taken out."""
    columns, rows = patches
    if size[0] / size[1] > columns / rows:
        return columns, rows - (rows - int(round(size[1] * (columns / size[0]), 7))) // 2 * 2
    return columns - (columns - int(round(size[0] * (rows / size[1]), 7))) // 2 * 2, rows


def cap_patches(kept: Size, most: int) -> Size:
    """OneVision's limit: above 1.21 × `most` patches, the grid is resampled to about `most`."""
    ratio = math.sqrt(kept[0] * kept[1] / most)
    return (int(kept[0] // ratio), int(kept[1] // ratio)) if ratio > 1.1 else kept


def cut_canvas(size: Size, canvas: Size, tile: int, side: int, most: int | None = None) -> tuple[list[View], int]:
    """Tiles row by row (`side` × `side` patches each), and how many rows of patches end with a newline token.

    A tile's tokens are the patches that lie on it when padding is gone and the limit `most`, if any, was kept.
    """
    columns, rows = canvas[0] // tile, canvas[1] // tile
    kept = keep_unpadded(size, (columns * side, rows * side))
    left = cap_patches(kept, most) if most else kept
    across = spread(left[0], kept[0], columns, side)
    down = spread(left[1], kept[1], rows, side)
    fitted = fit_inside(size, canvas)
    scale = (fitted[0] / size[0], fitted[1] / size[1])
    margin = ((canvas[0] - fitted[0]) // 2, (canvas[1] - fitted[1]) // 2)

    def place(column: int, row: int) -> tuple[float, float]:
        return (column * tile - margin[0]) / scale[0], (row * tile - margin[1]) / scale[1]

    views = [
        View((*place(x, y), *place(x + 1, y + 1)), (tile, tile), across[x] * down[y])
        for y in range(rows)
        for x in range(columns)
    ]
    return views, left[1]


def spread(count: int, kept: int, tiles: int, side: int) -> list[int]:
    """`count` patches over the middle `kept` of a row of `tiles` × `side`: how many have their middle on each tile."""
    first = (tiles * side - kept) / 2
    places = [int((first + (n + 0.5) * kept / count) // side) for n in range(count)]
    return [places.count(tile) for tile in range(tiles)]


# ---- InternVL and GOT-OCR2 (Chen et al. 2024): the arrangement of tiles whose shape is nearest to the picture's


def arrange_tiles(size: Size, tile: int, fewest: int, most: int) -> tuple[int, int]:
    """(columns, rows). Of equally near shapes the larger, as long as it has less than twice the picture's pixels."""
    shapes = [(columns, rows) for columns in range(1, most + 1) for rows in range(1, most // columns + 1)]
    shapes = sorted((shape for shape in shapes if math.prod(shape) >= fewest), key=math.prod)
    best, nearest = (1, 1), math.inf
    for columns, rows in shapes:
        distance = abs(size[0] / size[1] - columns / rows)
        fits = size[0] * size[1] > 0.5 * tile * tile * columns * rows
        if distance < nearest or (distance == nearest and fits):
            best, nearest = (columns, rows), distance
    return best


# ---- a page cut here, for a checkpoint whose processor cuts none and whose card says how many tiles it learnt to read


def arrange_page(size: Size, most: int) -> tuple[int, int]:
    """(columns, rows) by InternVL's rule without its bound on pixels: a page has the same tiles however small it is.

    (0, 0) where one view is all there is.
    """
    shape = arrange_tiles(size, 0, 1, most) if most > 1 else (1, 1)
    return (0, 0) if shape == (1, 1) else shape


def find_owners(patches: Size, region: Region, size: Size, grid: tuple[int, int]) -> list[int]:
    """For each of `patches` (columns, rows) over `region`, row by row: the tile of a picture of `size`, cut into `grid`
    (columns, rows), that holds the patch's middle; −1 where that lies beside the picture."""
    x1, y1, x2, y2 = region
    across = [(x1 + (n + 0.5) * (x2 - x1) / patches[0]) / size[0] for n in range(patches[0])]
    down = [(y1 + (n + 0.5) * (y2 - y1) / patches[1]) / size[1] for n in range(patches[1])]
    columns, rows = grid
    return [
        int(y * rows) * columns + int(x * columns) if 0 <= x < 1 and 0 <= y < 1 else -1 for y in down for x in across
    ]


ENOUGH = 0.2
"""The share of a look at the overview from which on a tile is worth reading, beside the best one."""


def choose_tiles(scores: Sequence[float], most: int = 3, least: float = ENOUGH) -> list[int]:
    """The tiles worth reading, in page order: at most `most` that score at least `least`, and the best in any case."""
    best = sorted(range(len(scores)), key=lambda tile: -scores[tile])[:most]
    return sorted(tile for tile in best if tile == best[0] or scores[tile] >= least)


# ---- Donut and Nougat (Kim et al. 2022; Blecher et al. 2023): the page fills a canvas of fixed size, padded around


def fit_page(size: Size, canvas: Size) -> Region:
    """The canvas, in pixels of the page: its shorter side is first brought to the canvas's, then all made to fit."""
    short, long = min(size), max(size)
    edge = min(canvas)
    width, height = (edge, int(edge * long / short)) if size[0] <= size[1] else (int(edge * long / short), edge)
    fitted = (min(width, canvas[0]), min(height, canvas[1]))
    if fitted != (width, height):
        fitted = (
            (int(width * fitted[1] / height), fitted[1])
            if height > width
            else ((fitted[0], int(height * fitted[0] / width)) if width > height else fitted)
        )
    left, top = (canvas[0] - fitted[0]) // 2, (canvas[1] - fitted[1]) // 2
    across, down = size[0] / fitted[0], size[1] / fitted[1]
    return (-left * across, -top * down, (canvas[0] - left) * across, (canvas[1] - top) * down)
