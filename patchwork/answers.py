"""Reads what a model chose out of how it said it. Knows no model and no picture.

Tolerant of case, articles, marks and whole sentences, and of number words and synonyms that mean the same; where an
answer names several choices or none, it is read as none ("") and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SPELLED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ALSO = {
    "violet": "purple",
    "disc": "circle",
    "disk": "circle",
    "rhombus": "diamond",
    "plus": "cross",
    "crescent": "moon",
    "donut": "ring",
    "hoop": "ring",
    "sailboat": "boat",
    "ship": "boat",
    "mug": "cup",
    "teacup": "cup",
    "automobile": "car",
    "toadstool": "mushroom",
    "lantern": "lamp",
    "over": "above",
    "higher": "above",
    "under": "below",
    "beneath": "below",
    "underneath": "below",
    "lower": "below",
}
"""Word → the word of the drawn world that means the same thing or shape."""
WORD = re.compile(r"[a-z]+|\d+")


def split_words(text: str) -> list[str]:
    """Lower-case words and whole numbers, without marks."""
    return WORD.findall(text.lower())


def read_yes_or_no(text: str) -> str:
    """ "yes" or "no" where the answer begins with it, else ""."""
    first = split_words(text)[:1]
    return first[0] if first in (["yes"], ["no"]) else ""


def read_number(text: str) -> str:
    """The first number, in digits or as a word up to twelve, as digits; "" where there is none."""
    for word in split_words(text):
        if word.isdigit():
            return str(int(word))
        if word in SPELLED:
            return str(SPELLED.index(word))
    return ""


def read_choice(text: str, options: Sequence[str]) -> str:
    """The one option that the answer names, once or more often; "" for none and for several."""
    named = {option for word in split_words(text) if (option := match_option(word, options))}
    return named.pop() if len(named) == 1 else ""


def match_option(word: str, options: Sequence[str]) -> str:
    """The option that this word is, as it stands, as a synonym, or as a plural."""
    for form in (word, ALSO.get(word, ""), word.removesuffix("s"), ALSO.get(word.removesuffix("s"), "")):
        if form in options:
            return form
    return ""
