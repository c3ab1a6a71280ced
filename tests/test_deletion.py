"""Deletion curves against sums done by hand, and what they may be called."""

import pytest

from patchwork.deletion import average_curve, judge, list_counts, order_hottest

COUNTS = [0, 5, 10]
EARLY, EVEN, LATE = [1.0, 0.1, 0.0], [1.0, 0.5, 0.0], [1.0, 0.9, 0.0]


def test_hiding_goes_from_nothing_to_everything():
    assert list_counts(64, 8) == [0, 8, 16, 24, 32, 40, 48, 56, 64]
    assert list_counts(49, 4) == [0, 12, 24, 37, 49]


def test_the_hottest_come_first_and_equals_in_reading_order():
    assert order_hottest([0.1, 0.7, 0.7, 0.2]) == [1, 2, 3, 0]


def test_the_average_is_the_area_under_the_curve():
    assert average_curve(COUNTS, EVEN) == pytest.approx(0.5)
    assert average_curve(COUNTS, EARLY) == pytest.approx((0.55 + 0.05) / 2)
    assert average_curve([0, 1, 4], [4.0, 2.0, 2.0]) == pytest.approx((1 * 3 + 3 * 2) / 4)


@pytest.mark.parametrize(
    ("own", "chance", "untrained", "kind"),
    [
        (EARLY, [EVEN, LATE], [EVEN], "informative"),
        (EVEN, [EVEN, LATE], [LATE], "no better than chance"),  # not ahead of every order
        ([1.0, 0.45, 0.0], [EVEN, EVEN], [LATE], "no better than chance"),  # ahead, but by a hair
        (LATE, [EVEN, EVEN], [LATE], "no better than chance"),
        (EARLY, [EVEN, LATE], [EARLY, EARLY], "no better than untrained"),
        ([0.2, 0.15, 0.1], [[0.2, 0.2, 0.1]], [[0.2, 0.2, 0.1]], "nothing to lose"),
        ([0.0, 0.1, 0.5], [EVEN], [EVEN], "nothing to lose"),  # a text that fits the empty picture better
    ],
)
def test_a_map_is_called_informative_only_against_both_controls(own, chance, untrained, kind):
    assert judge(COUNTS, own, chance, untrained, least_fall=0.3).kind == kind


def test_the_gains_are_shares_of_the_fall():
    verdict = judge(COUNTS, [2.0, 0.2, 0.0], [[2.0, 1.0, 0.0]], [[2.0, 1.4, 0.0]], least_fall=0.3)
    assert verdict.gain_over_chance == pytest.approx((0.5 * (2 + 1) / 2 + 0.5 * 0.5 - 0.5 * 1.1 - 0.5 * 0.1) / 2)
    assert verdict.gain_over_untrained == pytest.approx((0.5 * 1.7 + 0.5 * 0.7 - 0.5 * 1.1 - 0.5 * 0.1) / 2)


def test_an_untrained_model_is_a_control_whatever_its_curves():
    assert judge(COUNTS, EARLY, [LATE], [LATE], least_fall=0.3, is_untrained=True).kind == "control"
