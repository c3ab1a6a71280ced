"""Kinds: the reader's question to a full-sized model of one kind, with the row it had to read."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from typing import Annotated

import gradio as gr

from patchwork.demo import Data, Event, Metric, PartialText, Picture, Progress, Result, check_question
from patchwork.families.protocol import Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "kinds"
TITLE = "A real model of each kind"
ABOUT = "Choose a model, ask, and see how its picture got in: how many places it takes, and how long the row became."
NEEDS = frozenset({"chat"})
LONGEST, MOST_TOKENS = 500, 64

MERGED = "Concatenated or interleaved, after neighbouring patches were merged into one vector each."
ALL = "Concatenated or interleaved: every patch of the encoder becomes one vector of the row."
WAYS = {
    "llava": ALL,
    "llava_next": ALL,
    "llava_onevision": ALL,
    "paligemma": ALL,
    "idefics3": MERGED,
    "smolvlm2": MERGED,
    "internvl": MERGED,
    "qwen_vl": MERGED,
    "lfm2_vl": MERGED,
    "blip2": "Resampled: the learned queries of a Q-Former read the patches, and only their vectors enter the row.",
    "kosmos2": "Resampled: learned queries read the patches, and only their vectors enter the row.",
    "idefics": "Resampled, and from the side: gated cross-attention layers look at the queries' vectors.",
    "granite_docling": MERGED,
    "florence2": "An encoder reads picture and prompt as one row; the writing decoder looks at it by cross-attention.",
}
"""How each family lets its picture in."""


class Inputs(Data):
    picture: Picture
    question: Annotated[str, check_question(LONGEST)] = "What is in the picture?"


class RunResult(Result):
    """`row`: places of prompt and picture together; `picture_places` of them are the picture's."""

    text: str
    way: str
    row: int
    picture_places: int


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Ask a full-sized model, and count how its picture enters the row."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} reads the picture")
    text = ""
    for piece in model.chat([inputs.picture], inputs.question, max_new_tokens=MOST_TOKENS):
        text += piece
        yield PartialText(text=text)
    yield RunResult(
        answered_by=model.answerer(start),
        text=text.strip(),
        way=WAYS.get(model.card.family, "How this family lets its picture in is not described here yet."),
        row=int(model.prepare([inputs.picture], inputs.question)["input_ids"].shape[-1]),
        picture_places=model.count_image_tokens(inputs.picture),
    )


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, RunResult):
        words = render_result(event)
    else:
        words = draw.draw_text(event) if isinstance(event, PartialText) else draw.draw_progress(event)
    figure = draw.draw_figure(inputs.picture)
    asked = f'<p class="pw-asked"><b>Asked</b>{html.escape(inputs.question)}</p>'
    return f'<div class="pw-result">{figure}<div>{asked}{words}</div></div>'


def render_result(event: RunResult) -> str:
    share = round(100 * event.picture_places / event.row, 1)
    metrics = [
        Metric(label="Row", value=event.row, unit="places", note="picture, question and the marks of the prompt"),
        Metric(label="Picture", value=event.picture_places, unit="places", note="after merging or resampling"),
        Metric(label="Share", value=share, unit="%", note="of the row that the picture takes"),
    ]
    text = event.text or "(The model ended without a word.)"
    return (
        draw.draw_text(PartialText(text=text), live=False)
        + f'<p class="pw-explain">{html.escape(event.way)}</p>'
        + draw.draw_metrics(metrics)
        + draw.draw_answerer(event.answered_by)
    )


def snippet(card) -> str:
    """A stand-alone program that counts the same row."""
    options = ", do_image_splitting=False" if card.family == "idefics3" else ""
    return f'''from PIL import Image
from transformers import AutoProcessor

MODEL = "{card.repo}"
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
content = [{{"type": "image"}}, {{"type": "text", "text": "What is in the picture?"}}]
text = processor.apply_chat_template([{{"role": "user", "content": content}}], add_generation_prompt=True)
row = processor(images=image, text=text, return_tensors="pt"{options})["input_ids"][0].tolist()
print(len(row), "places;", row.count(processor.image_token_id), "of them for the picture")
'''


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        live_panel(sys.modules[__name__], page, {"question": page.question})
