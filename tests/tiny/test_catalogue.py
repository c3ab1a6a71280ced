"""Price lists are what their questions take them for: printed where they say, cut without loss, answered rightly."""

import random
import re

import numpy as np
import pytest

from patchwork.tiny import FRESH
from patchwork.tiny.catalogue import FIELDS, GRIDS, SIDE, find_card_owners, find_page_owners, invent_page, shrink_box
from patchwork.tiny.disturb import disturb
from patchwork.tiny.page_questions import ONE, ONE_KEPT, TWO, TWO_KEPT, ask_page
from patchwork.tiny.world import HELD_OUT

PAGES = [invent_page(FRESH + seed) for seed in range(40)]


def test_pages_have_six_tiles_and_more_and_no_name_twice():
    assert {(page.rows, page.columns) for page in PAGES} == set(GRIDS)
    for page in PAGES:
        names = [entry.thing.name for entry in page.entries]
        assert len(names) == len(set(names)) == page.rows * page.columns >= 6
        assert not {(entry.thing.colour, entry.thing.kind) for entry in page.entries} & HELD_OUT
        assert all({line.field for line in entry.lines} <= set(FIELDS) for entry in page.entries)
    assert invent_page(3) == invent_page(3) != invent_page(4)


def test_the_tiles_are_the_page_and_the_overview_is_all_of_it():
    page = invent_page(FRESH, (4, 3))
    drawn = page.draw()
    tiles = np.stack([np.asarray(tile) for tile in page.cut(drawn)]).reshape(4, 3, SIDE, SIDE, 3)
    assert np.array_equal(tiles.swapaxes(1, 2).reshape(4 * SIDE, 3 * SIDE, 3), np.asarray(drawn))
    overview = np.asarray(page.see_whole(drawn)).astype(int)
    assert overview.shape == (SIDE, SIDE, 3)
    assert (abs(overview[:, :14] - 127) < 3).all() and (overview[40, 20:108] != 127).any()  # grey beside the page


@pytest.mark.parametrize("seed", range(6))
def test_boxes_hold_what_is_printed(seed):
    """Dark pixels, measured: in the line's box, and hardly any outside of the boxes."""
    page = invent_page(FRESH + seed)
    tile = np.asarray(page.cut(page.draw())[1]).astype(int)
    dark = np.asarray(page.paper).mean() - tile.mean(-1) > 60
    entry, inside = page.entries[1], np.zeros((SIDE, SIDE), bool)
    for box in (entry.thing.box, *(line.box for line in entry.lines)):
        x1, y1, x2, y2 = (round(SIDE * value) for value in box)
        assert dark[y1:y2, x1:x2].any() or entry.thing.colour in ("white", "yellow")
        inside[max(0, y1 - 3) : y2 + 5, max(0, x1 - 3) : x2 + 5] = True
    assert dark[~inside].sum() <= 0.02 * dark.sum()


def test_patches_know_what_they_show():
    page = invent_page(FRESH, (3, 3))
    owners = find_card_owners(page.entries[0], 8).reshape(8, 8)
    assert set(owners[:4].ravel()) <= {-1, 0} and {1, 2} <= set(owners[4:].ravel())
    overview = find_page_owners(page, 8)
    for number in range(9):
        x1, y1, x2, y2 = shrink_box(page, number)
        for patch in np.nonzero(overview == number)[0]:
            assert (
                x1 < patch % 8 / 8 + 1 / 8
                and patch % 8 / 8 < x2
                and y1 < patch // 8 / 8 + 1 / 8
                and patch // 8 / 8 < y2
            )


def test_answers_are_what_the_cards_say():
    rng, asked = random.Random(0), []
    for page in PAGES:
        for two in (False, True):
            question, answer, cards = ask_page(page, rng, two)
            field = next(field for field in FIELDS if re.search(rf"\b{field}\b", question))
            assert answer == " and ".join(page.entries[card].value(field) for card in cards)
            assert all(page.entries[card].thing.kind in question for card in cards)
            asked += cards[:1] if not two else []
    assert len(set(asked)) >= 8  # all over the page


def test_wordings_for_measuring_are_kept_apart():
    """Also from what becomes of the learnt ones when they are worded freely."""
    assert len(ONE) >= 15 and not set(ONE + TWO) & set(ONE_KEPT + TWO_KEPT)
    rng, kept = random.Random(0), {phrasing.rstrip("?.") for phrasing in ONE_KEPT + TWO_KEPT}
    assert not {disturb(phrasing, rng).rstrip("?.") for phrasing in ONE + TWO for _ in range(400)} & kept
