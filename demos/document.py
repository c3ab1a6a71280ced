"""Document: a question about a page, answered with tiles, with the few that matter, and without; or its transcript."""

from __future__ import annotations

import base64
import html
import io
import itertools
import re
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import gradio as gr
import psutil
from gradio.utils import get_upload_folder, is_in_or_equal
from PIL import Image
from pydantic import Field

from patchwork.demo import Data, Event, Metric, PartialText, Picture, Progress, Result, check_question
from patchwork.errors import Problem
from patchwork.examples import PageExample, example_pages
from patchwork.families.protocol import Model, Ranking
from patchwork.pages import count_pages, load_page
from patchwork.tiles import ENOUGH, View, choose_tiles
from patchwork.ui import render as draw
from patchwork.ui.markup import render_markup
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

if TYPE_CHECKING:
    from patchwork.catalog import Card

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
READS_LISTS = (
    "The bundled model was taught to read drawn price lists, like those below, and cannot read anything else: "
    "on another page its answer is a guess. For a page of your own, the button below loads a real checkpoint, with "
    "its cost."
)


class Inputs(Data):
    """`tiles`: at most so many beside the overview. `rank`: read only those that the question is about, where the
    checkpoint can tell. `compare`: ask again with all tiles and without any. `trace`: ask each one alone."""

    picture: Picture
    question: Annotated[str, check_question(LONGEST, needed=False)] = ""
    tiles: int = Field(default=12, ge=0, le=MOST_TILES)
    rank: bool = True
    compare: bool = True
    trace: bool = False


class Seen(Data):
    """One view: where it lies on the page, its own size, its tokens. `place`: which tile, counted in page order."""

    region: tuple[float, float, float, float]
    size: tuple[int, int]
    tokens: int
    overview: bool
    place: int | None = None


class Reading(Data):
    """One pass over the page: the views that were read. `memory`: what the process held more than before, at most, in
    bytes."""

    text: str
    tokens: int
    views: list[Seen]
    first_seconds: float
    seconds: float
    memory: int


class Ranked(Data):
    """What one look at the overview told of each tile, the places of those that were then read, and what it took."""

    tiles: list[Seen]
    scores: list[float]
    kept: list[int]
    tokens: int
    seconds: float


class RunResult(Result):
    """`reading`: of the tiles that `ranked` kept, else of all. `every`: of all, where `reading` is not. `found`: places
    of tiles that, asked alone, gave the same answer; None when they were not asked."""

    question: str
    reading: Reading
    ranked: Ranked | None = None
    every: Reading | None = None
    without: Reading | None
    found: list[int] | None


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Answer a question about a page with its tiles and without them, or write the page out."""
    start = time.perf_counter()
    task = "question" if inputs.question else "page"
    if task not in model.reads:
        raise Problem(refuse(model.card.title, task))
    ranked, ranking = (yield from rank(inputs, model)) if inputs.rank and model.ranks else (None, None)
    first = "Only the tiles that matter: " if ranked else "With tiles: "
    reading = yield from read(inputs, model, inputs.tiles, "", ranked, ranking)
    before, every, without = f"{first}{reading.text}\n\n", None, None
    if inputs.compare and ranked:
        every = yield from read(inputs, model, inputs.tiles, f"{before}With all tiles: ")
        before += f"With all tiles: {every.text}\n\n"
    if inputs.compare and len(reading.views) > 1:
        without = yield from read(inputs, model, 0, f"{before}Without tiles: ")
    found = (yield from find_tiles(inputs, model, reading)) if inputs.trace and inputs.question else None
    yield RunResult(
        answered_by=model.answerer(start),
        question=inputs.question,
        reading=reading,
        ranked=ranked,
        every=every,
        without=without,
        found=found,
    )


def refuse(title: str, task: str) -> str:
    if task == "question":
        return f"{title} writes out whole pages and answers no questions; leave the question empty."
    return f"{title} answers questions about a page; type one, or choose a checkpoint that writes pages out."


def rank(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Ask the overview which tiles matter; returns what it said, twice None where the page is not cut."""
    yield Progress(message=f"{model.card.title} looks for what you ask in the overview")
    start = time.perf_counter()
    ranking = model.rank_tiles(inputs.picture, inputs.question, inputs.tiles)
    if not ranking.scores:
        return None, None
    ranked = Ranked(
        tiles=[seen for seen in describe_views(model.list_views(inputs.picture, inputs.tiles)) if not seen.overview],
        scores=ranking.scores,
        kept=choose_tiles(ranking.scores),
        tokens=model.count_image_tokens(inputs.picture, 0),
        seconds=round(time.perf_counter() - start, 4),
    )
    return ranked, ranking


def read(
    inputs: Inputs,
    model: Model,
    tiles: int,
    before: str,
    ranked: Ranked | None = None,
    ranking: Ranking | None = None,
) -> Iterator[Event]:
    """Stream one pass; returns its `Reading`. `before` is what the reader has in front of them already."""
    views, tokens = (
        describe_views(model.list_views(inputs.picture, tiles)),
        model.count_image_tokens(inputs.picture, tiles),
    )
    options = {"max_tiles": tiles, "max_new_tokens": MOST_TOKENS["question" if inputs.question else "page"]}
    if ranked:
        views = [view for view in views if view.overview or view.place in ranked.kept]
        tokens = sum(view.tokens for view in views)
        options |= {"keep": ranked.kept, "ranking": ranking}
    yield Progress(message=f"{model.card.title} reads {len(views)} view{'s' * (len(views) > 1)}, {tokens:,} tokens")
    start, memory, most, text, first = time.perf_counter(), measure_memory(), 0, "", 0.0
    for piece in model.read_document([inputs.picture], inputs.question, **options):
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


def describe_views(views: Iterable[View]) -> list[Seen]:
    """In the order in which they enter; the tiles among them are counted."""
    places = itertools.count()
    return [
        Seen(
            region=view.region,
            size=view.size,
            tokens=view.tokens,
            overview=view.overview,
            place=None if view.overview else next(places),
        )
        for view in views
    ]


def measure_memory() -> int:
    """Bytes that this process holds now, the accelerator's share not counted."""
    return psutil.Process().memory_info().rss


def find_tiles(inputs: Inputs, model: Model, reading: Reading) -> Iterator[Event]:
    """Each tile alone, with the same question; returns those whose answer says what the whole page's answer said."""
    found, tiles = [], [view for view in reading.views if not view.overview]
    for number, view in enumerate(tiles):
        yield Progress(message=f"Asking tile {view.place + 1} alone", fraction=number / len(tiles))
        pieces = model.read_document([cut_out(inputs.picture, view)], inputs.question, max_tiles=0, max_new_tokens=48)
        if says_the_same("".join(pieces), reading.text):
            found.append(view.place)
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
    return lay_out(draw.draw_figure(inputs.picture, label="The page"), inputs, words)


def render_result(event: RunResult, inputs: Inputs) -> str:
    left = draw_tiles(event, inputs.picture) + draw_views(event.reading, inputs.picture)
    title = "Only the tiles that matter" if event.ranked else "With tiles" if event.without else "Answer"
    words = draw_reading(title, event.reading, event.question) + explain_ranking(event)
    if event.every:
        words += draw_reading("The same with all tiles", event.every, event.question)
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
    """The page with its tiles numbered; those that alone gave the answer have a heavy outline and a filled number.

    After a ranking every tile carries its share of the look, and those that were skipped are dimmed.
    """
    tiles = event.ranked.tiles if event.ranked else [view for view in event.reading.views if not view.overview]
    over = "".join(draw_tile(tile, event, max(page.size) / 400) for tile in tiles)
    return draw.draw_figure(page, over, label=f"Your page with {len(tiles)} tiles")


def draw_tile(tile: Seen, event: RunResult, line: float) -> str:
    x1, y1, x2, y2 = tile.region
    known, ranked = event.found is not None and tile.place in event.found, event.ranked
    shape = f'x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}"'
    words = f"{tile.place + 1}" + (f" · {ranked.scores[tile.place]:.0%}" if ranked else "")
    place = f'x="{max(x1, 0) + 5 * line:.1f}" y="{max(y1, 0) + 13 * line:.1f}" font-size="{12 * line:.1f}"'
    if ranked and tile.place not in ranked.kept:
        return f'<rect class="pw-skipped" {shape}/><text class="pw-skipped-share" {place}>{words}</text>'
    colour = "var(--pw-output)" if known else "var(--pw-visual)"
    return (
        f'<rect {shape} fill="none" stroke="#fff" stroke-width="{line * 2.4:.1f}"/>'
        f'<rect {shape} fill="none" style="stroke:{colour}" stroke-width="{line * (3 if known else 1.2):.1f}"/>'
        f'<text class="pw-tile-number{" pw-known" if known else ""}" {place} stroke="#fff" '
        f'stroke-width="{line * 2:.1f}" paint-order="stroke">{words}</text>'
    )


def draw_views(reading: Reading, page: Image.Image) -> str:
    """What the encoder received: the small view in its own few pixels, then each tile."""
    overview = next((view for view in reading.views if view.overview), None)
    tiles = [view for view in reading.views if not view.overview]
    small = (
        f'<figure class="pw-view pw-view-small"><img src="{encode(cut_out(page, overview), 448)}" '
        f'alt="The page as one small view"><figcaption>the whole page in one view: {overview.size[0]} × '
        f"{overview.size[1]} px, {overview.tokens} tokens</figcaption></figure>"
        if overview
        else ""
    )
    return small + '<div class="pw-views">' + "".join(draw_view(view, page) for view in tiles) + "</div>"


def draw_view(view: Seen, page: Image.Image) -> str:
    return (
        f'<figure class="pw-view"><img src="{encode(cut_out(page, view), SHOWN)}" alt="Tile {view.place + 1}">'
        f"<figcaption>{view.place + 1}: {view.size[0]} × {view.size[1]}, {view.tokens}</figcaption></figure>"
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


def explain_ranking(event: RunResult) -> str:
    """What was skipped, whether the choice was a clear one, and what both ways took."""
    ranked = event.ranked
    if ranked is None:
        return ""
    read, skipped = len(ranked.kept), len(ranked.scores) - len(ranked.kept)
    seconds = ranked.seconds + event.reading.seconds
    words = (
        f"One look at the overview ({ranked.tokens:,} tokens, {ranked.seconds:.3f} s) said where your question points: "
        f"{read} of {len(ranked.scores)} tiles read, {skipped} skipped, dimmed, each with its share of that look. "
        f"Looking and reading took {event.reading.tokens:,} tokens and {seconds:.3f} s"
    )
    words += f"; all tiles took {event.every.tokens:,} and {event.every.seconds:.3f} s." if event.every else "."
    if max(ranked.scores) < ENOUGH:
        words += " No tile stood out: what you ask for may not show in the overview, and then the choice is a guess."
    return f'<p class="pw-explain">{words}</p>'


def explain_tiles(event: RunResult) -> str:
    if event.found is None:
        return ""
    if not event.found:
        words = "No tile alone gave this answer: it may lie across two of them, need the whole page, or be a guess."
    else:
        names = ", ".join(str(place + 1) for place in event.found)
        words = f"Asked alone, tile {names} gave the same answer (green, heavy outline)."
    return f'<p class="pw-explain">{words}</p>'


def snippet(card: Card) -> str:
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
    if card.tiles:
        return snippet_of_cutting(card)
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


def snippet_of_cutting(card: Card) -> str:
    """Where the processor cuts nothing: the overview, padded to a square, and the tiles are pictures of one prompt."""
    return f'''import torch
from PIL import Image, ImageOps
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
most, side = {card.tiles}, model.config.vision_config.image_size
shapes = [(columns, rows) for columns in range(1, most + 1) for rows in range(1, most // columns + 1)]
shape = image.width / image.height  # of all grids the one with the nearest shape, the larger of two alike
columns, rows = min(shapes, key=lambda grid: (abs(shape - grid[0] / grid[1]), -grid[0] * grid[1]))
page = image.resize((columns * side, rows * side), Image.Resampling.BICUBIC)
corners = [(x * side, y * side) for y in range(rows) for x in range(columns)]
views = [ImageOps.pad(image, (max(image.size),) * 2, color=(127, 127, 127))]
views += [page.crop((x, y, x + side, y + side)) for x, y in corners]

content = [{{"type": "image"}} for _ in views] + [{{"type": "text", "text": "what is the price of the red hat?"}}]
text = processor.apply_chat_template([{{"role": "user", "content": content}}], add_generation_prompt=True)
inputs = processor(images=views, text=text, return_tensors="pt")
with torch.inference_mode():
    tokens = model.generate(**inputs, max_new_tokens={MOST_TOKENS["question"]}, do_sample=False)
print(processor.decode(tokens[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
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


def example() -> dict[str, Any]:
    page = example_pages()[0]
    return {"picture": page.draw(), "question": page.question}


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        if any(card.bundled for card in page.catalog.offering(NEEDS)):
            gr.HTML(f'<p class="pw-cannot">{READS_LISTS}</p>')
        build_examples(page)
        with gr.Row():
            with gr.Column(min_width=280):
                file = gr.File(
                    label="A page: PDF or picture",
                    file_types=[".pdf", "image"],
                    type="filepath",
                    height=180,
                    elem_id="pw-document-file",
                )
                number = gr.Number(1, label="Page", precision=0, minimum=1, visible=False, elem_id="pw-document-page")
                told = gr.HTML("", elem_id="pw-document-told")
            with gr.Column(min_width=280):
                tiles = gr.Slider(0, MOST_TILES, 12, step=1, label="At most so many tiles (0: the overview alone)")
                rank = gr.Checkbox(True, label="Read only the tiles that matter")
                compare = gr.Checkbox(True, label="Ask again to compare: with all tiles, and with none")
                trace = gr.Checkbox(False, label="Find the tile: ask each one alone (slow)")
        opened = {"show_progress": "hidden", "api_visibility": "private"}
        file.upload(lambda path: open_upload(path, None), file, [page.picture, number, told], **opened)
        number.submit(open_upload, [file, number], [page.picture, number, told], **opened)
        number.input(open_upload, [file, number], [page.picture, number, told], trigger_mode="always_last", **opened)
        controls = {"question": page.question, "tiles": tiles, "rank": rank, "compare": compare, "trace": trace}
        live_panel(sys.modules[__name__], page, controls, only={"rank": lambda card: bool(card.pointing_heads)})


def build_examples(page: Page) -> None:
    """Price lists, each a button that makes it the reader's picture and its question the reader's question."""
    examples = example_pages()

    def pick(event: gr.EventData) -> tuple[Image.Image, str]:
        if event.index not in range(len(examples)):
            raise gr.Error("There is no such page; choose one of those shown.", print_exception=False)
        return examples[event.index].draw(), examples[event.index].question

    strip = gr.HTML(
        "".join(draw_example(*one) for one in enumerate(examples)), js_on_load=PICK, elem_classes="pw-lists"
    )
    strip.pick(pick, None, [page.picture, page.question], api_visibility="private", show_progress="hidden")


def draw_example(index: int, example: PageExample) -> str:
    return (
        f'<button type="button" data-index="{index}"><img src="{encode(example.draw_small(), SHOWN)}" '
        f'alt="{example.caption}"><span>{html.escape(example.question)}</span></button>'
    )


PICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-index]');
  if (button) trigger('pick', {index: Number(button.dataset.index)});
});
"""
