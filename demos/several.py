"""Several: a few pictures, or frames of a clip, with one question; all in one prompt where the model learnt that."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import gradio as gr
from PIL import Image
from pydantic import AfterValidator

from patchwork.demo import Data, Event, Metric, Picture, Progress, Result, check_question
from patchwork.errors import Problem
from patchwork.examples import draw_clip, invent_clip
from patchwork.families.protocol import Model
from patchwork.images import load_frames
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "several"
TITLE = "Several pictures, and video"
ABOUT = (
    "A clip is a row of pictures. A model that was trained on several of them gets all in one prompt and answers once; "
    "any other is asked about each picture by itself. Below the answer stands what the pictures cost."
)
NEEDS = frozenset({"chat"})
MOST, FIRST = 8, 4
LONGEST, MOST_TOKENS = 500, 96
ASKED = "Is the star to the left or to the right of the house?"
SECONDS = 60
TOGETHER = "All pictures in one prompt, so one answer can speak of how they differ, and of what happens between them."
APART = (
    "This model learnt from one picture at a time, so it was asked once for each; no answer knows of another picture."
)


def check_pictures(pictures: list[Image.Image]) -> list[Image.Image]:
    if not pictures:
        raise ValueError("There is no picture yet; add some, or take the built-in clip")
    if len(pictures) > MOST:
        raise ValueError(
            f"There are {len(pictures)} pictures; at most {MOST} are asked about at once, so take some out"
        )
    return pictures


class Inputs(Data):
    """`pictures` in order, at most 8."""

    pictures: Annotated[list[Picture], AfterValidator(check_pictures)]
    question: Annotated[str, check_question(LONGEST)] = ASKED


class Answers(Data):
    """One text for all pictures, or one for each in order; the last may still grow."""

    kind: Literal["answers"] = "answers"
    together: bool
    texts: list[str]


class RunResult(Result):
    """`tokens`: places in prompts that the pictures took, all together."""

    together: bool
    texts: list[str]
    tokens: int


KINDS = {"answers": Answers}


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Ask one question about several pictures: in one prompt, or of a model that cannot do that, once for each."""
    start = time.perf_counter()
    together = "several" in model.card.capabilities
    prompts = [inputs.pictures] if together else [[picture] for picture in inputs.pictures]
    yield Progress(message=f"{model.card.title} reads {len(inputs.pictures)} pictures")
    texts: list[str] = []
    for pictures in prompts:
        texts.append("")
        for piece in model.chat(pictures, inputs.question, max_new_tokens=MOST_TOKENS):
            texts[-1] += piece
            yield Answers(together=together, texts=list(texts))
    yield RunResult(
        answered_by=model.answerer(start),
        together=together,
        texts=[text.strip() for text in texts],
        tokens=sum(count_places(model, pictures, inputs.question) for pictures in prompts),
    )


def count_places(model: Model, pictures: list[Image.Image], question: str) -> int:
    """Of one prompt. Several pictures are counted where they stand: some models give each fewer than one alone."""
    if len(pictures) == 1:
        return model.count_image_tokens(pictures[0])
    return int(model.find_places(model.prepare(pictures, question)).sum())


# ---- how it looks


def render(event: Event, inputs: Inputs) -> str:
    asked = f'<p class="pw-asked"><b>Asked</b>{html.escape(inputs.question)}</p>'
    if isinstance(event, Progress):
        return asked + draw_strip(inputs, []) + draw.draw_progress(event)
    strip = draw_strip(inputs, [] if event.together else event.texts)
    answer = f'<p class="pw-answer">{say(event.texts[0])}</p>' if event.together else ""
    return asked + strip + answer + (render_bill(event, inputs) if isinstance(event, RunResult) else "")


def draw_strip(inputs: Inputs, texts: list[str]) -> str:
    """The pictures in order, numbered; below each what was said of it alone."""
    said = [say(text) for text in texts] + [""] * (len(inputs.pictures) - len(texts))
    figures = [
        draw.draw_figure(picture, words=f"<b>{number}</b> {words}", label=f"Picture {number}")
        for number, (picture, words) in enumerate(zip(inputs.pictures, said, strict=True), start=1)
    ]
    return f'<div class="pw-filmstrip">{"".join(figures)}</div>'


def say(text: str) -> str:
    return html.escape(text) or "(nothing yet)"


def render_bill(event: RunResult, inputs: Inputs) -> str:
    each = event.tokens / len(inputs.pictures)
    metrics = [
        Metric(label=f"{len(inputs.pictures)} pictures", value=event.tokens, unit="tokens"),
        Metric(label="One picture", value=round(each, 1), unit="tokens", note="on average"),
        Metric(label="A minute at one frame a second", value=round(SECONDS * each), unit="tokens"),
    ]
    explained = f'<p class="pw-explain">{TOGETHER if event.together else APART}</p>'
    return explained + draw.draw_metrics(metrics) + draw.draw_answerer(event.answered_by)


def snippet(card) -> str:
    """A stand-alone program that does the same with two pictures."""
    together = "several" in card.capabilities
    prompts = "[pictures]" if together else "[[picture] for picture in pictures]"
    options = ", do_image_splitting=False" if card.family in ("idefics3", "smolvlm2") else ""
    return f'''import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

pictures = [Image.open(name).convert("RGB") for name in ("picture-1.png", "picture-2.png")]
for prompt in {prompts}:
    content = [*({{"type": "image"}} for _ in prompt), {{"type": "text", "text": "{ASKED}"}}]
    text = processor.apply_chat_template([{{"role": "user", "content": content}}], add_generation_prompt=True)
    inputs = processor(images=prompt, text=text, return_tensors="pt"{options})
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens={MOST_TOKENS}, do_sample=False)
    print(processor.decode(tokens[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
'''


# ---- the panel


def example() -> dict[str, Any]:
    return {"pictures": [scene.draw(256) for scene in invent_clip(FIRST)], "question": ASKED}


def take_frames(clip: str | None, count: float) -> list[Any]:
    """Frames for the gallery: of the reader's clip, else of the built-in one."""
    if clip is None:
        return draw_clip(int(count))
    try:
        return load_frames(clip, int(count))
    except Problem as problem:
        raise gr.Error(str(problem), print_exception=False) from problem


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        clip = gr.State(None)
        gallery = gr.Gallery(
            draw_clip(FIRST),
            label="Pictures, in order",
            columns=4,
            height="auto",
            object_fit="contain",
            file_types=["image"],
            buttons=[],
            elem_id="pw-several-pictures",
        )
        with gr.Row(elem_classes="pw-run-row"):
            count = gr.Slider(2, MOST, FIRST, step=1, label="Frames taken from the clip", min_width=220, scale=2)
            own = gr.UploadButton(
                "My animated GIF or WebP",
                file_types=[".gif", ".webp", ".png"],
                size="sm",
                min_width=200,
                elem_id="pw-several-own",
            )
            built_in = gr.Button("The built-in clip", size="sm", min_width=140, elem_id="pw-several-built-in")
        question = gr.Textbox(ASKED, label="Question about them", max_lines=2)
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        own.upload(lambda path: path, own, clip, **quiet).then(take_frames, [clip, count], gallery, **quiet)
        built_in.click(lambda: None, None, clip, **quiet).then(take_frames, [clip, count], gallery, **quiet)
        count.change(take_frames, [clip, count], gallery, trigger_mode="always_last", **quiet)
        live_panel(sys.modules[__name__], page, {"pictures": gallery, "question": question})
