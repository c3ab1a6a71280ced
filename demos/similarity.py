"""Similarity: one picture, the reader's captions, ranked; softmax beside sigmoid."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator

import gradio as gr
from pydantic import Field, field_validator

from patchwork.demo import Data, Event, Picture, Progress, Result
from patchwork.families.protocol import Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "similarity"
TITLE = "Similarity"
ABOUT = (
    "Write a few captions, one per line, some true of your picture and some almost true. The model turns the picture "
    "and each caption into a vector and compares their directions."
)
NEEDS = frozenset({"embed_image", "embed_text"})
CAPTIONS = "a black umbrella and a yellow ring\na black umbrella\na yellow umbrella and a black ring\na green fish"
MOST, LONGEST = 8, 200


class Inputs(Data):
    picture: Picture
    captions: list[str] = Field(default_factory=lambda: CAPTIONS.splitlines())

    @field_validator("captions", mode="before")
    @classmethod
    def split_lines(cls, value: str | list[str]) -> list[str]:
        lines = value.splitlines() if isinstance(value, str) else value
        captions = [line.strip() for line in lines if line.strip()]
        if not captions:
            raise ValueError("Write at least one caption")
        if len(captions) > MOST:
            raise ValueError(f"Write at most {MOST} captions, one per line; these are {len(captions)}")
        if any(len(caption) > LONGEST for caption in captions):
            raise ValueError(f"One of the captions is longer than {LONGEST} characters; shorten it")
        return captions


class Score(Data):
    caption: str
    cosine: float
    softmax: float
    sigmoid: float


class RunResult(Result):
    """`scores` from the best to the worst match; `rule` is what the checkpoint was trained with."""

    scores: list[Score]
    rule: str


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Rank captions by how well they match a picture (CLIP or SigLIP)."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} reads the picture and {len(inputs.captions)} captions")
    found = model.similarity(inputs.picture, inputs.captions)
    columns = zip(inputs.captions, found.cosine, found.softmax, found.sigmoid, strict=True)
    scores = [Score(caption=text, cosine=c, softmax=p, sigmoid=s) for text, c, p, s in columns]
    yield RunResult(
        answered_by=model.answerer(start),
        scores=sorted(scores, key=lambda score: -score.cosine),
        rule=found.rule,
    )


def render_result(event: RunResult, inputs: Inputs) -> str:
    head = "<tr><th>Caption</th><th>Cosine</th><th>Softmax</th><th>Sigmoid</th></tr>"
    trained = getattr(event.scores[0], event.rule)
    other = "sigmoid" if event.rule == "softmax" else "softmax"
    rows = "".join(draw_row(score, event.rule) for score in event.scores)
    words = (
        f"This checkpoint was trained with the {event.rule}: read that column. "
        "Softmax makes the captions compete, so its shares add up to 1 even when none is true; a sigmoid judges each "
        f"caption alone. The {other} column shows what the same numbers would say under the other rule."
    )
    table = f'<table class="pw-scores"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    picture = draw.draw_figure(inputs.picture, label=f"Best match: {event.scores[0].caption} ({trained:.0%})")
    return (
        f'<div class="pw-result">{picture}<div>{table}<p class="pw-explain">{words}</p>'
        f"{draw.draw_answerer(event.answered_by)}</div></div>"
    )


def draw_row(score: Score, rule: str) -> str:
    share = getattr(score, rule)
    cells = "".join(
        f'<td class="pw-number-cell">{value:.3f}</td>' for value in (score.cosine, score.softmax, score.sigmoid)
    )
    bar = f'<div class="pw-bar-track"><div class="pw-bar-fill" style="width:{100 * share:.1f}%"></div></div>'
    return f"<tr><td>{html.escape(score.caption)}{bar}</td>{cells}</tr>"


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, RunResult):
        return render_result(event, inputs)
    return draw.draw_progress(event)


def snippet(card) -> str:
    """A stand-alone program that does the same."""
    padding = ', padding="max_length"' if card.family == "siglip" else ", padding=True"
    return f'''import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

MODEL = "{card.repo}"
model = AutoModel.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
captions = ["a green fish", "a red car"]
inputs = processor(images=image, text=captions{padding}, return_tensors="pt")
with torch.inference_mode():
    logits = model(**inputs).logits_per_image[0]
print(logits.softmax(-1).tolist())
'''


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        captions = gr.Textbox(
            CAPTIONS, label="Captions, one per line", lines=4, max_lines=8, elem_id="pw-similarity-captions"
        )
        live_panel(sys.modules[__name__], page, {"captions": captions})
