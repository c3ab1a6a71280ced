"""Reading only the tiles that a question points at, beside reading all: how often each is right, and how long."""

from __future__ import annotations

import itertools
import random
import statistics
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.ratio import Ratio, summarise

TWO = 5
"""One question of so many needs two tiles."""
NEW_TOKENS = 16


@dataclass(frozen=True)
class Asked:
    """One question on one page: how many tiles it has, who was right, and the seconds of both."""

    tiles: int
    ranked: bool
    every: bool
    ranked_seconds: float
    every_seconds: float


def measure(documents: int = 200, tiles: int = 6, seed: int = 0) -> list[Ratio]:
    """Pages from the `seed`-th on that training never draws. Raises `Problem` where the bundled model reads none."""
    from patchwork.catalog import load_catalog
    from patchwork.errors import Problem
    from patchwork.families import get_family
    from patchwork.hardware import detect
    from patchwork.plan import make_plan
    from patchwork.tiny import FRESH

    card = load_catalog().get("tiny-llava")
    if not card.pointing_heads:
        raise Problem(f"{card.title} was not taught to read pages by tiles.")
    model = get_family(card.family).load(card, make_plan(card, detect()), lambda message, fraction: None)
    return sum_up(list(ask_all(model, invent_pages(itertools.count(FRESH + seed), documents, tiles))))


def invent_pages(seeds: Iterable[int], count: int, tiles: int) -> Iterator:
    """The first `count` pages of these seeds that have enough tiles."""
    from patchwork.tiny.catalogue import invent_page

    large = (page for page in map(invent_page, seeds) if len(page.entries) >= tiles)
    return itertools.islice(large, count)


def ask_all(model, pages: Iterable) -> Iterator[Asked]:
    """Each page once; which of the two ways comes first changes from page to page."""
    from patchwork.tiny.page_questions import ask_page

    for number, page in enumerate(pages):
        question, answer, _ = ask_page(page, random.Random(page.seed), two=number % TWO == 0)
        picture, said, seconds = page.draw(), {}, {}
        if number == 0:
            read_ranked(model, picture, question), read_all(model, picture, question)
        for way in (read_ranked, read_all) if number % 2 else (read_all, read_ranked):
            start = time.perf_counter()
            said[way] = way(model, picture, question)
            seconds[way] = time.perf_counter() - start
        right = [said[way].split() == answer.split() for way in (read_ranked, read_all)]
        yield Asked(len(page.entries), *right, seconds[read_ranked], seconds[read_all])


def read_ranked(model, picture, question: str) -> str:
    from patchwork.tiles import choose_tiles

    ranking = model.rank_tiles(picture, question)
    keep = choose_tiles(ranking.scores)
    return "".join(
        model.read_document([picture], question, max_new_tokens=NEW_TOKENS, keep=keep, ranking=ranking)
    ).strip()


def read_all(model, picture, question: str) -> str:
    return "".join(model.read_document([picture], question, max_new_tokens=NEW_TOKENS)).strip()


def sum_up(asked: list[Asked]) -> list[Ratio]:
    """The difference in right answers, the time of a pair, all pages' time together, and pairs by number of tiles."""
    ratios = [one.ranked_seconds / one.every_seconds for one in asked]
    whole = sum(one.ranked_seconds for one in asked) / sum(one.every_seconds for one in asked)
    sizes = sorted({one.tiles for one in asked})
    return [
        compare_answers(asked),
        summarise("ranked tiles ÷ all tiles, seconds", ratios, "ranking and reading; one page and question a pair"),
        Ratio("ranked tiles ÷ all tiles, all pages' seconds", whole, whole, whole, 1, f"{len(asked)} pages"),
        *(compare_size(asked, size) for size in sizes),
    ]


def compare_size(asked: list[Asked], size: int) -> Ratio:
    ratios = [one.ranked_seconds / one.every_seconds for one in asked if one.tiles == size]
    return summarise(f"the same, pages of {size} tiles", ratios, "seconds")


def compare_answers(asked: list[Asked]) -> Ratio:
    """Share of right answers, ranked less all, with two standard errors of that paired difference to both sides."""
    differences = [one.ranked - one.every for one in asked]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / len(asked) ** 0.5
    shares = [statistics.mean(getattr(one, way) for one in asked) for way in ("ranked", "every")]
    note = f"{shares[0]:.1%} and {shares[1]:.1%} right, standard error {error:.2%}"
    return Ratio("right answers, ranked − all tiles", mean, mean - 2 * error, mean + 2 * error, len(asked), note)
