"""The bench of reading few tiles, on a model that is scripted: who is counted right, and what is compared."""

import random
import sys
from types import SimpleNamespace

import pytest

from bench import documents
from patchwork.families.protocol import Ranking
from patchwork.tiny.catalogue import invent_page


def ask_page(page, rng, two):
    """A stand-in for the real questions: the last cards' first lines."""
    cards = tuple(range(len(page.entries)))[-1 - two :]
    return f"{page.seed}?", " and ".join(page.entries[card].lines[0].value for card in cards), cards


class Reader:
    """Right about every page with all tiles; with some of them only where these hold the answer."""

    def __init__(self, answers) -> None:
        self.answers, self.kept = answers, []

    def rank_tiles(self, image, question):
        _, cards = self.answers[question]
        tiles = image.width // 128 * (image.height // 128)
        return Ranking([0.4 if tile in cards[:1] else 0.0 for tile in range(tiles)], "begun")

    def read_document(self, images, question, max_new_tokens, keep=None, ranking=None):
        answer, cards = self.answers[question]
        self.kept.append(keep)
        yield answer if keep is None or set(cards) <= set(keep) else "no idea"


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "patchwork.tiny.page_questions", SimpleNamespace(ask_page=ask_page))
    pages = list(documents.invent_pages(range(100, 200), 10, 6))
    questions = [ask_page(page, random.Random(), number % 5 == 0) for number, page in enumerate(pages)]
    reader = Reader({question: (answer, cards) for question, answer, cards in questions})
    return list(documents.ask_all(reader, pages)), reader, pages


def test_every_fifth_question_needs_two_tiles_and_both_ways_are_asked(asked):
    found, reader, pages = asked
    assert [one.ranked for one in found] == [number % 5 != 0 for number in range(10)]
    assert all(one.every for one in found)
    assert reader.kept.count(None) == 11 and [one.tiles for one in found] == [len(page.entries) for page in pages]


def test_the_difference_carries_its_standard_error(asked):
    """Two of ten are lost: mean −0.2, deviation √(0.16 · 10 / 9), by hand."""
    first, *_ = documents.sum_up(asked[0])
    assert first.median == pytest.approx(-0.2)
    assert first.high - first.median == pytest.approx(2 * (0.16 * 10 / 9 / 10) ** 0.5)
    assert "80.0% and 100.0% right" in first.note


def test_pages_have_enough_tiles():
    for least in (6, 9, 12):
        pages = list(documents.invent_pages(range(60), 12, least))
        assert len(pages) == 12 and min(len(page.entries) for page in pages) == least
    assert next(documents.invent_pages([7], 1, 6)) == invent_page(7)
