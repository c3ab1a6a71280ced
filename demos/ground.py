"""Ground: a phrase becomes boxes on the reader's picture, or the box that the reader drew becomes words."""

from __future__ import annotations

import base64
import html
import io
import sys
import time
from collections.abc import Iterator
from typing import Any, Literal

import gradio as gr
from PIL import Image, ImageDraw
from pydantic import field_validator, model_validator

from patchwork.boxes import clip_box, iou
from patchwork.demo import Box, Data, Event, Metric, PartialText, Picture, Progress, Result
from patchwork.examples import first_scene
from patchwork.families.protocol import Grounding, Model
from patchwork.images import bound
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "ground"
TITLE = "Ground it"
ABOUT = (
    "Name a thing and the model writes its box; or draw a box of your own and the model says what is in it. "
    "With both, you see how far the two boxes agree."
)
NEEDS = frozenset({"ground"})
LONGEST = 200
MOST_TOKENS = 256
SAVED_SIDE = 1280
TASKS = [("Find what I name", "find"), ("Say what is in my box", "describe")]
COLOURS = ("#08706b", "#a8480a", "#2a7030", "#1d58ad", "#b3261e")
"""The page's box colours in light mode (`render.BOX_COLOURS`), for the saved picture, which no theme changes."""


class Inputs(Data):
    """`region`: the reader's box, "left, top, right, bottom" in pixels of the picture; empty when there is none."""

    picture: Picture
    task: Literal["find", "describe"] = "find"
    phrase: str = ""
    region: str = ""

    @field_validator("phrase")
    @classmethod
    def phrase_is_short(cls, value: str) -> str:
        if len(value) > LONGEST:
            raise ValueError(f"The phrase is longer than {LONGEST} characters; shorten it")
        return value.strip()

    @field_validator("region")
    @classmethod
    def region_has_four_numbers(cls, value: str) -> str:
        if value.strip():
            read_region(value)
        return value.strip()

    @model_validator(mode="after")
    def a_box_is_drawn_where_one_is_needed(self) -> Inputs:
        if self.task == "describe" and not self.region:
            raise ValueError("There is no box yet; draw one on the picture, or type its four numbers")
        return self


def read_region(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise ValueError("A box is four numbers: left, top, right, bottom, in pixels of the picture") from None
    return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)


class Span(Data):
    """A part of the model's text, from one character up to another; `found` counts boxes, None for a malformed one."""

    start: int
    end: int
    found: int | None
    is_name: bool = False


class RunResult(Result):
    """`text` is all that the model wrote. `overlaps`: IoU of each box with the reader's own, empty without one."""

    task: str
    phrase: str
    text: str
    boxes: list[Box]
    spans: list[Span]
    problems: list[str]
    region: Box | None
    overlaps: list[float]
    image_tokens: int


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Find what a phrase names in a picture, or say what is in a box of it."""
    start = time.perf_counter()
    region = clip_region(inputs)
    yield Progress(message=f"{model.card.title} reads the picture")
    grounding = Grounding("", (), ())
    text = ""
    for piece in start_task(inputs, region, model):
        if isinstance(piece, Grounding):
            grounding = piece
        else:
            text += piece
            yield PartialText(text=text)
    boxes = [Box(label=one.label, **name_edges(one.box)) for one in grounding.boxes]
    yield RunResult(
        answered_by=model.answerer(start),
        task=inputs.task,
        phrase=inputs.phrase,
        text=text.strip() if inputs.task == "describe" else text,
        boxes=boxes,
        spans=list_spans(grounding),
        problems=[one.reason for one in grounding.malformed],
        region=Box(label="your box", **name_edges(region)) if region else None,
        overlaps=[round(iou(get_edges(box), region), 4) for box in boxes] if region else [],
        image_tokens=model.count_image_tokens(inputs.picture),
    )


def clip_region(inputs: Inputs) -> tuple[float, float, float, float] | None:
    return clip_box(read_region(inputs.region), inputs.picture.size) if inputs.region else None


def start_task(inputs: Inputs, region, model: Model) -> Iterator[str | Grounding]:
    if inputs.task == "describe":
        return model.describe_region(inputs.picture, region)
    return model.ground(inputs.picture, inputs.phrase, max_new_tokens=MOST_TOKENS)


def name_edges(box: tuple[float, float, float, float]) -> dict[str, float]:
    return {name: round(float(value), 2) for name, value in zip(("x1", "y1", "x2", "y2"), box, strict=True)}


def get_edges(box: Box) -> tuple[float, float, float, float]:
    return box.x1, box.y1, box.x2, box.y2


def list_spans(grounding: Grounding) -> list[Span]:
    """Boxes, their names and malformed parts in the order of the text; a name shared by several boxes comes once."""
    spans = [Span(start=one.span[0], end=one.span[1], found=None) for one in grounding.malformed]
    named = set()
    for index, one in enumerate(grounding.boxes):
        spans.append(Span(start=one.span[0], end=one.span[1], found=index))
        if one.label_span and one.label_span not in named:
            named.add(one.label_span)
            spans.append(Span(start=one.label_span[0], end=one.label_span[1], found=index, is_name=True))
    return sorted(spans, key=lambda span: span.start)


# ---- how it looks


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, RunResult):
        return render_result(event, inputs)
    words = draw.draw_text(event) if isinstance(event, PartialText) else draw.draw_progress(event)
    return lay_out(draw.draw_figure(inputs.picture), ask_again(inputs), words)


def render_result(event: RunResult, inputs: Inputs) -> str:
    side = max(inputs.picture.size)
    over = draw_own(event.region, side) + draw.draw_boxes(event.boxes, side)
    figure = draw.draw_figure(inputs.picture, over, label=describe_figure(event))
    answer = f'<p class="pw-answer pw-ground-answer">{mark_text(event)}</p>'
    told = "".join(f'<p class="pw-explain pw-ground-bad">{html.escape(problem)}</p>' for problem in event.problems)
    metrics = draw.draw_metrics([Metric(label="Picture", value=event.image_tokens, unit="tokens")])
    words = answer + told + draw_found(event) + metrics + draw.draw_answerer(event.answered_by)
    downloads = draw_downloads(event, inputs) if event.boxes else ""
    # a model that writes bare numbers leaves the name to the reader's phrase, which then has the box's colour
    bare = len(event.boxes) == 1 and not any(span.is_name for span in event.spans)
    return lay_out(figure, ask_again(inputs, coloured=bare), words + downloads)


def ask_again(inputs: Inputs, coloured: bool = False) -> str:
    phrase = html.escape(inputs.phrase)
    if inputs.task == "describe":
        return f"What is in the box {html.escape(inputs.region)}?"
    if coloured:
        phrase = f'<span class="pw-ground-name" style="--pw-mark:{draw.BOX_COLOURS[0]}">{phrase}</span>'
    return f"Where is: {phrase}" if phrase else "What is where?"


def lay_out(figure: str, asked: str, words: str) -> str:
    return (
        f'<div class="pw-result"><div>{figure}</div><div><p class="pw-asked"><b>Asked</b>{asked}</p>{words}</div></div>'
    )


def describe_figure(event: RunResult) -> str:
    names = ", ".join(box.label for box in event.boxes)
    return f"The picture with boxes around: {names}" if names else "The picture"


def draw_own(region: Box | None, side: float) -> str:
    """The reader's box, dashed, so that it is told from the model's without colour. Hidden until there is one."""
    edges = get_edges(region) if region else (0, 0, 0, 0)
    x1, y1, x2, y2 = edges
    shape = f'x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" fill="none"'
    line, dash = side / 160, f"{side / 40:.1f} {side / 60:.1f}"
    return (
        f'<g class="pw-own-box"><rect {shape} stroke="#fff" stroke-width="{line * 1.9:.1f}"/>'
        f'<rect {shape} stroke="#16130f" stroke-width="{line:.1f}" stroke-dasharray="{dash}"/></g>'
    )


def mark_text(event: RunResult) -> str:
    """The raw text; a name has the colour of its box, a box is set apart, a malformed part is struck out."""
    parts, place = [], 0
    for span in event.spans:
        if span.start < place:
            continue
        parts.append(html.escape(event.text[place : span.start]))
        parts.append(mark_span(html.escape(event.text[span.start : span.end]), span))
        place = span.end
    parts.append(html.escape(event.text[place:]))
    return "".join(parts).strip() or "(The model ended without a word.)"


def mark_span(words: str, span: Span) -> str:
    if span.found is None:
        return f'<del class="pw-ground-bad">{words}</del>'
    colour = draw.BOX_COLOURS[span.found % len(draw.BOX_COLOURS)]
    kind = "pw-ground-name" if span.is_name else "pw-ground-box"
    return f'<span class="{kind}" style="--pw-mark:{colour}">{words}</span>'


def draw_found(event: RunResult) -> str:
    if event.task == "describe":
        return ""
    if not event.boxes:
        return '<p class="pw-explain">There is no box to read in this text, so none is drawn.</p>'
    rows = "".join(draw_row(index, box, event) for index, box in enumerate(event.boxes))
    head = "<tr><th>Box</th><th>Left, top, right, bottom</th><th>IoU with yours</th></tr>"
    return (
        f'<table class="pw-scores pw-ground-found"><thead>{head}</thead><tbody>{rows}</tbody></table>'
        '<p class="pw-explain">In pixels of the picture. Draw or move your own box above: the overlap follows at '
        "once, without the model.</p>"
    )


def draw_row(index: int, box: Box, event: RunResult) -> str:
    edges = ", ".join(f"{value:.0f}" for value in get_edges(box))
    exact = " ".join(f"{value:.2f}" for value in get_edges(box))
    overlap = f"{event.overlaps[index]:.2f}" if event.overlaps else "–"
    colour = draw.BOX_COLOURS[index % len(draw.BOX_COLOURS)]
    name = html.escape(box.label) or f"box {index + 1}"
    return (
        f'<tr data-box="{exact}"><td><span class="pw-ground-name" style="--pw-mark:{colour}">{name}</span></td>'
        f'<td class="pw-number-cell">{edges}</td><td class="pw-number-cell pw-overlap">{overlap}</td></tr>'
    )


def draw_downloads(event: RunResult, inputs: Inputs) -> str:
    picture = base64.b64encode(save_picture(event, inputs.picture)).decode()
    record = base64.b64encode(save_record(event, inputs).encode()).decode()
    return (
        '<p class="pw-downloads"><a download="grounding.png" '
        f'href="data:image/png;base64,{picture}">Save the picture with its boxes</a> '
        f'<a download="grounding.json" href="data:application/json;base64,{record}">Save the boxes as JSON</a></p>'
    )


def save_picture(event: RunResult, picture: Image.Image) -> bytes:
    """PNG of the picture with the boxes drawn in, longest side at most 1,280 pixels."""
    small = bound(picture, SAVED_SIDE).copy()
    scale, line = small.width / picture.width, max(2, max(small.size) // 200)
    pencil = ImageDraw.Draw(small)
    for index, box in enumerate(event.boxes):
        edges = [value * scale for value in get_edges(box)]
        pencil.rectangle(edges, outline=COLOURS[index % len(COLOURS)], width=line)
        pencil.text((edges[0] + 2 * line, edges[1] + 2 * line), box.label, fill=COLOURS[index % len(COLOURS)])
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return buffer.getvalue()


def save_record(event: RunResult, inputs: Inputs) -> str:
    """The whole result as JSON, with the size of the picture that its pixels count."""
    return Saved(picture_size=inputs.picture.size, result=event).model_dump_json(indent=2)


class Saved(Data):
    picture_size: tuple[int, int]
    result: RunResult


PROMPTS = {
    "florence2": "<CAPTION_TO_PHRASE_GROUNDING>{phrase}",
    "kosmos2": "<grounding><phrase> {phrase}</phrase>",
    "paligemma": "<image>detect {phrase}\n",
}
"""Families that are asked without a chat template."""


def snippet(card) -> str:
    """A stand-alone program that prints the raw text with the boxes in it."""
    if card.family in PROMPTS:
        asking = f'text = {card.prompts.get("ground", PROMPTS[card.family])!r}.format(phrase="yellow ring")'
    else:
        words = card.prompts.get("ground", "Locate {phrase}. Give its bounding box.")
        asking = f"""question = {words!r}.format(phrase="yellow ring")
content = [{{"type": "image"}}, {{"type": "text", "text": question}}]
text = processor.apply_chat_template([{{"role": "user", "content": content}}], add_generation_prompt=True)"""
    written = "tokens[0]" if card.family == "florence2" else 'tokens[0, inputs["input_ids"].shape[1]:]'
    return f'''import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
{asking}
inputs = processor(images=image, text=text, return_tensors="pt")
with torch.inference_mode():
    tokens = model.generate(**inputs, max_new_tokens={MOST_TOKENS}, do_sample=False)
print(processor.decode({written}, skip_special_tokens={card.family not in PROMPTS}))
'''


# ---- the panel

PAD = """
<figure class="pw-pad"><figcaption>Your box: draw it here</figcaption>
<div class="pw-sim-stage"><canvas data-part="pad" tabindex="0" data-keys role="application"
aria-label="Your picture. Draw a box; arrow keys move it, with Shift they resize it."></canvas></div></figure>
"""
PAD_SCRIPT = """
const pad = Patchwork.mountPad(element.querySelector('[data-part="pad"]'), {
  longest: 2048,
  onBox: (box) => { Patchwork.compareWith(document.querySelector('#pw-ground-output'), box); },
  onDone: (box) => { trigger('boxed', {region: box.join(', ')}); },
});
"""


def first_name() -> str:
    """The name of a thing in the first drawn example, so that the first run has something to find."""
    return first_scene().things[0].name


def example() -> dict[str, Any]:
    return {"phrase": first_name()}


def take_region(event: gr.EventData) -> str:
    """What the pad drew, as text that can be typed over."""
    region = event.region
    if not isinstance(region, str) or len(region) > LONGEST:
        raise gr.Error("That box did not arrive; draw it again.", print_exception=False)
    try:
        read_region(region)
    except ValueError as error:
        raise gr.Error(str(error), print_exception=False) from None
    return region


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        with gr.Row():
            with gr.Column(min_width=260):
                pad = gr.HTML(PAD, js_on_load=PAD_SCRIPT, padding=False, elem_id="pw-ground-pad")
            with gr.Column(min_width=260):
                task = gr.Radio(TASKS, value="find", label="What to do", elem_id="pw-ground-task")
                phrase = gr.Textbox(first_name(), label="A thing in the picture", max_lines=1)
                region = gr.Textbox(
                    label="Your box in pixels: left, top, right, bottom",
                    placeholder="draw it on the picture, or type it",
                    max_lines=1,
                    elem_id="pw-ground-region",
                )
        pad.boxed(take_region, None, region, show_progress="hidden", queue=False, api_visibility="private")
        live_panel(sys.modules[__name__], page, {"task": task, "phrase": phrase, "region": region})
