"""Presence questions, half of them about what is not there: how often does a model say yes? Knows no page.

As POPE asks (Li et al., EMNLP 2023), but of drawn scenes, whose truth is known; and of a blank picture, where every yes
comes from the words alone.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from PIL import Image

from patchwork.answers import read_yes_or_no
from patchwork.demo import Data
from patchwork.probes import MOST_TOKENS, Probe, write_probes
from patchwork.shares import Share

if TYPE_CHECKING:
    from patchwork.families.protocol import Model

GREY = (127, 127, 127)


class Poll(Data):
    """One presence question; what was said with the picture and with a blank one, None until it was asked."""

    seed: int
    question: str
    there: bool
    said: str
    blank: str | None = None


def take_polls(count: int, model: Model) -> Iterator[list[Poll]]:
    """All polls so far, after every answer: the picture's, then the blank one's."""
    polls: list[Poll] = []
    for probe in list_polls(count):
        picture, question = probe.draw(), probe.word_for(model)
        answers = {"said": ask(model, picture, question)}
        fields = {"seed": probe.seed, "question": question, "there": probe.answer == "yes"}
        yield [*polls, Poll(**fields, **answers)]
        answers["blank"] = ask(model, make_blank(picture), question)
        polls = [*polls, Poll(**fields, **answers)]
        yield polls


def list_polls(count: int) -> list[Probe]:
    """Half about things that are there, in an order of their own."""
    probes = list(islice(write_probes("presence"), count))
    return random.Random(count).sample(probes, count)


def ask(model: Model, picture: Image.Image, question: str) -> str:
    return "".join(model.chat([picture], question, max_new_tokens=MOST_TOKENS)).strip()


def make_blank(picture: Image.Image) -> Image.Image:
    """As large as the picture, halfway between black and white everywhere."""
    return Image.new("RGB", picture.size, GREY)


class Yeses(Data):
    """Answers to presence questions of one sort."""

    yes: int
    no: int
    neither: int

    @property
    def asked(self) -> int:
        return self.yes + self.no + self.neither

    @property
    def share(self) -> Share:
        return Share(self.yes, self.asked)


def count_yeses(answers: Sequence[str]) -> Yeses:
    found = Counter(map(read_yes_or_no, answers))
    return Yeses(yes=found["yes"], no=found["no"], neither=found[""])


def sort_polls(polls: Sequence[Poll]) -> tuple[Yeses, Yeses, Yeses]:
    """With the thing there, without it, and on the blank picture."""
    return (
        count_yeses([poll.said for poll in polls if poll.there]),
        count_yeses([poll.said for poll in polls if not poll.there]),
        count_yeses([poll.blank for poll in polls if poll.blank is not None]),
    )
