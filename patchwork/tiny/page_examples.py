"""Pages as examples for the language model: which views of a page it gets, and what lies under each patch of them."""

from __future__ import annotations

import random

import numpy as np

from patchwork.tiny.catalogue import Page, invent_page
from patchwork.tiny.data import CARDS, PageStore
from patchwork.tiny.language import FeatureCache, LiveFeatures
from patchwork.tiny.page_questions import CARD, LINE, make_page_turn
from patchwork.tiny.questions import Turn

VIEWS = 1 + CARDS
SHARES = {0: 8, 1: 24, 2: 30, 3: 10, CARDS: 28}
"""How many tiles a batch's pages come with beside the overview (CARDS: all they have), and how often, in per cent."""
ASKED = 9  # questions on each page
PATCHES = 1400
"""Of pictures in one batch, about: the more tiles, the fewer pages."""


def see_pages(model, pages: PageStore, features: type) -> FeatureCache | LiveFeatures:
    """What the tower makes of view v of page p, under p · VIEWS + v."""
    return features(model, lambda ids: pages.pictures[ids // VIEWS, ids % VIEWS], pages.count * VIEWS)


def choose_pages(pages: PageStore, rng: random.Random) -> list[tuple[int, list[int]]]:
    """(seed, cards whose tiles are there) of a batch: all with the same number of views."""
    tiles, first = rng.choices(list(SHARES), SHARES.values())[0], rng.randrange(pages.ready)
    if tiles == CARDS:
        tiles = int(pages.views[first]) - 1
    seeds = [rng.randrange(pages.ready) for _ in range(8 * max(2, PATCHES // (64 * (1 + tiles))))]
    kept = [first, *(seed for seed in seeds if pages.views[seed] - 1 == tiles or tiles <= 3)]
    chosen = kept[: max(2, PATCHES // (64 * (1 + tiles)))]
    return [(seed, sorted(rng.sample(range(int(pages.views[seed]) - 1), tiles))) for seed in chosen]


def ask_pages(chosen: list[tuple[int, list[int]]], rng: random.Random) -> list[list[Turn]]:
    """Mostly about cards whose tiles are there, two of them in a fifth of the questions and more while learning."""
    return [ask_views(invent_page(seed), cards, rng) for seed, cards in chosen]


def ask_views(page: Page, cards: list[int], rng: random.Random) -> list[Turn]:
    turns = []
    for _ in range(ASKED):
        among = cards if cards and rng.random() < 0.93 else range(len(page.entries))
        two = len(among) > 1 and rng.random() < 0.35
        turns.append(make_page_turn(page, rng, two, among, frozenset(cards), noisy=True)[0])
    return turns


def join_owners(pages: PageStore, seed: int, cards: list[int]) -> np.ndarray:
    """[patches]: what lies under each patch of the overview and the tiles, numbered as spans do; −1 for nothing."""
    overview = pages.owners[seed, 0].astype(int)
    views = [np.where(overview >= 0, CARD + overview, -1)]
    for card in cards:
        owners = pages.owners[seed, 1 + card].astype(int)  # 0 the object, 1 and 2 the lines
        views.append(np.select([owners == 0, owners > 0], [CARD + card, LINE + 10 * card + owners - 1], -1))
    return np.concatenate(views)


def list_views(chosen: list[tuple[int, list[int]]]) -> np.ndarray:
    """[pages, views] numbers for the cache, the overview first."""
    return np.array([[seed * VIEWS, *(seed * VIEWS + 1 + card for card in cards)] for seed, cards in chosen])
