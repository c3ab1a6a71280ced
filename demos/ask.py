"""Ask: a description, or the answer to a question about the picture, streamed as the model writes it."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import gradio as gr

from patchwork.boxes import read_boxes
from patchwork.demo import Box, Data, Event, Metric, PartialText, Picture, Progress, Result, check_question
from patchwork.errors import Problem
from patchwork.families.protocol import Model
from patchwork.programs import write_chat
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "ask"
TITLE = "Ask"
ABOUT = (
    "Your question stands beside your picture. Each piece of the answer appears when the model has chosen it, "
    "one token after the other."
)
NEEDS = frozenset({"chat"})
LONGEST = 2000
MOST_TOKENS = 160


class Inputs(Data):
    picture: Picture
    question: Annotated[str, check_question(LONGEST)]


class RunResult(Result):
    """The whole answer, boxes it names (pixels of the picture), and what it took."""

    text: str
    boxes: list[Box]
    boxes_problem: str = ""
    image_tokens: int
    pieces: int
    first_seconds: float
    pieces_per_second: float


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Answer a question about a picture."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} reads the picture")
    text, pieces, first = "", 0, 0.0
    for piece in model.chat([inputs.picture], inputs.question, max_new_tokens=MOST_TOKENS):
        pieces += 1
        first = first or time.perf_counter() - start
        text += piece
        yield PartialText(text=text)
    seconds = time.perf_counter() - start
    boxes, problem = find_boxes(text, inputs, model)
    yield RunResult(
        answered_by=model.answerer(start),
        text=text.strip(),
        boxes=boxes,
        boxes_problem=problem,
        image_tokens=model.count_image_tokens(inputs.picture),
        pieces=pieces,
        first_seconds=round(first, 4),
        pieces_per_second=round((pieces - 1) / max(seconds - first, 1e-6), 2) if pieces > 1 else 0.0,
    )


def find_boxes(text: str, inputs: Inputs, model: Model) -> tuple[list[Box], str]:
    """Boxes that the answer writes in the checkpoint's own convention; a malformed one is reported, not guessed."""
    if not model.card.coordinates:
        return [], ""
    try:
        resized = model.resized(inputs.picture) if "ground" in model.capabilities else None
        found = read_boxes(model.card.coordinates, text, inputs.picture.size, resized)
    except Problem as problem:
        return [], str(problem)
    return [Box(label="here", x1=x1, y1=y1, x2=x2, y2=y2) for x1, y1, x2, y2 in found], ""


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, RunResult):
        return render_result(event, inputs)
    words = draw.draw_text(event) if isinstance(event, PartialText) else draw.draw_progress(event)
    return lay_out(draw.draw_figure(inputs.picture), inputs, words)


def render_result(event: RunResult, inputs: Inputs) -> str:
    boxes = draw.draw_boxes(event.boxes, max(inputs.picture.size))
    figure = draw.draw_figure(inputs.picture, boxes)
    text = event.text or "(The model ended without a word.)"
    metrics = [
        Metric(
            label="Picture",
            value=event.image_tokens,
            unit="tokens",
            note="places that the picture takes in the sequence",
        ),
        Metric(label="Answer", value=event.pieces, unit="pieces", note="pieces of text that were streamed"),
        Metric(label="First piece", value=event.first_seconds, unit="s"),
        Metric(label="Pace", value=event.pieces_per_second, unit="pieces/s", note="after the first"),
    ]
    problem = f'<p class="pw-explain">{html.escape(event.boxes_problem)}</p>' if event.boxes_problem else ""
    words = (
        draw.draw_text(PartialText(text=text), live=False)
        + problem
        + draw.draw_metrics(metrics)
        + draw.draw_answerer(event.answered_by)
    )
    return lay_out(figure, inputs, words)


def lay_out(figure: str, inputs: Inputs, words: str) -> str:
    asked = f'<p class="pw-asked"><b>Asked</b>{html.escape(inputs.question)}</p>'
    return f'<div class="pw-result">{figure}<div>{asked}{words}</div></div>'


def snippet(card) -> str:
    """A stand-alone program that does the same."""
    return write_chat(card, MOST_TOKENS)


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        live_panel(sys.modules[__name__], page, {"question": page.question})
