"""Who stands where, and whose votes are counted how; worked out by hand."""

import pytest

from patchwork.duel import Round, add_vote, deal
from patchwork.errors import Problem


def test_in_the_open_the_order_is_the_readers():
    assert deal("x", "y", blind=False, toss=lambda: 0.0) == Round(("x", "y"), blind=False)


@pytest.mark.parametrize(("toss", "shown"), [(0.1, ("y", "x")), (0.9, ("x", "y"))])
def test_blind_the_order_is_chance(toss, shown):
    assert deal("x", "y", blind=True, toss=lambda: toss) == Round(shown, blind=True)


def test_one_model_twice_is_refused():
    with pytest.raises(Problem, match="Both sides have the same model"):
        deal("x", "x", blind=False)


def test_votes_follow_the_model_not_the_side():
    tally = {}
    tally = add_vote(tally, Round(("x", "y"), True), "left")
    tally = add_vote(tally, Round(("y", "x"), True), "right")
    tally = add_vote(tally, Round(("y", "x"), True), "left")
    tally = add_vote(tally, Round(("x", "y"), True), "tie")
    assert tally == {("x", "y"): (2, 1, 1)}
    assert add_vote(tally, Round(("z", "y"), True), "left") == {("x", "y"): (2, 1, 1), ("y", "z"): (0, 1, 0)}
