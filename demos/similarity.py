"""Similarity: one picture, the reader's captions, ranked; softmax beside sigmoid; patches and words on one map."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import gradio as gr
from PIL import Image
from pydantic import Field, field_validator

from patchwork.demo import Data, Event, Map, Metric, Picture, Progress, Result
from patchwork.families.protocol import Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel
from patchwork.ui.points import Mark, draw_points

if TYPE_CHECKING:
    import torch

NAME = "similarity"
TITLE = "Similarity"
ABOUT = (
    "Write a few captions, one per line, some true of your picture and some almost true. The model turns the picture "
    "and each caption into a vector and compares their directions. Below the ranking, every patch of the picture and "
    "every word of your captions stand on one map of the space that they share."
)
NEEDS = frozenset({"embed_image", "embed_text"})
CAPTIONS = "a purple fish inside a yellow ring\na yellow fish inside a purple ring\na pink square\na green boat"
MOST, LONGEST, MOST_WORDS = 8, 200, 14
SMALL_WORDS = frozenset(["a", "an", "and", "are", "at", "by", "for", "from", "in", "is", "it", "of", "on", "the", "to"])


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


class Point(Data):
    """A patch, a caption, a word or the whole picture in the shared space: on the two main axes of all points as they
    are, and once more after each kind (visual, textual) has been moved to its own middle."""

    kind: Literal["patch", "picture", "caption", "word"]
    label: str
    nearest: str = ""
    as_is: tuple[float, float]
    centred: tuple[float, float]


class Joint(Data):
    """All points; `shown` says which share of the variance two axes hold, as they are and centred."""

    points: list[Point]
    shown: tuple[float, float]
    rows: int
    columns: int
    region: tuple[float, float, float, float]


class RunResult(Result):
    """`scores` from the best to the worst match; `rule` is what the checkpoint was trained with."""

    scores: list[Score]
    rule: str
    joint: Joint


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Rank captions by how well they match a picture (CLIP or SigLIP), and map patches and words together."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} reads the picture and {len(inputs.captions)} captions")
    found = model.similarity(inputs.picture, inputs.captions)
    columns = zip(inputs.captions, found.cosine, found.softmax, found.sigmoid, strict=True)
    scores = [Score(caption=text, cosine=c, softmax=p, sigmoid=s) for text, c, p, s in columns]
    scores.sort(key=lambda score: -score.cosine)
    yield Progress(message="Every patch and every word finds its place in the shared space")
    joint = map_together(inputs.picture, [score.caption for score in scores], model)
    yield RunResult(answered_by=model.answerer(start), scores=scores, rule=found.rule, joint=joint)


def map_together(picture: Image.Image, captions: Sequence[str], model: Model) -> Joint:
    """Patches, whole picture, captions and words, each a unit vector, on the two main axes of them all."""
    patches, grid = model.embed_patches(picture)
    words = list_words(captions)
    picture_vector, texts = model.embed_image([picture]), model.embed_text([*captions, *words])
    visual = [("patch", f"patch {index}") for index in range(len(patches))] + [("picture", "the whole picture")]
    textual = [("caption", caption) for caption in captions] + [("word", word) for word in words]
    as_is, centred, shown = place_points(patches, picture_vector, texts)
    nearest = [textual[index][1] for index in (patches @ texts.T).argmax(1).tolist()]
    nearest += [""] * (1 + len(textual))
    points = [
        Point(kind=kind, label=label, nearest=near, as_is=one, centred=other)
        for (kind, label), near, one, other in zip([*visual, *textual], nearest, as_is, centred, strict=True)
    ]
    return Joint(points=points, shown=shown, rows=grid.rows, columns=grid.columns, region=grid.region)


def place_points(
    patches: torch.Tensor, picture: torch.Tensor, texts: torch.Tensor
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], tuple[float, float]]:
    """Places of all vectors as they are, places with each kind moved to its own middle, and what two axes show."""
    import torch

    from patchwork.projection import find_main_axes

    visual = torch.cat([patches, picture])
    places, shares = find_main_axes(torch.cat([visual, texts]), 2)
    moved, moved_shares = find_main_axes(torch.cat([visual - visual.mean(0), texts - texts.mean(0)]), 2)
    shown = (round(sum(shares), 6), round(sum(moved_shares), 6))
    return [to_pair(row) for row in places.tolist()], [to_pair(row) for row in moved.tolist()], shown


def to_pair(row: Sequence[float]) -> tuple[float, float]:
    return round(row[0], 6), round(row[1], 6)


def list_words(captions: Sequence[str]) -> list[str]:
    """The captions' distinct words, small ones left out, at most as many as a map has room for."""
    words = (word.strip(".,;:!?\"'()").lower() for caption in captions for word in caption.split())
    return list(dict.fromkeys(word for word in words if word and word not in SMALL_WORDS))[:MOST_WORDS]


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
    spots = Map(label="patches", grid=[[0.0] * event.joint.columns] * event.joint.rows, region=event.joint.region)
    picture = draw.draw_figure(
        inputs.picture,
        draw.draw_spots(spots),
        '<span class="pw-linked-say" aria-live="polite">Point at a patch, here or on the map, or use the arrow keys.'
        "</span>",
        label=f"Best match: {event.scores[0].caption} ({trained:.0%})",
        data=f'data-linked data-rows="{event.joint.rows}" data-columns="{event.joint.columns}" tabindex="0"',
    )
    return (
        f'<div class="pw-linked"><div class="pw-result">{picture}<div>{table}<p class="pw-explain">{words}</p>'
        f"</div></div>{draw_joint(event, inputs)}{draw.draw_answerer(event.answered_by)}</div>"
    )


def draw_joint(event: RunResult, inputs: Inputs) -> str:
    """Two maps of the same points: as they are, where the gap shows, and with the gap taken out."""
    joint = event.joint
    colours = draw.average_patches(inputs.picture, joint.rows, joint.columns, joint.region)
    as_is, centred = (draw_points(list_marks(joint, colours, place)) for place in ("as_is", "centred"))
    metrics = [
        Metric(label="Visual points", value=joint.rows * joint.columns + 1, note="every patch, and the whole picture"),
        Metric(label="Textual points", value=len(joint.points) - joint.rows * joint.columns - 1),
    ]
    return (
        '<div class="pw-pair pw-joint">'
        f"<figure>{as_is}<figcaption><b>As they are.</b> Two axes show {joint.shown[0]:.0%} of the variance. Visual "
        "and textual points usually lie apart: the modality gap.</figcaption></figure>"
        f"<figure>{centred}<figcaption><b>Gap taken out.</b> Each kind is moved to its own middle; two axes show "
        f"{joint.shown[1]:.0%} of the variance. Now look which patches lie towards which words.</figcaption></figure>"
        '</div><p class="pw-joint-key"><i class="pw-key pw-key-visual"></i>patches, in their own colour; '
        '<i class="pw-key pw-key-text"></i>words, and captions by their rank. What two axes do not show may still '
        f"separate the points.</p>{draw.draw_metrics(metrics)}"
    )


def list_marks(joint: Joint, colours: Sequence[str], place: str) -> list[Mark]:
    """Captions are labelled with their rank, words with themselves."""
    marks, rank = [], 0
    for index, point in enumerate(joint.points):
        title, label, colour = point.label, "", ""
        if point.kind == "patch":
            title, colour = f"patch {index}, nearest text: {point.nearest}", colours[index]
        elif point.kind == "caption":
            rank += 1
            title, label = f"{rank}. {point.label}", str(rank)
        elif point.kind == "word":
            label = point.label
        marks.append(Mark(point.kind, getattr(point, place), title, label, colour, index))
    return marks


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
