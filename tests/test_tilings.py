"""Tiles and tokens of every family against its own processor, on 240 sizes of pages."""

import json
from pathlib import Path

import pytest

from patchwork.tilings import TILINGS

VECTORS = json.loads((Path(__file__).parent / "vectors" / "tiles.json").read_text(encoding="utf-8"))


def test_the_vectors_are_what_the_processors_say_today():
    from tests.vectors import make_tiles

    assert make_tiles.make_text() == make_tiles.FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TILINGS)
def test_grid_and_tokens(name):
    for case in VECTORS:
        layout = TILINGS[name].lay_out(tuple(case["size"]))
        columns, rows, tokens = case["counts"][name]
        tiles = [view for view in layout.views if not view.overview]
        assert layout.tokens == tokens, case["size"]
        assert len(tiles) == (columns * rows if columns * rows > 1 or name == "ureader" else 0)


@pytest.mark.parametrize("name", TILINGS)
def test_tiles_cover_the_page_row_by_row(name):
    for size in [(1240, 1754), (900, 300)]:
        views = TILINGS[name].lay_out(size).views
        overview = [view.region for view in views if view.overview]
        assert name == "llava" or overview == [(0, 0, *size)]
        tiles = [view.region for view in views if not view.overview]
        if tiles:
            assert min(tile[0] for tile in tiles) <= 0.01 and max(tile[2] for tile in tiles) >= size[0] - 0.01
            assert tiles == sorted(tiles, key=lambda tile: (round(tile[1], 3), tile[0]))
