"""Measures reading: a field of a price list, from its tiles and from the overview alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from PIL import Image

from patchwork.tiny import FRESH
from patchwork.tiny.catalogue import invent_page
from patchwork.tiny.page_questions import ask_page
from patchwork.tiny.reader import Figure, Reader, measure

BATCH = 12
"""Pages at a time: one of twelve tiles is 832 tokens long."""


@dataclass(frozen=True)
class PageAsked:
    """A question about a page, and the page as its overview and its tiles."""

    question: str
    answer: str
    views: list[Image.Image]


def collect_pages(count: int, rng: random.Random, two: bool = False, kept: bool = False) -> list[PageAsked]:
    """One question to each of so many fresh pages, every card as likely."""
    asked = []
    for number in range(count):
        page = invent_page(FRESH + number)
        drawn = page.draw()
        question, answer, _ = ask_page(page, rng, two, kept)
        asked.append(PageAsked(question, answer, [page.see_whole(drawn), *page.cut(drawn)]))
    return asked


def answer_pages(reader: Reader, asked: list[PageAsked], tiles: bool) -> list[float]:
    """1 where the answer is exact; without `tiles` the overview is all there is."""
    order = sorted(range(len(asked)), key=lambda i: len(asked[i].views))  # pages of one length go together
    views = [asked[i].views if tiles else asked[i].views[:1] for i in order]
    answers = reader.answer(views, [asked[i].question for i in order], BATCH)
    return [float(answer == asked[i].answer) for i, answer in zip(order, answers, strict=True)]


def evaluate_pages(reader: Reader, count: int, rng: random.Random) -> list[Figure]:
    """`count` pages for one field, half as many for two fields and for wordings kept out of training."""
    single, double = collect_pages(count, rng), collect_pages(count // 2, rng, two=True)
    worded = collect_pages(count // 2, rng, kept=True)
    commonest = Counter(one.answer for one in single).most_common(1)[0][1] / len(single)
    return [
        measure("price list: a field, by tiles", answer_pages(reader, single, True), commonest),
        measure("price list: a field, from the overview alone", answer_pages(reader, single, False), commonest),
        measure("price list: two fields, by tiles", answer_pages(reader, double, True), 0.0),
        measure("price list: held-out wordings, by tiles", answer_pages(reader, worded, True), commonest),
    ]
