"""Fusion: four small modules let the same text model see the reader's picture, each in its own way."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import gradio as gr
from pydantic import field_validator

from patchwork.demo import Data, Event, Picture, Progress, Result
from patchwork.families.protocol import Model
from patchwork.fusion_questions import HELD_OUT, HOW_MANY, MOST, invent_scenes, list_questions
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "fusion"
TITLE = "Four ways in"
ABOUT = (
    "The same frozen encoder, the same small text model, the same training. Only the way in differs. All shapes, masks "
    "and counts below come from the modules while they run on your picture."
)
NEEDS = frozenset({"fusion"})
LONGEST = 80
MEASURED = 40
"""Fresh scenes on which a run measures the four modules."""

TITLES = {
    "concatenated": "Concatenated (early fusion)",
    "interleaved": "Interleaved",
    "resampled": "Resampled, then concatenated",
    "crossed": "Gated cross-attention",
}
SAYINGS = {
    "concatenated": "All patches stand in the row, before the text.",
    "interleaved": "All patches stand in the row, where the picture stands in the text.",
    "resampled": "A few learned queries read the patches; only they enter the row.",
    "crossed": "The row holds text alone. Extra layers look at the patches, through gates that started at zero.",
}
PLACES = [("before the question", "before"), ("in its middle", "middle"), ("after it", "after")]


class Inputs(Data):
    """`place`: where the interleaved module gets the picture. `measure`: also ask about scenes never seen."""

    picture: Picture
    question: str = HOW_MANY
    place: Literal["before", "middle", "after"] = "middle"
    measure: bool = True

    @field_validator("question")
    @classmethod
    def question_is_short(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("There is no question yet; choose one from the list")
        if len(value) > LONGEST:
            raise ValueError(f"The question is longer than {LONGEST} characters; choose one from the list")
        return value.strip()


class Stage(Data):
    """Shapes of one example: [vectors, width]."""

    name: str
    taken: list[int]
    given: list[int]
    parameters: int


class Mask(Data):
    """`rows`: one string a query, "1" where it may look. `looks`, `looked`: "v" or "t" for each query and each key."""

    name: str
    rows: list[str]
    looks: str
    looked: str


class Score(Data):
    right: int
    total: int


class Way(Data):
    """One module: what it answered, what ran, and how well it does on scenes it never saw."""

    kind: str
    answer: str
    visual: int
    row: int
    parameters: int
    added: int
    multiplications: int
    gates: list[float]
    stages: list[Stage]
    masks: list[Mask]
    stored: Score
    fresh: Score | None
    seconds: int


class RunResult(Result):
    """`guessed`: the score of always giving the commonest answer; `steps`, `scenes`: each module's training."""

    ways: list[Way]
    words: list[str]
    guessed: Score
    steps: int
    scenes: int
    fresh_scenes: int


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Ask one question through four ways of letting a text model see, and measure what ran."""
    from patchwork import fusion, fusion_training

    start = time.perf_counter()
    yield Progress(message="Reading the picture once, with the frozen encoder")
    tower = model.model.vision_model
    stored, patches = fusion.load(tower), fusion.read_patches(model, inputs.picture)
    tokens = stored.words.encode(inputs.question)
    fresh = invent_scenes(HELD_OUT + 10_000, MEASURED) if inputs.measure else []
    seen = fusion_training.encode_scenes(tower, fresh) if fresh else None
    ways = []
    for kind, module in stored.models.items():
        yield Progress(message=f"{TITLES[kind]}: answering", fraction=len(ways) / 4)
        found = fusion_training.measure(module, seen, fresh, stored.words) if fresh else None
        ways.append(run_way(kind, module, patches, tokens, inputs.place, stored, found))
    yield RunResult(
        answered_by=model.answerer(start),
        ways=ways,
        words=[stored.words.words[token] for token in tokens],
        guessed=add_up(stored.report["guessed"]),
        steps=stored.report["steps"],
        scenes=stored.report["scenes"],
        fresh_scenes=len(fresh),
    )


def run_way(kind: str, module, patches, tokens: list[int], place: str, stored, found) -> Way:
    """One forward pass under hooks, then the answer."""
    import torch

    from patchwork.fusion import inspect

    at = {"before": 0, "middle": len(tokens) // 2, "after": len(tokens)}[place] if kind == "interleaved" else 0
    question = torch.tensor([tokens])
    with torch.inference_mode(), inspect(module) as seen:
        module(patches, question, at)
    answer = module.answer(patches, question, at)
    return Way(
        kind=kind,
        answer=stored.words.decode(answer[0].tolist()) or "(nothing)",
        visual=seen.visual,
        row=seen.row,
        parameters=seen.parameters,
        added=seen.added,
        multiplications=seen.multiplications,
        gates=[round(gate, 4) for gate in seen.gates],
        stages=[
            Stage(name=one.name, taken=list(one.taken), given=list(one.given), parameters=one.parameters)
            for one in seen.stages
        ],
        masks=list(read_masks(seen, at, len(tokens))),
        stored=add_up(stored.report["right"][kind]),
        fresh=add_up(found) if found else None,
        seconds=stored.report["seconds"][kind],
    )


def add_up(scores: dict) -> Score:
    """All types of question together."""
    return Score(right=sum(right for right, _ in scores.values()), total=sum(total for _, total in scores.values()))


def read_masks(seen, at: int, text: int) -> Iterator[Mask]:
    """The first mask of each kind of attention, and which of its rows and columns are picture or text."""
    visual = seen.row - text
    row = "t" * at + "v" * visual + "t" * (text - at)
    for name, mask in seen.masks.items():
        rows, columns = mask.shape
        looks, looked = {
            "layers": (row, row),
            "crossings": ("t" * rows, "v" * columns),
            "resampler": ("v" * rows, "v" * columns),
        }[name.split(".")[0]]
        if name.split(".")[-2] == "0":
            lines = ["".join("1" if allowed else "0" for allowed in line) for line in mask.tolist()]
            yield Mask(name=name, rows=lines, looks=looks, looked=looked)


# ---- what is shown


def render(event: Event, inputs: Inputs) -> str:
    if not isinstance(event, RunResult):
        return draw.draw_progress(event)
    figure = draw.draw_figure(inputs.picture)
    asked = f'<p class="pw-asked"><b>Asked</b>{html.escape(inputs.question)}</p>'
    cards = "".join(draw_way(way) for way in event.ways)
    return (
        f'<div class="pw-result">{figure}<div>{asked}{draw_answers(event)}</div></div>{draw_costs(event)}'
        f'<section class="pw-part"><h4>What ran</h4><div class="pw-ways">{cards}</div></section>'
        f"{draw.draw_answerer(event.answered_by)}"
    )


def draw_answers(event: RunResult) -> str:
    rows = "".join(
        f'<tr><td>{TITLES[way.kind]}</td><td><div class="pw-said">{html.escape(way.answer)}</div></td></tr>'
        for way in event.ways
    )
    return (
        f'<table class="pw-facts"><thead><tr><th>Way in</th><th>Answer</th></tr></thead><tbody>{rows}</tbody></table>'
        f'<p class="pw-explain">These modules know drawn scenes of up to {MOST} things and a few questions. On '
        "anything else they guess, and cannot say so.</p>"
    )


def draw_costs(event: RunResult) -> str:
    """Cost beside accuracy, each from what ran."""
    least = min(way.multiplications for way in event.ways)
    fresh = event.fresh_scenes > 0
    rows = "".join(
        f'<tr><td>{TITLES[way.kind]}</td><td class="pw-figures">{way.visual if way.kind != "crossed" else 0}</td>'
        f'<td class="pw-figures">{way.row}</td><td class="pw-figures">{way.added:,}</td>'
        f'<td class="pw-figures">{way.multiplications / least:.1f}×</td>'
        f'<td class="pw-figures">{share(way.stored)}</td>'
        + (f'<td class="pw-figures">{share(way.fresh)}</td>' if fresh and way.fresh else "")
        + "</tr>"
        for way in event.ways
    )
    head = (
        "<th>Way in</th><th>picture’s places in the row</th><th>length of the row</th><th>added parameters</th>"
        f"<th>work for this question</th><th>right, {event.ways[0].stored.total:,} questions</th>"
        + (f"<th>right just now, {event.fresh_scenes} scenes</th>" if fresh else "")
    )
    return (
        '<section class="pw-part"><h4>What it costs, and what it buys</h4><div class="pw-scroll">'
        f'<table class="pw-facts"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="pw-explain">Each module was trained for {event.steps:,} steps on the same questions about '
        f"{event.scenes:,} scenes, and measured on others; always giving the commonest answer would score "
        f"{share(event.guessed)}. ± is one standard error. Work: multiplications, counted by hooks, the least = 1×. "
        "A ranking of four tiny modules after minutes of training is not a ranking of the ideas.</p></section>"
    )


def share(score: Score) -> str:
    value = score.right / score.total
    return f"{value:.0%} ± {(value * (1 - value) / score.total) ** 0.5:.0%}"


def draw_way(way: Way) -> str:
    masks = "".join(draw_mask(mask) for mask in way.masks)
    stages = "".join(
        f'<tr><td>{name_stage(stage.name)}</td><td class="pw-figures">{write_shape(stage.taken)} → '
        f'{write_shape(stage.given)}</td><td class="pw-figures">{stage.parameters:,}</td></tr>'
        for stage in way.stages
    )
    values = ", ".join(f"{gate:.2f}" for gate in way.gates)
    gates = f'<p class="pw-explain">Gates after training, tanh of each: {values}.</p>' if way.gates else ""
    return (
        f'<article class="pw-way-in"><h5>{TITLES[way.kind]}</h5><p>{SAYINGS[way.kind]}</p>'
        f'<div class="pw-masks">{masks}</div><table class="pw-facts"><thead><tr><th>Module</th><th>shape</th>'
        f"<th>parameters</th></tr></thead><tbody>{stages}</tbody></table>{gates}</article>"
    )


def name_stage(name: str) -> str:
    part, _, number = name.partition(".")
    words = {"bridge": "bridge", "resampler": "resampler", "layers": "layer", "crossings": "cross-attention"}[part]
    return f"{words} {int(number) + 1}" if number else words


def write_shape(shape: Sequence[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def draw_mask(mask: Mask) -> str:
    """Rows look, columns are looked at; runs of allowed places in the colour of what is looked at."""
    unit, words = 1.0, {"layers": "row → row", "crossings": "text → patches", "resampler": "queries → patches, queries"}
    runs = "".join(
        f'<rect class="pw-mask-{kind}" x="{first}" y="{line}" width="{last - first}" height="{unit}"/>'
        for line, row in enumerate(mask.rows)
        for first, last, kind in find_runs(row, mask.looked)
    )
    width, height = len(mask.looked), len(mask.looks)
    edges = "".join(
        f'<rect class="pw-mask-{kind}" x="-3" y="{line}" width="2" height="1"/>' for line, kind in enumerate(mask.looks)
    )
    name = words[mask.name.split(".")[0]]
    return (
        f'<figure><svg viewBox="-3 0 {width + 3} {height}" style="--pw-columns:{width + 3}" role="img" '
        f'aria-label="Mask, {name}: {height} rows look at {width} columns"><rect class="pw-mask-none" width="{width}" '
        f'height="{height}"/>{runs}{edges}</svg><figcaption>{name}: {height} × {width}</figcaption></figure>'
    )


def find_runs(row: str, looked: str) -> Iterator[tuple[int, int, str]]:
    """(first, end, "v" or "t") of neighbouring allowed places of one kind."""
    first = 0
    for place in range(1, len(row) + 1):
        if place == len(row) or (row[place], looked[place]) != (row[first], looked[first]):
            if row[first] == "1":
                yield first, place, looked[first]
            first = place


def snippet(card) -> str:
    """The heart of the four ways on real patches; what would be learnt is random here, so it shows lengths only."""
    return f'''import torch
from PIL import Image
from torch.nn.functional import scaled_dot_product_attention as attend
from transformers import AutoModel, AutoProcessor

MODEL = "{card.repo}"
model = AutoModel.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
pixels = processor(images=image, return_tensors="pt").pixel_values
with torch.inference_mode():
    patches = model.vision_model(pixel_values=pixels).last_hidden_state[:, 1:]

width = 96
text = torch.randn(1, 6, width)  # how many things are there ?
bridge = torch.randn(patches.shape[-1], width)
queries, gate = torch.randn(1, 8, patches.shape[-1]), torch.zeros(1)


def read(row):  # one causal attention of a language model
    mask = torch.ones(row.shape[1], row.shape[1], dtype=torch.bool).tril()
    return row + attend(row, row, row, attn_mask=mask)


concatenated = read(torch.cat([patches @ bridge, text], 1))
interleaved = read(torch.cat([text[:, :3], patches @ bridge, text[:, 3:]], 1))
resampled = read(torch.cat([attend(queries, patches, patches) @ bridge, text], 1))
crossed = read(text + gate.tanh() * attend(text, patches @ bridge, patches @ bridge))
print([row.shape[1] for row in (concatenated, interleaved, resampled, crossed)])
'''


def example() -> dict[str, Any]:
    return {"question": HOW_MANY}


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        with gr.Row():
            question = gr.Dropdown(
                list_questions(),
                value=HOW_MANY,
                label="Question (these modules know no others)",
                allow_custom_value=True,
                min_width=220,
                elem_id="pw-fusion-question",
            )
            place = gr.Dropdown(PLACES, value="middle", label="Interleaved: the picture stands", min_width=180)
        measure = gr.Checkbox(True, label=f"Also measure all four on {MEASURED} scenes they never saw")
        controls = {"question": question, "place": place, "measure": measure}
        live_panel(sys.modules[__name__], page, controls)
