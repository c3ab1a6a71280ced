"""Arena: the same picture and question to two models, here or behind a server; the reader judges, the page does not."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import gradio as gr
from pydantic import PrivateAttr

from patchwork.demo import Data, Event, Metric, PartialText, Picture, Progress, Result, check_question
from patchwork.families.protocol import Model
from patchwork.programs import write_chat
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.two_sides import TwoSides

if TYPE_CHECKING:
    from patchwork.catalog import Card

NAME = "arena"
TITLE = "Arena"
ABOUT = (
    "Your picture and your question go to two models, and both answer in their own words. Which answer is better is "
    "yours to say: this page never names a winner."
)
NEEDS = frozenset({"chat"})
REMOTE = True
LONGEST, MOST_TOKENS = 2000, 160


class Inputs(Data):
    """The reader's own key is private: it is in no JSON, recording, API example or printed value."""

    picture: Picture
    question: Annotated[str, check_question(LONGEST)]
    _key: str = PrivateAttr("")

    def with_key(self, key: str) -> Inputs:
        mine = self.model_copy()
        mine._key = key
        return mine


class RunResult(Result):
    """The answer and what it took; tokens are known here for models that run here, else as the server counts them."""

    text: str
    pieces: int
    first_seconds: float
    cut: bool = False
    picture_tokens: int | None = None
    prompt_tokens: int | None = None
    answer_tokens: int | None = None


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Ask one model about a picture; ask a second one the same to compare them."""
    start = time.perf_counter()
    asked = model.with_key(inputs._key)
    yield Progress(message=f"{model.card.title} reads the picture")
    text, pieces, first = "", 0, 0.0
    for piece in asked.chat([inputs.picture], inputs.question, max_new_tokens=MOST_TOKENS):
        if piece:
            pieces, first, text = pieces + 1, first or time.perf_counter() - start, text + piece
        yield PartialText(text=text) if text else say_wait(model, time.perf_counter() - start)
    usage = asked.usage
    yield RunResult(
        answered_by=asked.answerer(start),
        text=text.strip(),
        pieces=pieces,
        first_seconds=round(first, 4),
        cut=usage.cut if usage else pieces >= MOST_TOKENS,
        picture_tokens=None if model.card.host else model.count_image_tokens(inputs.picture),
        prompt_tokens=usage.prompt_tokens if usage else None,
        answer_tokens=usage.answer_tokens if usage else None,
    )


def say_wait(model: Model, seconds: float) -> Progress:
    return Progress(message=f"{model.card.title} has not begun to answer yet ({seconds:.0f} s)")


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, RunResult):
        return draw_answer(event) + draw.draw_metrics(list_metrics(event)) + draw.draw_answerer(event.answered_by)
    return draw.draw_text(event) if isinstance(event, PartialText) else draw.draw_progress(event)


def draw_answer(event: RunResult) -> str:
    text = event.text or "(The model ended without a word.)"
    cut = f'<p class="pw-explain">It was stopped at {MOST_TOKENS} tokens.</p>' if event.cut else ""
    return draw.draw_text(PartialText(text=text), live=False) + cut


def list_metrics(event: RunResult) -> list[Metric]:
    """Only what is known."""
    counted = "tokens, as the server counts them"
    known = [
        ("Picture", event.picture_tokens, "tokens", "places that the picture takes in the sequence"),
        ("Prompt", event.prompt_tokens, "tokens", f"picture and question in {counted}"),
        ("Answer", event.answer_tokens, "tokens", counted),
        ("Answer", event.pieces if event.answer_tokens is None else None, "pieces", "pieces that were streamed"),
        ("First piece", round(event.first_seconds, 2), "s", "from its turn to its first word"),
    ]
    return [
        Metric(label=label, value=value, unit=unit, note=note)
        for label, value, unit, note in known
        if value is not None
    ]


def snippet(card: Card) -> str:
    """A stand-alone program that does the same."""
    return write_chat(card, MOST_TOKENS)


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        if page.catalog.offering(NEEDS):
            TwoSides(sys.modules[__name__], page)
        else:
            gr.HTML(draw.draw_problem("No checkpoint in this page's list can answer; add one to models.yaml."))
