"""Instructions: one picture, several instructions, and beside the tuned model the one before it was tuned."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from typing import Literal

import gradio as gr
from pydantic import field_validator

from patchwork.demo import Data, Event, Picture, Progress, Result
from patchwork.families.protocol import Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "instructions"
TITLE = "Instructions"
ABOUT = (
    "One instruction on each line, the same picture for all of them. Prompt and decoding are the same for both models, "
    "so that a difference comes from their training alone."
)
NEEDS = frozenset({"chat"})
BEFORE = "tiny-llava-stage1"
MISSING = (
    "The model before instruction tuning is not in this page’s list of checkpoints, so only one model can answer here."
)
MOST_LINES, LONGEST, MOST_TOKENS = 6, 300, 96
EXAMPLES = "What is in the picture?\nHow many things are there?\nIs there a blue house?\nWrite a poem about it."


class Inputs(Data):
    """`instructions`: one on each line."""

    picture: Picture
    instructions: str = EXAMPLES

    @field_validator("instructions")
    @classmethod
    def lines_are_few_and_short(cls, value: str) -> str:
        lines = [line.strip() for line in value.splitlines() if line.strip()]
        if not lines:
            raise ValueError("There is no instruction yet; write one on each line")
        if len(lines) > MOST_LINES:
            raise ValueError(f"There are {len(lines)} instructions; at most {MOST_LINES} are answered at once")
        if any(len(line) > LONGEST for line in lines):
            raise ValueError(f"An instruction is longer than {LONGEST} characters; shorten it")
        return "\n".join(lines)

    @property
    def lines(self) -> list[str]:
        return self.instructions.splitlines()


class Answer(Data):
    instruction: str
    text: str
    seconds: float = 0.0


class Answers(Data):
    """What has been said so far; the last one may still grow."""

    kind: Literal["answers"] = "answers"
    answers: list[Answer]


class RunResult(Result):
    answers: list[Answer]


KINDS = {"answers": Answers}


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Answer several instructions about one picture, each by itself."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} reads the picture")
    done: list[Answer] = []
    for line in inputs.lines:
        begin, text = time.perf_counter(), ""
        for piece in model.chat([inputs.picture], line, max_new_tokens=MOST_TOKENS):
            text += piece
            yield Answers(answers=[*done, Answer(instruction=line, text=text)])
        seconds = round(time.perf_counter() - begin, 3)
        done.append(Answer(instruction=line, text=text.strip(), seconds=seconds))
    yield RunResult(answered_by=model.answerer(start), answers=done)


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, Progress):
        return draw.draw_progress(event)
    items = "".join(map(draw_answer, event.answers))
    end = draw.draw_answerer(event.answered_by) if isinstance(event, RunResult) else ""
    title = f"<h4>{html.escape(event.answered_by.title)}</h4>" if isinstance(event, RunResult) else ""
    return f'<div class="pw-instructions">{title}<dl>{items}</dl>{end}</div>'


def draw_answer(one: Answer) -> str:
    said = html.escape(one.text) or "(It ended without a word.)"
    return f'<dt class="pw-asked">{html.escape(one.instruction)}</dt><dd class="pw-answer">{said}</dd>'


def snippet(card) -> str:
    """A stand-alone program that does the same."""
    options = ", do_image_splitting=False" if card.family in ("idefics3", "smolvlm2") else ""
    return f'''import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
for instruction in ["What is in the picture?", "How many things are there?"]:
    content = [{{"type": "image"}}, {{"type": "text", "text": instruction}}]
    text = processor.apply_chat_template([{{"role": "user", "content": content}}], add_generation_prompt=True)
    inputs = processor(images=image, text=text, return_tensors="pt"{options})
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens={MOST_TOKENS}, do_sample=False)
    print(processor.decode(tokens[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
'''


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        there = BEFORE in page.catalog.by_id
        if not there:
            gr.HTML(f'<p class="pw-explain">{MISSING}</p>')
        lines = gr.Textbox(EXAMPLES, label="Instructions, one on each line", lines=4, max_lines=8)
        live_panel(sys.modules[__name__], page, {"instructions": lines}, beside=BEFORE if there else False)
