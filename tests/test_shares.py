"""Shares and their error bars. The bounds were worked out by hand: roots of (p − s)² = p(1 − p)/n in p."""

import pytest

from patchwork.shares import Share


@pytest.mark.parametrize(
    ("right", "asked", "low", "high"),
    [(4, 4, 0.8, 1.0), (0, 4, 0.0, 0.2), (0, 1, 0.0, 0.5), (2, 4, 0.5 - 0.2236, 0.5 + 0.2236)],
)
def test_bounds_are_the_score_interval_of_one_standard_error(right, asked, low, high):
    assert Share(right, asked).bounds == pytest.approx((low, high), abs=1e-4)


def test_bounds_close_in_with_more_questions():
    widths = [high - low for low, high in (Share(3 * n, 4 * n).bounds for n in (1, 4, 10, 100))]
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.05


def test_words():
    assert str(Share(4, 4)) == "100 % (80–100)"
    assert Share(0, 0).bounds == (0.0, 1.0) and Share(0, 0).value == 0
