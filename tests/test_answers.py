"""How answers are read: what models really write, by hand, and what must not be guessed."""

import pytest

from patchwork.answers import read_choice, read_number, read_yes_or_no

SIDES, COLOURS = ("left", "right"), ("red", "blue", "purple", "white")
KINDS = ("cup", "boat", "circle", "ring", "cross")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Yes", "yes"),
        ("yes, there is a star.", "yes"),
        ("**No.**", "no"),
        (" NO", "no"),
        ("i only know drawn scenes.", ""),
        ("There is no star.", ""),
        ("Nothing", ""),
        ("Not that I can see", ""),
        ("yesterday", ""),
        ("", ""),
    ],
)
def test_a_yes_or_no_is_the_first_word(said, read):
    assert read_yes_or_no(said) == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("3", "3"),
        ("There are three things: a cup and 2 boats.", "3"),
        ("03.", "3"),
        ("One", "1"),
        ("13", "13"),
        ("I see none", ""),
        ("someone", ""),
    ],
)
def test_a_number_is_the_first_one(said, read):
    assert read_number(said) == read


@pytest.mark.parametrize(
    ("said", "options", "read"),
    [
        ("Left", SIDES, "left"),
        ("The cup is to the RIGHT of the boat.", SIDES, "right"),
        ("Left, not right", SIDES, ""),
        ("upright", SIDES, ""),
        ("under", ("above", "below"), "below"),
        ("It's violet!", COLOURS, "purple"),
        ("red and white", COLOURS, ""),
        ("Red. It is a red thing.", COLOURS, "red"),
        ("reddish", COLOURS, ""),
        ("a mug", KINDS, "cup"),
        ("The boats", KINDS, "boat"),
        ("a plus sign", KINDS, "cross"),
        ("bus", ("bus", "bu"), "bus"),
        ("It says “69”.", ("stop", "69"), "69"),
        ("169", ("stop", "69"), ""),
        ("", SIDES, ""),
    ],
)
def test_a_choice_is_the_only_option_named(said, options, read):
    assert read_choice(said, options) == read
