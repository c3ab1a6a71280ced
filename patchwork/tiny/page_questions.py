"""What can be asked of a price list, with the true answer and the cards that question and answer speak of."""

from __future__ import annotations

import random

from patchwork.tiny.catalogue import Page
from patchwork.tiny.disturb import disturb
from patchwork.tiny.questions import Name, Turn, fill_in

ONE = (
    "what is the {f} of the {n}?",
    "what's the {f} of the {n}?",
    "which {f} has the {n}?",
    "what {f} does the {n} have?",
    "tell me the {f} of the {n}.",
    "{f} of the {n}?",
    "what is the {n}'s {f}?",
    "read the {f} of the {n}.",
    "the {n}: what is its {f}?",
    "what does it say under the {n} as {f}?",
    "give the {f} of the {n}.",
    "which {f} is printed for the {n}?",
    "find the {f} of the {n}.",
    "look up the {f} of the {n}.",
    "which {f} does the card of the {n} show?",
    "what number is the {f} of the {n}?",
)
ONE_KEPT = (
    "what {f} is given for the {n}?",
    "i need the {f} of the {n}.",
    "can you read the {f} of the {n}?",
    "for the {n}, what is the {f}?",
)
TWO = (
    "what is the {f} of the {n} and of the {m}?",
    "what are the {f} of the {n} and the {f} of the {m}?",
    "tell me the {f} of the {n} and of the {m}.",
    "{f} of the {n} and of the {m}?",
    "read the {f} of the {n} and of the {m}.",
    "give the {f} of the {n} and of the {m}.",
    "which {f} have the {n} and the {m}?",
    "find the {f} of the {n} and the {f} of the {m}.",
)
TWO_KEPT = (
    "look up the {f} of the {n} and of the {m}.",
    "what {f} is printed for the {n} and for the {m}?",
)
CARD, LINE = 0, 100
"""What a span speaks of: CARD + its number is the object on a card, LINE + 10 · number + k its k-th line."""


def ask_page(page: Page, rng: random.Random, two: bool = False, kept: bool = False) -> tuple[str, str, tuple[int, ...]]:
    """(question, answer, the cards it is about), every card as likely; `two` asks two cards for the same field."""
    turn, cards = make_page_turn(page, rng, two, range(len(page.entries)), frozenset(range(len(page.entries))), kept)
    return turn.question, turn.answer, cards


def choose_cards(page: Page, rng: random.Random, two: bool, among) -> tuple[str, tuple[int, ...]]:
    """A field and one card that prints it, or two that do; one where no two print the same."""
    cards = list(among)
    rng.shuffle(cards)
    for first in cards if two else ():
        for line in page.entries[first].lines:
            others = [i for i in cards if i != first and page.entries[i].value(line.field)]
            if others:
                return line.field, (first, rng.choice(others))
    return rng.choice(page.entries[cards[0]].lines).field, (cards[0],)


def make_page_turn(
    page: Page, rng: random.Random, two: bool, among, seen: frozenset[int], kept: bool = False, noisy: bool = False
) -> tuple[Turn, tuple[int, ...]]:
    """A question about cards of `among`. `seen`: the cards whose tiles are there; of others only the overview is."""
    field, cards = choose_cards(page, rng, two, among)
    phrasings = {(False, False): ONE, (False, True): ONE_KEPT, (True, False): TWO, (True, True): TWO_KEPT}
    phrasing = rng.choice(phrasings[len(cards) > 1, kept])
    names = {"f": Name(field)} | {x: name_card(page, card, rng) for x, card in zip("nm", cards, strict=False)}
    question, asked = fill_in(disturb(phrasing, rng) if noisy else phrasing, names)
    answer, spans = "", []
    for card in cards:
        answer += " and " if answer else ""
        value, start = page.entries[card].value(field), len(answer)
        answer += value
        spans.append((start, len(answer), (find_target(page, card, field, seen),)))
    if len(cards) > 1:  # the first token of the answer looks at both
        both = tuple(find_target(page, card, field, seen) for card in cards)
        spans[0] = (*spans[0][:2], both)
    type = "two fields" if len(cards) > 1 else "field"
    return Turn(type, question, answer, asked, tuple(spans), pair=len(cards) > 1), cards


def find_target(page: Page, card: int, field: str, seen: frozenset[int]) -> int:
    """Where the answer is to be looked for: the line in the card's tile, or the card's object in the overview."""
    if card not in seen:
        return CARD + card
    return LINE + 10 * card + next(k for k, line in enumerate(page.entries[card].lines) if line.field == field)


def name_card(page: Page, card: int, rng: random.Random) -> Name:
    """ "boat" where that is enough, else (or sometimes anyway) "blue boat"."""
    thing = page.entries[card].thing
    alone = sum(entry.thing.kind == thing.kind for entry in page.entries) == 1
    return Name(thing.kind if alone and rng.random() < 0.4 else thing.name, (CARD + card,))
