"""Tilings against the processors that they describe; constants are from their papers' and model pages' examples."""

import functools
import math
import random

import pytest
from PIL import Image
from transformers.image_processing_utils import select_best_resolution
from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from patchwork.tiles import (
    View,
    arrange_page,
    arrange_tiles,
    choose_canvas,
    choose_tiles,
    count_idefics3_tiles,
    cut_canvas,
    cut_evenly,
    find_owners,
    fit_qwen,
    limit_idefics3,
    see_whole,
    shrink_for_canvas,
)

CHANCE = random.Random(11)
SIZES = [(1000, 1400), (336, 336), (4000, 300), (300, 4000), (5000, 5000), (1, 700), (512, 512), (513, 512)] + [
    (CHANCE.randint(1, 3000), CHANCE.randint(1, 3000)) for _ in range(200)
]


@pytest.mark.parametrize(("longest", "tile"), [(2048, 512), (1536, 512), (512, 512), (4 * 364, 364)])
def test_idefics3_tiles_are_those_of_its_processor(longest, tile):
    processor = Idefics3ImageProcessorPil(size={"longest_edge": longest}, max_image_size={"longest_edge": tile})
    for size in SIZES:
        _, rows, columns = processor.get_number_of_image_patches(size[1], size[0])
        assert count_idefics3_tiles(size, longest, tile) == (columns, rows), size


def test_idefics3_tiles_are_those_that_are_cut_where_the_side_is_no_multiple_of_the_tile():
    """There the processor's own count (above) and what it cuts differ."""
    processor = Idefics3ImageProcessorPil(size={"longest_edge": 100}, max_image_size={"longest_edge": 36})
    for size in [(100, 140), (140, 100), (30, 30), (200, 20), (64, 63)]:
        cut = processor(images=Image.new("RGB", size), return_row_col_info=True)
        assert count_idefics3_tiles(size, 100, 36) == (cut["cols"][0][0], cut["rows"][0][0]), size


def test_a_limit_gives_the_finest_cut_below_it():
    """A 1000 × 1400 page for SmolVLM: 2048, 1536, 1024 and 512 pixels give 12, 9, 4 and no tiles with the overview."""
    page = (1000, 1400)
    assert [limit_idefics3(page, 2048, 512, most) for most in (1000, 12, 11, 5, 3, 0)] == [
        2048,
        2048,
        1536,
        1024,
        512,
        512,
    ]


def test_qwen_views_are_those_of_its_processor():
    for factor, fewest, most in ((28, 56 * 56, 1280 * 28 * 28), (32, 65536, 16777216), (28, 3136, 3136)):
        for size in SIZES:
            if max(size) / min(size) <= 200:
                height, width = smart_resize(size[1], size[0], factor, fewest, most)
                assert fit_qwen(size, factor, fewest, most) == (width, height), size


@pytest.mark.parametrize("most", [1, 2, 6, 12])
def test_internvl_tiles_are_those_of_its_processor(most):
    for size in SIZES:
        expected = get_optimal_tiled_canvas((size[1], size[0]), (448, 448), 1, most)
        assert arrange_tiles(size, 448, 1, most) == expected, size


def test_a_llava_next_canvas_is_that_of_its_processor():
    grids = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    for size in SIZES:
        assert choose_canvas(size, grids) == select_best_resolution((size[1], size[0]), grids)[::-1], size


def test_a_picture_shrinks_until_its_canvas_is_small_enough():
    grids = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
    for most in (1, 2, 4, 9, 36):
        shown = shrink_for_canvas((1000, 1400), grids, most * 384 * 384)
        width, height = choose_canvas(shown, grids)
        assert width * height <= most * 384 * 384
        assert shown[0] / shown[1] == pytest.approx(1000 / 1400, abs=0.01)
    assert shrink_for_canvas((1000, 1400), grids, 36 * 384 * 384) == (1000, 1400)


def test_tiles_cover_the_picture_once():
    tiles = cut_evenly((300, 200), 3, 2, (64, 64), 5)
    assert [view.region for view in tiles[:2]] == [(0, 0, 100, 100), (100, 0, 200, 100)]
    assert tiles[-1].region == (200, 100, 300, 200)
    assert see_whole((300, 200), (64, 64), 5) == View((0, 0, 300, 200), (64, 64), 5, overview=True)
    assert tiles[0].shift(-10, -20).region == (-10, -20, 90, 80)


# ---- pages that are cut here


@pytest.mark.parametrize(("shape", "grid"), [((2, 3), (2, 3)), ((1, 1), (3, 3)), ((3, 4), (3, 4))])
def test_a_page_has_the_tiles_of_its_shape_at_any_resolution(shape, grid):
    """The grids on which the bundled model is trained, from 256 pixels a side to over four times what it sees."""
    for width in (256, 257, 333, 384, 512, 700, 768, 1024, 1536, 2048):
        assert arrange_page((width, round(width * shape[1] / shape[0])), 12) == grid


def test_a_page_keeps_to_the_limit():
    assert [arrange_page((300, 300), most) for most in (0, 1, 2, 4, 9, 12)] == [(0, 0)] * 3 + [(2, 2), (3, 3), (3, 3)]
    for size in SIZES:
        columns, rows = arrange_page(size, 12)
        assert columns * rows <= 12


def test_a_patch_belongs_to_the_tile_that_holds_its_middle():
    """A page of 60 × 90, letterboxed to 90 × 90: six columns of 15 pixels, the outer two half beside the page."""
    owners = find_owners((6, 3), (-15, 0, 75, 90), (60, 90), (2, 3))
    assert owners == [-1, 0, 0, 1, 1, -1, -1, 2, 2, 3, 3, -1, -1, 4, 4, 5, 5, -1]
    assert find_owners((3, 1), (0, 0, 90, 10), (90, 10), (2, 1)) == [0, 1, 1], "on the cut: the right one"


def test_the_best_tile_is_read_and_a_second_one_where_it_counts():
    assert choose_tiles([0.1, 0.5, 0.0, 0.3]) == [1, 3]
    assert choose_tiles([0.3, 0.1, 0.5, 0.4]) == [0, 2, 3]
    assert choose_tiles([0.3, 0.25, 0.5, 0.4]) == [0, 2, 3], "three at most"
    assert choose_tiles([0.1, 0.05, 0.12]) == [2], "weak, and still the best"
    assert choose_tiles([0.3, 0.19]) == [0] and choose_tiles([]) == []


# ---- whole pictures, as the real checkpoints' own processors count them (marks between views left out)

GRIDS = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
THUMB, PAGE = (336, 336), (1000, 1400)


def count_smolvlm(size):
    return (math.prod(count_idefics3_tiles(size, 2048, 512)) + 1) * 64


def count_onevision(size):
    views, newlines = cut_canvas(size, choose_canvas(size, GRIDS), 384, 27, 9 * 27**2)
    return 27**2 + sum(view.tokens for view in views) + newlines


def count_internvl(size):
    tiles = math.prod(arrange_tiles(size, 448, 1, 12))
    return 256 * (tiles + (tiles > 1))


def count_qwen(size, factor, fewest):
    return math.prod(fit_qwen(size, factor, fewest, 1280 * 28 * 28)) // factor**2


@pytest.mark.parametrize(
    ("count", "thumb", "page"),
    [
        (count_smolvlm, 17 * 64, 13 * 64),
        (count_onevision, 1485, 7284),
        (count_internvl, 256, 13 * 256),
        (functools.partial(count_qwen, factor=28, fewest=56 * 56), 144, 1260),
        (functools.partial(count_qwen, factor=32, fewest=65536), 100, 962),
    ],
)
def test_known_counts(count, thumb, page):
    assert (count(THUMB), count(PAGE)) == (thumb, page)
