"""What the published families make of a page: views and tokens with each one's own settings. Loads no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from patchwork.tiles import (
    Size,
    View,
    arrange_tiles,
    choose_canvas,
    count_idefics3_tiles,
    cut_canvas,
    cut_evenly,
    fit_qwen,
    see_whole,
)


@dataclass(frozen=True)
class Layout:
    """`extra`: tokens of no single view: newlines between rows of patches, or (negative) what is pruned afterwards."""

    views: tuple[View, ...]
    extra: int = 0

    @property
    def tokens(self) -> int:
        return sum(view.tokens for view in self.views) + self.extra


@dataclass(frozen=True)
class Tiling:
    title: str
    source: str
    lay_out: Callable[[Size], Layout]


def lay_out_llava(size: Size) -> Layout:
    """The middle square at 336 pixels: 24 × 24 patches."""
    left, top = (max(0, (side - min(size)) / 2) for side in size)
    region = (left, top, left + min(size), top + min(size))
    return Layout((View(region, (336, 336), 576, overview=True),))


# ---- UReader (Ye et al. 2023): of all grids of at most twenty cells, the one nearest to the page in shape, then size

CROP, MOST_CELLS, QUERIES = 224, 20, 65
"""65: the 64 queries of the abstractor and one end mark, for every crop and for the overview."""


def list_grids(most: int = MOST_CELLS) -> list[tuple[int, int]]:
    """(rows, columns) with at most so many cells, fewest first; long strips only up to eleven, as released."""
    grids = [(rows, columns) for rows in range(1, most + 1) for columns in range(1, most // rows + 1)]
    return sorted((grid for grid in grids if min(grid) > 1 or max(grid) <= 11), key=lambda grid: grid[0] * grid[1])


def choose_grid(size: Size) -> tuple[int, int]:
    """(rows, columns). Shape counts a hundred times as much as size; in single precision, as in the released code."""
    width, height = size
    best, most = (1, 1), np.float32(-1)
    for rows, columns in list_grids():
        wide, high = columns * CROP, rows * CROP
        alike = overlap(wide, high, wide, int(height / width * wide))
        score = alike * np.float32(100) + overlap(wide, high, width, height)
        if score > most:
            best, most = (rows, columns), score
    return best


def overlap(wide: int, high: int, width: int, height: int) -> np.float32:
    """Intersection over union of two rectangles with a common corner."""
    shared = min(wide, width) * min(high, height)
    return np.float32(shared) / (np.float32(wide * high + width * height - shared) + np.float32(1e-5))


def lay_out_ureader(size: Size) -> Layout:
    rows, columns = choose_grid(size)
    overview = see_whole(size, (CROP, CROP), QUERIES)
    return Layout((overview, *cut_evenly(size, columns, rows, (CROP, CROP), QUERIES)))


# ---- TextMonkey (Liu et al. 2024): four windows of a page stretched to 896 pixels, 256 queries each; of these 1,024
# the 512 that resemble others least are kept; a small overview adds 256

WINDOW, WINDOW_QUERIES, KEPT = 448, 256, 512


def lay_out_textmonkey(size: Size) -> Layout:
    windows = cut_evenly(size, 2, 2, (WINDOW, WINDOW), WINDOW_QUERIES)
    return Layout((*windows, see_whole(size, (WINDOW, WINDOW), WINDOW_QUERIES)), KEPT - 4 * WINDOW_QUERIES)


# ---- families whose arithmetic is in `tiles`, with the settings of their published checkpoints

ANYRES = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]


def lay_out_llava_next(size: Size) -> Layout:
    tiles, newlines = cut_canvas(size, choose_canvas(size, ANYRES), 336, 24)
    return Layout((see_whole(size, (336, 336), 576), *tiles), newlines)


def lay_out_internvl(size: Size) -> Layout:
    columns, rows = arrange_tiles(size, 448, 1, 12)
    tiles = cut_evenly(size, columns, rows, (448, 448), 256) if columns * rows > 1 else []
    return Layout((*tiles, see_whole(size, (448, 448), 256)))


def lay_out_idefics3(longest: int, tile: int, tokens: int) -> Callable[[Size], Layout]:
    def lay_out(size: Size) -> Layout:
        columns, rows = count_idefics3_tiles(size, longest, tile)
        tiles = cut_evenly(size, columns, rows, (tile, tile), tokens) if columns else []
        return Layout((*tiles, see_whole(size, (tile, tile), tokens)))

    return lay_out


def lay_out_qwen2vl(size: Size) -> Layout:
    """One view at (nearly) the page's own resolution; four patches of 14 pixels are merged into a token."""
    width, height = fit_qwen(size, 28, 56 * 56, 28 * 28 * 1280)
    return Layout((see_whole(size, (width, height), width * height // 28**2),))


TILINGS: dict[str, Tiling] = {
    "llava": Tiling("LLaVA-1.5", "arXiv:2310.03744; one view, no tiles", lay_out_llava),
    "ureader": Tiling(
        "UReader", "arXiv:2310.05126; X-PLUG/mPLUG-DocOwl, UReader/configs/sft/release.yaml", lay_out_ureader
    ),
    "llava_next": Tiling("LLaVA-NeXT", "transformers, LlavaNextProcessor with its defaults", lay_out_llava_next),
    "internvl": Tiling("InternVL", "transformers, GotOcr2ImageProcessor: 448 px, at most 12", lay_out_internvl),
    "idefics3": Tiling(
        "Idefics3", "transformers, Idefics3ImageProcessor with its defaults", lay_out_idefics3(1456, 364, 169)
    ),
    "smolvlm": Tiling("SmolVLM", "huggingface.co/HuggingFaceTB/SmolVLM-256M-Instruct", lay_out_idefics3(2048, 512, 64)),
    "qwen2vl": Tiling("Qwen2-VL", "transformers, Qwen2VLImageProcessor with its defaults", lay_out_qwen2vl),
    "textmonkey": Tiling(
        "TextMonkey", "arXiv:2403.04473; Yuliang-Liu/Monkey, finetune_multitask_dialouge_doc.py", lay_out_textmonkey
    ),
}
