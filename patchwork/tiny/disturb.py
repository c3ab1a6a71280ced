"""Words a phrasing as people may type it. Knows phrasings as text, and no scene."""

from __future__ import annotations

import random
import re

from patchwork.tiny.phrasings import KEPT, split_words

BEFORE = (
    "hey, ",
    "ok, ",
    "so ",
    "hi, ",
    "well, ",
    "now ",
    "and now ",
    "next, ",
    "can you tell me ",
    "could you tell me ",
    "do you know ",
    "i wonder ",
    "i was wondering, ",
    "i would like to hear ",
    "in this picture, ",
    "in the image, ",
    "for this picture, ",
    "quick question: ",
    "let me ask: ",
    "one more: ",
    "help me: ",
    "say, ",
)
AFTER = (
    " please",
    ", please",
    " now",
    " here",
    " again",
    " exactly",
    " at all",
    " if you can",
    " in this picture",
    " in this image",
    ", thanks",
    " thank you",
    ", do you know",
    ", i wonder",
    ", can you tell",
)
STRAY = split_words("""
    really actually just exactly maybe simply clearly probably currently kindly quickly perhaps roughly truly indeed
    also then still even surely
""")
DROPPED = split_words("the is there of do you a")
SYNONYMS = (
    ("colour", "color"),
    ("picture", "image"),
    ("thing", "object"),
    ("things", "objects"),
    ("what is", "what's"),
    ("which", "what"),
    ("pattern", "texture"),
    ("big", "large"),
    ("tell me", "say"),
    ("do you see", "can you see"),
)


def swap(text: str, first: str, second: str) -> str:
    """Each for the other, as whole words."""
    other = {first: second, second: first}
    return re.sub(rf"\b({re.escape(first)}|{re.escape(second)})\b", lambda found: other[found[0]], text)


def disturb(phrasing: str, rng: random.Random) -> str:
    """A trained phrasing as people may type it: a filler, a stray word, a word left out, a synonym, another last sign.

    Names stand in braces and stay whole; what would come out as a kept phrasing is left as it was.
    """
    if rng.random() < 0.3:
        return phrasing
    text, sign = phrasing.rstrip("?."), phrasing[len(phrasing.rstrip("?.")) :]
    for pair in SYNONYMS:
        if rng.random() < 0.25:
            text = swap(text, *pair)
    words = text.split(" ")
    droppable = [i for i, word in enumerate(words) if word in DROPPED]
    if droppable and rng.random() < 0.3:
        del words[rng.choice(droppable)]
    gaps = [i for i, word in enumerate(words) if not word.startswith("{")]
    if gaps and rng.random() < 0.25:
        words.insert(rng.choice(gaps), rng.choice(STRAY))
    before = rng.choice(BEFORE) if rng.random() < 0.35 else ""
    after = rng.choice(AFTER) if rng.random() < 0.3 else ""
    text = before + " ".join(words) + after
    if any(text == kept.rstrip("?.") for several in KEPT.values() for kept in several):
        return phrasing
    return text + rng.choices((sign, "", 2 * sign, "?", "."), (6, 2, 1, 1, 1))[0]
