"""Bridge: what each patch says before, after and beyond the projector, and what the model answers without it."""

from __future__ import annotations

import html
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import gradio as gr
from pydantic import Field

from patchwork.demo import Data, Event, Picture, Progress, Result, check_question
from patchwork.families.protocol import Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "bridge"
TITLE = "What does each patch say?"
ABOUT = (
    "The model is taken apart while it reads your picture and your question. Each patch is put into words at several "
    "places, beside a control; then the bridge is broken, one way at a time."
)
NEEDS = frozenset({"chat", "trace"})
LONGEST = 500
MOST_WORDS = 12
"""Pictures with more patches a side than this show their words only when a patch is chosen."""

READ_BY_CLIP = (
    "Before the bridge the bundled CLIP reads: its first layers are this encoder's own, number for number; its last "
    "ones went on to learn captions."
)
BREAKS = {
    "zeroed": "Bridge switched off (all zeros)",
    "shuffled": "Patches shuffled after the bridge",
    "unplaced": "Encoder without position embeddings",
    "blank": "A grey picture instead of yours",
}


class Inputs(Data):
    picture: Picture
    question: Annotated[str, check_question(LONGEST)] = "What is in the picture?"
    breaks: list[Literal["zeroed", "shuffled", "unplaced", "blank"]] = Field(default_factory=lambda: list(BREAKS))


class Reading(Data):
    """One word per patch, row by row; `control` with shuffled patches. See `patchwork.bridge.Reading`."""

    name: str
    words: list[str]
    scores: list[float]
    control: list[str]
    follows: float
    stays: float


class Answer(Data):
    name: str
    answer: str
    moved: float


class Plane(Data):
    patches: list[list[float]]
    words: list[list[float]]
    explained: list[float]


class Size(Data):
    """A bridge's shapes [vectors, width] before and after it, and its parameters."""

    model: str
    kind: str
    taken: list[int]
    given: list[int]
    parameters: int


class RunResult(Result):
    """Readings on a grid of `rows` × `columns` over `region`; answers, the intact one first; planes; bridges.

    `colours`: the picture's mean colour under each vector of the encoder, then of the bridge. `longer`: how many times
    a word's vector fits into a patch's, in length.
    """

    rows: int
    columns: int
    region: tuple[float, float, float, float]
    patch: int
    readings: list[Reading]
    answers: list[Answer]
    blind: float
    encoder: Plane
    language: Plane
    colours: tuple[list[str], list[str]]
    longer: float
    bridges: list[Size]
    encoder_note: str = ""


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Read a picture's patches as words after the projector and layer by layer; break the projector and answer."""
    from patchwork import bridge

    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} reads the picture, once in order and once shuffled")
    seen, readings = bridge.read_words(model, inputs.picture, inputs.question)
    encoder = bridge.read_encoder(model, inputs.picture, bridge.shuffle(len(seen.taken)))
    answers: list[Answer] = []
    for name in ("intact", *inputs.breaks):
        yield Progress(message=f"Answering: {BREAKS.get(name, 'nothing broken')}")
        intact = answers[0].answer if answers else ""
        answers.append(Answer(**vars(bridge.answer_broken(model, inputs.picture, inputs.question, name, intact))))
    yield Progress(message="Comparing the two spaces")
    grid = bridge.find_grid(model, inputs.picture, len(seen.given))
    before, after = bridge.lay_both(model, seen)
    readings = [Reading(**vars(one)) for one in ([encoder] if encoder else []) + readings]
    yield RunResult(
        answered_by=model.answerer(start),
        rows=grid.rows,
        columns=grid.columns,
        region=grid.region,
        patch=choose_patch(readings[0].words, readings[0].scores),
        readings=readings,
        answers=answers,
        blind=bridge.compare_blind(model, inputs.picture, inputs.question),
        encoder=Plane(**vars(before)),
        language=Plane(**vars(after)),
        colours=tuple(
            list(bridge.average_colours(inputs.picture, bridge.find_grid(model, inputs.picture, len(points))))
            for points in (seen.taken, seen.given)
        ),
        longer=bridge.compare_lengths(model, seen),
        bridges=count_sizes(model, seen),
        encoder_note=READ_BY_CLIP if encoder else "The text side that belongs to this encoder is another checkpoint.",
    )


def choose_patch(words: Sequence[str], scores: Sequence[float]) -> int:
    """The surest reading that is not the commonest word, which is often only the background's."""
    common = Counter(words).most_common(1)[0][0]
    places = [place for place, word in enumerate(words) if word != common] or range(len(words))
    return max(places, key=lambda place: scores[place])


def count_sizes(model: Model, seen) -> list[Size]:
    """This checkpoint's bridge, counted as it runs, then real ones built from their configurations."""
    from patchwork.bridges import count_bridges
    from patchwork.families.parts import find_parts

    projector = find_parts(model.model).projector
    own = Size(
        model=model.card.title,
        kind="as it ran just now",
        taken=list(seen.taken.shape),
        given=list(seen.given.shape),
        parameters=sum(weight.numel() for weight in projector.parameters()),
    )
    return [own, *(Size(**vars(one) | {"taken": list(one.taken), "given": list(one.given)}) for one in count_bridges())]


# ---- what is shown


def render(event: Event, inputs: Inputs) -> str:
    if not isinstance(event, RunResult):
        return draw.draw_progress(event)
    words = json.dumps([{"words": r.words, "scores": r.scores, "control": r.control} for r in event.readings])
    return (
        f'<div class="pw-bridge" data-readings="{html.escape(words, quote=True)}">'
        f"{draw_words(event, inputs)}{draw_answers(event, inputs)}{draw_planes(event)}{draw_sizes(event)}"
        f"{draw.draw_answerer(event.answered_by)}</div>"
    )


def draw_words(event: RunResult, inputs: Inputs) -> str:
    """The picture with one word on each patch; chips choose where it is read; the table reads one patch everywhere."""
    shown = len(event.readings) - 1
    chips = "".join(
        f'<button type="button" class="pw-chip" data-reading="{index}" aria-pressed="{str(index == shown).lower()}">'
        f"{html.escape(reading.name)}</button>"
        for index, reading in enumerate(event.readings)
    )
    control = '<button type="button" class="pw-chip" data-control aria-pressed="false">control: shuffled</button>'
    figure = draw.draw_figure(
        inputs.picture,
        draw_cells(event, shown),
        "Click a patch, or move with the arrow keys.",
        label="The picture, and on each patch the word that its vector is nearest to",
        data=f'data-rows="{event.rows}" data-columns="{event.columns}" data-patch="{event.patch}" tabindex="0"',
    )
    return (
        f'<div class="pw-chips" role="group" aria-label="Where the patches are read">{chips}{control}</div>'
        f'<div class="pw-result">{figure}<div>{draw_table(event, shown)}</div></div>'
    )


def place_cells(event: RunResult) -> Iterator[tuple[int, float, float, float, float]]:
    """(index, x, y, width, height) of every patch, in pixels of the picture."""
    x1, y1, x2, y2 = event.region
    width, height = (x2 - x1) / event.columns, (y2 - y1) / event.rows
    for index in range(event.rows * event.columns):
        yield index, x1 + index % event.columns * width, y1 + index // event.columns * height, width, height


def draw_cells(event: RunResult, shown: int) -> str:
    cells = list(place_cells(event))
    squares = "".join(
        f'<rect class="pw-patch pw-grid-cell" data-patch="{i}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{w:.1f}" height="{h:.1f}"/>'
        for i, x, y, w, h in cells
    )
    _, x, y, w, h = cells[event.patch]
    chosen = f'<rect class="pw-grid-chosen" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}"/>'
    if event.columns > MOST_WORDS:
        return squares + chosen
    groups = ""
    for index, reading in enumerate(event.readings):
        for name, words in (("words", reading.words), ("control", reading.control)):
            hidden = "" if (index, name) == (shown, "words") else ' style="display:none"'
            texts = "".join(draw_word(word, *cell[1:]) for word, cell in zip(words, cells, strict=True))
            groups += f'<g class="pw-words" data-of="{index}" data-what="{name}"{hidden}>{texts}</g>'
    return squares + groups + chosen


def draw_word(word: str, x: float, y: float, width: float, height: float) -> str:
    """Up to two lines inside a patch, smaller where a line is long."""
    lines = word.split(" ", 1)
    size = min(0.3 * height, width / (0.62 * max(4, *map(len, lines))))
    first = y + height / 2 + size * (0.35 - 0.55 * (len(lines) - 1))
    spans = "".join(
        f'<tspan x="{x + width / 2:.1f}" y="{first + place * 1.1 * size:.1f}">{html.escape(line)}</tspan>'
        for place, line in enumerate(lines)
    )
    return f'<text style="font-size:{size:.1f}px">{spans}</text>'


def draw_table(event: RunResult, shown: int) -> str:
    rows = "".join(
        f'<tr data-row="{index}"{" aria-current=true" if index == shown else ""}><td>{html.escape(reading.name)}</td>'
        f'<td><b data-cell="words">{html.escape(reading.words[event.patch])}</b> '
        f'<span class="pw-figures" data-cell="scores">{reading.scores[event.patch]:.2f}</span></td>'
        f'<td class="pw-shuffled-word" data-cell="control">{html.escape(reading.control[event.patch])}</td>'
        f'<td class="pw-figures">{reading.follows:.0%}</td><td class="pw-figures">{reading.stays:.0%}</td></tr>'
        for index, reading in enumerate(event.readings)
    )
    note = f" {event.encoder_note}" if event.encoder_note else ""
    return (
        '<div class="pw-scroll"><table class="pw-facts"><thead><tr><th>Patch <span data-cell="number">'
        f'{event.patch + 1}</span></th><th>says</th><th>this place, shuffled</th><th class="pw-figures">follows</th>'
        f'<th class="pw-figures">stays</th></tr></thead><tbody>{rows}</tbody></table></div>'
        '<p class="pw-explain"><b>Do not trust the words too quickly.</b> There is always a nearest word, even for '
        "wallpaper. So every reading was repeated with the patches in another order: <i>follows</i> is the share of "
        "places where the word went along with its patch, <i>stays</i> the share where the same word stood there "
        "although another patch had moved in. High <i>stays</i> means that the words say little about the patch. "
        f"Numbers beside words: a cosine before and after the bridge, a probability in the layers.{note}</p>"
    )


def draw_answers(event: RunResult, inputs: Inputs) -> str:
    rows = "".join(
        f"<tr{' class=pw-own' if one.name == 'intact' else ''}><td>{BREAKS.get(one.name, 'Nothing broken')}</td>"
        f'<td><div class="pw-said">{html.escape(one.answer) or "(nothing)"}</div></td>'
        f'<td class="pw-figures">{"" if one.name == "intact" else f"{one.moved:.0%}"}</td></tr>'
        for one in event.answers
    )
    return (
        '<section class="pw-part"><h4>Broken on purpose</h4>'
        f'<p class="pw-asked"><b>Asked</b>{html.escape(inputs.question)}</p>'
        '<div class="pw-scroll"><table class="pw-facts"><thead><tr><th>What is broken</th><th>What it answers</th>'
        f'<th class="pw-figures">moved</th></tr></thead><tbody>{rows}</tbody></table></div>'
        '<p class="pw-explain"><i>Moved</i>: how far the probabilities of the first answer’s tokens shifted (0 % = not '
        "at all). With the bridge at zero, the picture and a grey one give the same numbers: their largest difference "
        f"is {event.blind:g}. Whatever the model still says then, it made up.</p></section>"
    )


def draw_planes(event: RunResult) -> str:
    shapes = event.bridges[0]
    left = draw_plane(event.encoder, event.colours[0])
    right = draw_plane(event.language, event.colours[1])
    return (
        '<section class="pw-part"><h4>The two spaces, laid flat</h4><div class="pw-planes">'
        f"<figure>{left}<figcaption>The encoder’s space, {shapes.taken[1]:,} numbers a patch; two directions show "
        f"{sum(event.encoder.explained):.0%} of the differences.</figcaption></figure>"
        f"<figure>{right}<figcaption>The language model’s space, {shapes.given[1]:,} numbers: your patches (squares) "
        f"and its words (orange dots); {sum(event.language.explained):.0%} shown. A patch’s vector is on average "
        f"{event.longer:.1f} times as long as a word’s.</figcaption></figure></div>"
        '<p class="pw-explain">Each square has the mean colour of its patch. Each panel has its own axes: even where '
        "both spaces have the same width, the numbers in them mean different things.</p></section>"
    )


def draw_plane(plane: Plane, colours: Sequence[str]) -> str:
    """Both axes to one scale, so that distances may be compared."""
    points = [*plane.patches, *plane.words]
    low = [min(point[axis] for point in points) for axis in (0, 1)]
    span = max(max(point[axis] for point in points) - low[axis] for axis in (0, 1)) or 1.0
    spare = [(span - (max(point[axis] for point in points) - low[axis])) / 2 for axis in (0, 1)]

    def place(point: Sequence[float]) -> tuple[float, float]:
        x, y = (12 + 276 * (point[axis] - low[axis] + spare[axis]) / span for axis in (0, 1))
        return x, 300 - y

    dots = "".join(
        '<circle class="pw-plane-word" cx="{:.1f}" cy="{:.1f}" r="2"/>'.format(*place(word)) for word in plane.words
    )
    squares = "".join(
        '<rect class="pw-plane-patch" x="{:.1f}" y="{:.1f}" width="8" height="8" fill="{}"/>'.format(
            *(edge - 4 for edge in place(point)), colour
        )
        for point, colour in zip(plane.patches, colours, strict=True)
    )
    return f'<svg viewBox="0 0 300 300" role="img" aria-label="Points in two dimensions">{dots}{squares}</svg>'


def draw_sizes(event: RunResult) -> str:
    rows = "".join(
        f"<tr{' class=pw-own' if index == 0 else ''}><td>{html.escape(one.model)}</td><td>{html.escape(one.kind)}</td>"
        f'<td class="pw-figures">{one.taken[0]:,} × {one.taken[1]:,}</td>'
        f'<td class="pw-figures">{one.given[0]:,} × {one.given[1]:,}</td>'
        f'<td class="pw-figures">{one.parameters:,}</td></tr>'
        for index, one in enumerate(event.bridges)
    )
    return (
        '<section class="pw-part"><h4>How big is a bridge?</h4><div class="pw-scroll"><table class="pw-facts"><thead>'
        '<tr><th>Model</th><th>Bridge</th><th class="pw-figures">takes</th><th class="pw-figures">gives</th>'
        f'<th class="pw-figures">parameters</th></tr></thead><tbody>{rows}</tbody></table></div>'
        '<p class="pw-explain">Vectors × width for one picture or tile. The others were built a moment ago from their '
        "published configurations, without weights, only to be counted.</p></section>"
    )


def snippet(card) -> str:
    """A stand-alone program: the nearest readable word of each patch after the bridge."""
    options = ", do_image_splitting=False" if card.family == "idefics3" else ""
    return f'''import torch
from PIL import Image
from torch.nn.functional import normalize
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)
tokenizer = processor.tokenizer

texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))], skip_special_tokens=True)
texts = [text.strip() for text in texts]
words = [token for token, text in enumerate(texts) if text.isdigit() or (len(text) > 1 and text.isalpha())]

image = Image.open("picture.png").convert("RGB")
pixels = processor.image_processor(images=image, return_tensors="pt"{options}).pixel_values
with torch.inference_mode():
    patches = model.get_image_features(pixel_values=pixels).pooler_output[0]  # after the bridge
    table = model.get_input_embeddings().weight[words]
    nearest = (normalize(patches, dim=-1) @ normalize(table, dim=-1).T).argmax(-1)
print([texts[words[index]] for index in nearest.tolist()])
'''


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        breaks = gr.CheckboxGroup(
            [(words, name) for name, words in BREAKS.items()],
            value=list(BREAKS),
            label="Break it",
            elem_id="pw-bridge-breaks",
        )
        controls = {"question": page.question, "breaks": breaks}
        live_panel(sys.modules[__name__], page, controls, picks=("Patchwork.mountBridge(element);", {}))
