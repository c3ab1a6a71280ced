"""The radar: shares lie where they belong, a missing one breaks the outline and is said to be missing."""

import re

import pytest

from patchwork.shares import Share
from patchwork.ui.radar import CENTRE, RADIUS, Spoke, draw_radar, place

FULL, HALF = Share(4, 4), Share(2, 4)


def read_dots(drawn: str) -> list[tuple[float, float]]:
    return [tuple(map(float, found)) for found in re.findall(r'<circle[^>]* cx="([\d.]+)" cy="([\d.]+)"', drawn)]


def test_the_first_spoke_points_up_and_the_next_one_right():
    drawn = draw_radar(
        [Spoke(name, share, 0.5) for name, share in zip("abcd", (FULL, HALF, FULL, FULL), strict=True)], ""
    )
    x, y = CENTRE
    expected = [(x, y - RADIUS), (x + RADIUS / 2, y), (x, y + RADIUS), (x - RADIUS, y)]
    assert [pytest.approx(dot, abs=0.1) for dot in expected] == read_dots(drawn)


def test_an_error_bar_reaches_from_bound_to_bound():
    drawn = draw_radar([Spoke("a", HALF, None), Spoke("b", FULL, None), Spoke("c", FULL, None)], "")
    shaft = re.search(r'class="pw-error" d="M([\d.]+),([\d.]+) L([\d.]+),([\d.]+)', drawn).groups()
    low, high = (place(0, 3, bound) for bound in HALF.bounds)
    assert list(map(float, shaft)) == pytest.approx([*low, *high], abs=0.1)


def test_a_missing_share_breaks_the_outline_and_is_named():
    whole = [Spoke("a", FULL, 0.5), Spoke("b", FULL, 0.5), Spoke("c", FULL, 0.5), Spoke("d", FULL, 0.5)]
    drawn = draw_radar([*whole[:3], Spoke("d", None, None)], "")
    assert draw_radar(whole, "").count("pw-spider-own") == 4 and drawn.count("pw-spider-own") == 2
    assert drawn.count("pw-spider-chance") == 2 and drawn.count("pw-missing") == 1
    assert "not asked" in drawn and len(read_dots(drawn)) == 3


def test_words_are_escaped():
    drawn = draw_radar([Spoke("<b>", FULL, None)], '"><script>')
    assert "<b>" not in drawn and "<script>" not in drawn
