"""Document: a question about a page, answered with tiles and without; or the whole page, written out."""

from __future__ import annotations

import base64
import html
import io
import re
import sys
import time
from collections.abc import Iterator

import gradio as gr
import psutil
from gradio.utils import get_upload_folder, is_in_or_equal
from markdown_it import MarkdownIt
from PIL import Image
from pydantic import Field, field_validator

from patchwork.demo import Data, Event, Metric, PartialText, Picture, Progress, Result
from patchwork.errors import Problem
from patchwork.families.protocol import Model
from patchwork.pages import count_pages, load_page
from patchwork.tiles import View
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "document"
TITLE = "Read a page"
ABOUT = (
    "Ask about the page, once with its tiles and once with the small overview alone. Leave the question empty to have "
    "the whole page written out, by a checkpoint that does that."
)
NEEDS = frozenset({"read_document"})
LONGEST = 2000
MOST_TILES = 16
MOST_TOKENS = {"question": 96, "page": 768}
SHOWN = 150
CANNOT = (
    "The bundled model cannot read: it was taught to see drawn shapes, not letters. This panel needs a real "
    "checkpoint; the button below loads a small one, with its cost."
)


class Inputs(Data):
    """`tiles`: at most so many beside the overview. `compare`: ask again without them. `trace`: ask each one alone."""

    picture: Picture
    question: str = ""
    tiles: int = Field(default=12, ge=0, le=MOST_TILES)
    compare: bool = True
    trace: bool = False

    @field_validator("question")
    @classmethod
    def question_is_short(cls, value: str) -> str:
        if len(value) > LONGEST:
            raise ValueError(f"The question has {len(value)} characters; the limit is {LONGEST}, so shorten it")
        return value.strip()


class Seen(Data):
    """One view that the encoder received: where it lies on the page, its own size, its tokens."""

    region: tuple[float, float, float, float]
    size: tuple[int, int]
    tokens: int
    overview: bool


class Reading(Data):
    """One pass over the page. `memory`: what the process held more than before, at most, in bytes."""

    text: str
    tokens: int
    views: list[Seen]
    first_seconds: float
    seconds: float
    memory: int


class RunResult(Result):
    """`found`: tiles that, asked alone, gave the same answer; None when they were not asked."""

    question: str
    reading: Reading
    without: Reading | None
    found: list[int] | None


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Answer a question about a page with its tiles and without them, or write the page out."""
    start = time.perf_counter()
    task = "question" if inputs.question else "page"
    if task not in model.reads:
        raise Problem(refuse(model.card.title, task))
    reading = yield from read(inputs, model, inputs.tiles, "")
    without = None
    if inputs.compare and len(reading.views) > 1:
        before = f"With tiles: {reading.text}\n\nWithout tiles: "
        without = yield from read(inputs, model, 0, before)
    found = (yield from find_tiles(inputs, model, reading)) if inputs.trace and inputs.question else None
    yield RunResult(
        answered_by=model.answerer(start), question=inputs.question, reading=reading, without=without, found=found
    )


def refuse(title: str, task: str) -> str:
    if task == "question":
        return f"{title} writes out whole pages and answers no questions; leave the question empty."
    return f"{title} answers questions about a page; type one, or choose a checkpoint that writes pages out."


def read(inputs: Inputs, model: Model, tiles: int, before: str) -> Iterator[Event]:
    """Stream one pass; returns its `Reading`. `before` is what the reader has in front of them already."""
    views = [describe_view(view) for view in model.list_views(inputs.picture, tiles)]
    tokens = model.count_image_tokens(inputs.picture, tiles)
    yield Progress(message=f"{model.card.title} reads {len(views)} view{'s' * (len(views) > 1)}, {tokens:,} tokens")
    limit = MOST_TOKENS["question" if inputs.question else "page"]
    start, memory, most, text, first = time.perf_counter(), measure_memory(), 0, "", 0.0
    for piece in model.read_document([inputs.picture], inputs.question, max_tiles=tiles, max_new_tokens=limit):
        first = first or time.perf_counter() - start
        most = max(most, measure_memory() - memory)
        text += piece
        yield PartialText(text=before + text)
    return Reading(
        text=text.strip(),
        tokens=tokens,
        views=views,
        first_seconds=round(first, 3),
        seconds=round(time.perf_counter() - start, 3),
        memory=max(0, most),
    )


def describe_view(view: View) -> Seen:
    return Seen(region=view.region, size=view.size, tokens=view.tokens, overview=view.overview)


def measure_memory() -> int:
    """Bytes that this process holds now, the accelerator's share not counted."""
    return psutil.Process().memory_info().rss


def find_tiles(inputs: Inputs, model: Model, reading: Reading) -> Iterator[Event]:
    """Each tile alone, with the same question; returns those whose answer says what the whole page's answer said."""
    found = []
    for index, view in enumerate(reading.views):
        if view.overview:
            continue
        yield Progress(message=f"Asking tile {index + 1} alone", fraction=index / len(reading.views))
        pieces = model.read_document([cut_out(inputs.picture, view)], inputs.question, max_tiles=0, max_new_tokens=48)
        if says_the_same("".join(pieces), reading.text):
            found.append(index)
    return found


def cut_out(page: Image.Image, view: Seen) -> Image.Image:
    """The part of the page under a view, grey where the view reaches beyond it, as large as the encoder takes it."""
    return page.transform(
        view.size, Image.Transform.EXTENT, view.region, Image.Resampling.BICUBIC, fillcolor=(127, 127, 127)
    )


def says_the_same(one: str, whole: str) -> bool:
    """One answer contains the other, and is not a mere scrap of it; an empty answer says nothing."""
    one, whole = (re.sub(r"\W+", " ", text).strip().casefold() for text in (one, whole))
    if not one or not whole or len(one) < len(whole) / 2:
        return False
    return f" {whole} " in f" {one} " or f" {one} " in f" {whole} "


# ---- how it looks


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, RunResult):
        return render_result(event, inputs)
    words = draw.draw_text(event) if isinstance(event, PartialText) else draw.draw_progress(event)
    return lay_out(draw.draw_figure(inputs.picture, label="Your page"), inputs, words)


def render_result(event: RunResult, inputs: Inputs) -> str:
    left = draw_tiles(event, inputs.picture) + draw_views(event.reading, inputs.picture)
    words = draw_reading("With tiles" if event.without else "Answer", event.reading, event.question)
    if event.without:
        words += draw_reading("The same without tiles", event.without, event.question)
    words += explain_tiles(event) + draw.draw_answerer(event.answered_by)
    return lay_out(left, inputs, words)


def lay_out(left: str, inputs: Inputs, words: str) -> str:
    asked = html.escape(inputs.question) or "Write out the whole page."
    return (
        f'<div class="pw-result"><div>{left}</div><div><p class="pw-asked"><b>Asked</b>{asked}</p>{words}</div></div>'
    )


def draw_tiles(event: RunResult, page: Image.Image) -> str:
    """The page with its tiles numbered; those that alone gave the answer have a heavy outline and a filled number."""
    line, parts = max(page.size) / 400, []
    for index, view in enumerate(event.reading.views):
        if view.overview:
            continue
        x1, y1, x2, y2 = view.region
        known = event.found is not None and index in event.found
        colour = "var(--pw-output)" if known else "var(--pw-visual)"
        shape = f'x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}" fill="none"'
        parts.append(
            f'<rect {shape} stroke="#fff" stroke-width="{line * 2.4:.1f}"/>'
            f'<rect {shape} style="stroke:{colour}" stroke-width="{line * (3 if known else 1.2):.1f}"/>'
            f'<text x="{max(x1, 0) + 5 * line:.1f}" y="{max(y1, 0) + 13 * line:.1f}" font-size="{12 * line:.1f}" '
            f'style="fill:{colour}" stroke="#fff" stroke-width="{line * 2:.1f}" paint-order="stroke">{index + 1}</text>'
        )
    return draw.draw_figure(page, "".join(parts), label=f"Your page with {len(parts)} tiles")


def draw_views(reading: Reading, page: Image.Image) -> str:
    """What the encoder received: the small view in its own few pixels, then each tile."""
    overview = next((view for view in reading.views if view.overview), None)
    tiles = [(index, view) for index, view in enumerate(reading.views) if not view.overview]
    small = (
        f'<figure class="pw-view pw-view-small"><img src="{encode(cut_out(page, overview), 448)}" '
        f'alt="The page as one small view"><figcaption>the whole page in one view: {overview.size[0]} × '
        f"{overview.size[1]} px, {overview.tokens} tokens</figcaption></figure>"
        if overview
        else ""
    )
    return small + '<div class="pw-views">' + "".join(draw_view(index, view, page) for index, view in tiles) + "</div>"


def draw_view(index: int, view: Seen, page: Image.Image) -> str:
    return (
        f'<figure class="pw-view"><img src="{encode(cut_out(page, view), SHOWN)}" alt="Tile {index + 1}">'
        f"<figcaption>{index + 1}: {view.size[0]} × {view.size[1]}, {view.tokens}</figcaption></figure>"
    )


def encode(image: Image.Image, longest: int) -> str:
    buffer = io.BytesIO()
    draw.bound(image, longest).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def draw_reading(title: str, reading: Reading, question: str) -> str:
    text = reading.text or "(The model ended without a word.)"
    if question:
        words = f'<p class="pw-answer"><b>{title}</b>{html.escape(text)}</p>'
    else:
        words = (
            f'<p class="pw-answer"><b>{title}</b></p><div class="pw-transcript">{render_markup(text)}</div>'
            f'<details class="pw-raw"><summary>Raw text</summary><pre>{html.escape(text)}</pre></details>'
        )
    metrics = [
        Metric(label="Views", value=len(reading.views)),
        Metric(label="Picture", value=reading.tokens, unit="tokens"),
        Metric(label="First word", value=reading.first_seconds, unit="s"),
        Metric(label="All of it", value=reading.seconds, unit="s"),
        Metric(label="Memory", value=round(reading.memory / 1e6, 1), unit="MB more", note="held by this process"),
    ]
    return words + draw.draw_metrics(metrics)


def explain_tiles(event: RunResult) -> str:
    if event.found is None:
        return ""
    if not event.found:
        words = "No tile alone gave this answer: it may lie across two of them, need the whole page, or be a guess."
    else:
        names = ", ".join(str(index + 1) for index in event.found)
        words = f"Asked alone, tile {names} gave the same answer (green, heavy outline)."
    return f'<p class="pw-explain">{words}</p>'


MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
"""A model's text is shown as text: no markup of its own, no picture and no link that would leave the page."""
DOCTAG = re.compile(r"<(/?)([a-z_]+)(?:_level_(\d))?>")
PLACES = re.compile(r"<loc_\d+>")


def render_markup(text: str) -> str:
    """Markdown, or DocTags as Docling's models write them, as safe HTML. Tables of DocTags keep rows and cells."""
    if "<doctag>" not in text and not PLACES.search(text):
        return MARKDOWN.render(text)
    plain = PLACES.sub("", text)
    for mark, sign in (("<nl>", "\n"), ("<fcel>", " | "), ("<ched>", " | "), ("<rhed>", " | "), ("<ecel>", " | ")):
        plain = plain.replace(mark, sign)
    lines = []
    for block in re.findall(r"<(\w+)>([^<]*)", plain):
        kind, words = block
        if words.strip():
            head = "#" * min(6, 1 + int(kind[-1])) + " " if kind.startswith("section_header") else ""
            lines.append(("# " if kind == "title" else head) + words.strip().replace("\n", "  \n"))
    return MARKDOWN.render("\n\n".join(lines))


def snippet(card) -> str:
    """A stand-alone program that asks one question about a page, or has it written out."""
    head = "import torch\nfrom PIL import Image\nfrom transformers import AutoProcessor"
    if card.family == "vision_encoder_decoder":
        return f'''{head}, VisionEncoderDecoderModel

MODEL = "{card.repo}"
model = VisionEncoderDecoderModel.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
pixels = processor(image, return_tensors="pt").pixel_values
with torch.inference_mode():
    tokens = model.generate(pixels, max_new_tokens={MOST_TOKENS["page"]}, do_sample=False)
print(processor.batch_decode(tokens, skip_special_tokens=True)[0])
'''
    if card.family in ("florence2", "paligemma"):
        words = {"florence2": "<OCR>", "paligemma": "<image>ocr\n"}[card.family]
        asking, start = f"text = {words!r}", "0" if card.family == "florence2" else 'inputs["input_ids"].shape[1]'
    else:
        asking = """content = [{"type": "image"}, {"type": "text", "text": "What is the total?"}]
text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)"""
        start = 'inputs["input_ids"].shape[1]'
    return f'''{head}, AutoModelForImageTextToText

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
{asking}
inputs = processor(images=image, text=text, return_tensors="pt")
with torch.inference_mode():
    tokens = model.generate(**inputs, max_new_tokens={MOST_TOKENS["question"]}, do_sample=False)
print(processor.decode(tokens[0, {start}:], skip_special_tokens=True))
'''


# ---- the panel


def open_upload(path: str | None, number: float | None) -> tuple:
    """An uploaded PDF or picture → (the page for the tray, the page picker, what to say). None: a new file, page 1."""
    if not path:
        return gr.skip(), gr.Number(visible=False), ""
    try:
        if not is_in_or_equal(path, get_upload_folder()):
            raise Problem("That file did not arrive; upload it again.")
        pages = count_pages(path)
        wanted = int(number or 1)
        picture = load_page(path, wanted)
    except Problem as problem:
        return gr.skip(), gr.skip(), draw.draw_problem(str(problem))
    told = f'<p class="pw-explain">Page {wanted} of {pages} is now your picture, in every chapter.</p>'
    first = {} if number else {"value": 1}
    return picture, gr.Number(visible=pages > 1, maximum=pages, **first), told


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        if not any(card.bundled for card in page.catalog.offering(NEEDS)):
            gr.HTML(f'<p class="pw-cannot">{CANNOT}</p>')
        with gr.Row():
            file = gr.File(
                label="A page: PDF or picture",
                file_types=[".pdf", "image"],
                type="filepath",
                height=150,
                elem_id="pw-document-file",
            )
            with gr.Column(min_width=200):
                number = gr.Number(1, label="Page", precision=0, minimum=1, visible=False, elem_id="pw-document-page")
                told = gr.HTML("", elem_id="pw-document-told")
        opened = {"show_progress": "hidden", "api_visibility": "private"}
        file.upload(lambda path: open_upload(path, None), file, [page.picture, number, told], **opened)
        number.submit(open_upload, [file, number], [page.picture, number, told], **opened)
        number.input(open_upload, [file, number], [page.picture, number, told], trigger_mode="always_last", **opened)
        with gr.Row():
            tiles = gr.Slider(0, MOST_TILES, 12, step=1, label="At most so many tiles (0: the overview alone)")
            with gr.Column(min_width=200):
                compare = gr.Checkbox(True, label="Ask again without tiles")
                trace = gr.Checkbox(False, label="Find the tile: ask each one alone (slow)")
        controls = {"question": page.question, "tiles": tiles, "compare": compare, "trace": trace}
        live_panel(sys.modules[__name__], page, controls)
