"""Honesty: the same map before training, and what hiding its hottest patches does to a score."""

from __future__ import annotations

import html
import random
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import gradio as gr
from pydantic import Field, field_validator

from patchwork.deletion import RANDOM_ORDERS, STEPS, UNTRAINED, judge, list_counts, order_hottest
from patchwork.demo import Data, Event, Map, Metric, Picture, Progress, Result
from patchwork.errors import Problem
from patchwork.families.protocol import AttentionRequest, Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "honesty"
TITLE = "Honesty"
PASSES = 2 + (1 + RANDOM_ORDERS + UNTRAINED) * (STEPS - 1)
ABOUT = (
    "Three checks of an attention map: the same map from the same architecture before any training, patches where the "
    "model parks information, and a curve of how a score falls when the hottest patches are hidden first. "
    f"It costs {PASSES} passes of the encoder; one pass is timed first, and you can stop at any time."
)
NEEDS = frozenset({"attention"})
LONGEST = 200
METHODS = [("Raw: last layer", "raw"), ("Rollout: all layers", "rollout"), ("Relevance for the text", "relevance")]


class Inputs(Data):
    """`seed` draws the untrained weights and the random orders; 0 draws a fresh one."""

    picture: Picture
    method: Literal["raw", "rollout", "relevance"] = "raw"
    text: str = ""
    seed: int = Field(default=0, ge=0, lt=2**31)

    @field_validator("text")
    @classmethod
    def text_is_short(cls, value: str) -> str:
        if len(value) > LONGEST:
            raise ValueError(f"The text is longer than {LONGEST} characters; shorten it")
        return value.strip()


class Curve(Data):
    """The score after hiding each of the result's `counts` patches, in one order."""

    label: str
    kind: Literal["own", "chance", "untrained"]
    scores: list[float]


class RunResult(Result):
    """`map` and `control` are the same request before and after training; `score` says what the curves measure."""

    map: Map
    control: Map
    seed: int
    sinks: list[int]
    score: str
    counts: list[int]
    curves: list[Curve]
    verdict: str
    gain_over_chance: float
    gain_over_untrained: float


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Check an attention map against random weights and against hiding its hottest patches."""
    start = time.perf_counter()
    seed = inputs.seed or random.randrange(1, 2**31)
    text = choose_text(inputs, model)
    yield Progress(message=f"{model.card.title} looks at the picture")
    request = make_request(inputs, model, text)
    own = model.attend(inputs.picture, request)
    controls = []
    for draw_seed in range(seed, seed + UNTRAINED):
        yield Progress(message="The same architecture with random weights looks at it")
        twin = model.make_untrained(draw_seed)
        controls.append(twin.attend(inputs.picture, request))
        twin.close()
    counts = list_counts(own.values.numel())
    curves: list[Curve] = []
    for step in measure_curves(inputs.picture, model, text, make_orders(own, controls, seed), counts):
        if isinstance(step, Curve):
            curves.append(step)
        else:
            yield step
    (mine,), chance, untrained = sort_curves(curves)
    verdict = judge(counts, mine, chance, untrained, model.least_fall(text), model.is_untrained)
    yield RunResult(
        answered_by=model.answerer(start),
        map=to_map("trained", own),
        control=to_map(f"random weights, seed {seed}", controls[0]),
        seed=seed,
        sinks=own.outliers,
        score=f"cosine with “{text}”" if text else "cosine with the whole picture's embedding",
        counts=counts,
        curves=curves,
        verdict=verdict.kind,
        gain_over_chance=verdict.gain_over_chance,
        gain_over_untrained=verdict.gain_over_untrained,
    )


def choose_text(inputs: Inputs, model: Model) -> str:
    """A model without a text side is judged by its own embedding of the whole picture."""
    if "embed_text" in model.capabilities:
        if inputs.method == "relevance" and not inputs.text:
            raise Problem("Relevance needs a text; type what the picture should match.")
        return inputs.text
    return ""


def make_request(inputs: Inputs, model: Model, text: str) -> AttentionRequest:
    """The last layer, mean over heads, asked by the token or the head that sums the picture up."""
    _, _, queries = model.describe_attention()
    return AttentionRequest(query="cls" if "cls" in queries else "pool", method=inputs.method, text=text)


def make_orders(own, controls, seed: int) -> list[tuple[str, str, list[int]]]:
    """(label, kind, patches in the order of hiding): hottest first, by chance, by the untrained maps."""
    draw_order = random.Random(seed)
    patches = list(range(own.values.numel()))
    orders = [("hottest of this map first", "own", order_hottest(own.values.flatten().tolist()))]
    for number in range(1, RANDOM_ORDERS + 1):
        orders.append((f"random order {number}", "chance", draw_order.sample(patches, len(patches))))
    for number, control in enumerate(controls, start=1):
        hottest = order_hottest(control.values.flatten().tolist())
        orders.append((f"hottest of untrained map {number} first", "untrained", hottest))
    return orders


def measure_curves(
    picture, model: Model, text: str, orders: Sequence[tuple[str, str, list[int]]], counts: Sequence[int]
) -> Iterator[Progress | Curve]:
    """One curve for each order. The first is timed, so that the reader knows what is still to come.

    All orders begin with nothing hidden and end with everything: these two scores are measured once.
    """
    first, last = model.score_without(picture, [[], orders[0][2]], text)
    for number, (label, kind, order) in enumerate(orders, start=1):
        start = time.perf_counter()
        inner = model.score_without(picture, [order[:count] for count in counts[1:-1]], text)
        seconds = time.perf_counter() - start
        yield Curve(label=label, kind=kind, scores=[round(score, 6) for score in (first, *inner, last)])
        left = len(orders) - number
        words = f"A pass takes {seconds / len(inner):.2g} s here; {left * len(inner)} to go, {left * seconds:.0f} s"
        yield Progress(message=words, fraction=number / len(orders))


def sort_curves(curves: Sequence[Curve]) -> list[list[list[float]]]:
    """Scores by kind: own, chance, untrained."""
    return [[curve.scores for curve in curves if curve.kind == kind] for kind in ("own", "chance", "untrained")]


def to_map(label: str, found) -> Map:
    grid = [[round(float(value), 6) for value in row] for row in found.values.tolist()]
    return Map(label=label, grid=grid, region=found.grid.region)


# ---- drawing


def render(event: Event, inputs: Inputs) -> str:
    if not isinstance(event, RunResult):
        return draw.draw_progress(event)
    trained = draw.draw_figure(
        inputs.picture,
        draw.draw_map(event.map, event.sinks),
        f"<b>This checkpoint.</b> {html.escape(explain_sinks(len(event.sinks)))}",
        label="The checkpoint's map",
    )
    control = draw.draw_figure(
        inputs.picture,
        draw.draw_map(event.control),
        f"<b>Control: random weights</b> (seed {event.seed}). The same architecture, never trained. It shows nothing "
        "that was learnt.",
        label="Control: the map of random weights",
    )
    return (
        f'<div class="pw-pair">{trained}{control}</div>'
        f'<div class="pw-curve">{draw_curves(event)}</div>'
        f'<p class="pw-verdict" data-verdict="{html.escape(event.verdict, quote=True)}">{explain_verdict(event)}</p>'
        f"{draw.draw_metrics(list_metrics(event))}{draw.draw_answerer(event.answered_by)}"
    )


def explain_sinks(count: int) -> str:
    if not count:
        return "No sink patches: no vector of the last layer is unusually long."
    plural = "es" if count > 1 else ""
    return f"Dashed red: {count} sink patch{plural}, unusually long vectors whose heat says little about the picture."


VERDICTS = {
    "informative": "In this test the map is informative: hiding its hottest patches costs the score more than hiding "
    "patches by chance, and more than following a map that was never trained. It still does not say why the model "
    "scored as it did.",
    "no better than chance": "In this test the map is no better than chance: hiding its hottest patches costs the "
    "score about as much as hiding any others. However good it looks, do not read it as an explanation.",
    "no better than untrained": "In this test the map is no better than random weights: an untrained network's map "
    "finds patches that matter as much. Contrast alone may draw it; do not read it as what was learnt.",
    "nothing to lose": "This test says nothing: the score hardly depends on the picture, so there is nothing to lose. "
    "Choose a text that fits the picture.",
    "control": "A control: this network was never trained, so its map shows nothing that was learnt.",
}


def explain_verdict(event: RunResult) -> str:
    return html.escape(VERDICTS[event.verdict])


def list_metrics(event: RunResult) -> list[Metric]:
    own, *_ = event.curves
    return [
        Metric(label="Score, whole picture", value=round(own.scores[0], 3)),
        Metric(label="Score, all hidden", value=round(own.scores[-1], 3)),
        Metric(
            label="Ahead of chance",
            value=round(100 * event.gain_over_chance, 1),
            unit="%",
            note="mean distance between the curves, in shares of the whole fall",
        ),
        Metric(label="Ahead of random weights", value=round(100 * event.gain_over_untrained, 1), unit="%"),
        Metric(label="Passes", value=PASSES),
    ]


WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 260, 52, 14, 12, 40


def draw_curves(event: RunResult) -> str:
    """Score over the share hidden: own solid, chance thin grey, untrained dashed."""
    values = [score for curve in event.curves for score in curve.scores]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def place(count: int, score: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * count / event.counts[-1]
        return f"{x:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (high - score) / span:.1f}"

    lines = [
        f'<polyline class="pw-line-{curve.kind}" points="'
        + " ".join(place(count, score) for count, score in zip(event.counts, curve.scores, strict=True))
        + f'"><title>{html.escape(curve.label)}</title></polyline>'
        for curve in sorted(event.curves, key=lambda curve: curve.kind != "chance")
    ]
    ticks = "".join(
        f'<text x="{LEFT + (WIDTH - LEFT - RIGHT) * share / 4:.0f}" y="{HEIGHT - BOTTOM + 18}" '
        f'text-anchor="middle">{25 * share} %</text>'
        for share in range(5)
    )
    axes = (
        f'<path d="M{LEFT} {TOP} V{HEIGHT - BOTTOM} H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{TOP + 5}" text-anchor="end">{high:.2f}</text>'
        f'<text x="{LEFT - 6}" y="{HEIGHT - BOTTOM}" text-anchor="end">{low:.2f}</text>{ticks}'
    )
    return (
        f'<p class="pw-curve-title">{html.escape(event.score)}, while more and more patches are hidden</p>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Deletion curve: {html.escape(event.score)}">'
        f'<g class="pw-axes">{axes}</g>{"".join(lines)}</svg>'
        '<ul class="pw-curve-legend"><li class="pw-line-own">hottest first</li>'
        '<li class="pw-line-chance">random orders</li>'
        '<li class="pw-line-untrained">hottest of the untrained maps first</li></ul>'
    )


HIDE = """
heat = {heat}
order = heat.argsort(descending=True, stable=True)
counts = [round(len(order) * step / {steps}) for step in range({steps} + 1)]
batch, columns = pixels.repeat(len(counts), 1, 1, 1), pixels.shape[-1] // PATCH
for row, count in enumerate(counts):
    for index in order[:count].tolist():
        top, left = PATCH * (index // columns), PATCH * (index % columns)
        batch[row, :, top : top + PATCH, left : left + PATCH] = 0
with torch.inference_mode():
    vectors = torch.nn.functional.normalize({vectors}, dim=-1)
print((vectors @ vectors[0]).tolist())
"""

TIMM = """import timm, torch
from PIL import Image

model = timm.create_model("hf-hub:{repo}", pretrained=True).eval()
attention, maps = model.blocks[-1].attn, []
attention.fused_attn = False
attention.attn_drop.register_forward_hook(lambda module, inputs, output: maps.append(output))
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
PATCH = model.patch_embed.patch_size[0]

pixels = transform(Image.open("picture.png").convert("RGB"))[None]
with torch.inference_mode():
    model(pixels)
"""

TRANSFORMERS = """import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

MODEL = "{repo}"
model = AutoModel.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
processor = AutoImageProcessor.from_pretrained(MODEL)
PATCH = model.config{part}.patch_size

pixels = processor(images=Image.open("picture.png").convert("RGB"), return_tensors="pt").pixel_values
with torch.inference_mode():
    seen = model{tower}(pixel_values=pixels, output_attentions=True){pool}
"""

POOL = """
    hidden, head = seen.last_hidden_state, model.vision_model.head
    maps = head.attention(head.probe, hidden, hidden, need_weights=True)[1]"""

READ = {
    "timm_vit": (TIMM, {}, "maps[0][0].mean(0)[0, model.num_prefix_tokens :]", "model(batch)"),
    "dinov2": (
        TRANSFORMERS,
        {"part": "", "tower": "", "pool": ""},
        "seen.attentions[-1][0].mean(0)[0, 1 + getattr(model.config, 'num_register_tokens', 0) :]",
        "model(pixel_values=batch).pooler_output",
    ),
    "clip": (
        TRANSFORMERS,
        {"part": ".vision_config", "tower": ".vision_model", "pool": ""},
        "seen.attentions[-1][0].mean(0)[0, 1:]",
        "model.get_image_features(pixel_values=batch).pooler_output",
    ),
    "siglip": (
        TRANSFORMERS,
        {"part": ".vision_config", "tower": ".vision_model", "pool": POOL},
        "maps[0, 0]",
        "model.get_image_features(pixel_values=batch).pooler_output",
    ),
}
"""Family → program, its pieces, the map, the embedding of a batch."""


def snippet(card) -> str:
    """A stand-alone program: the deletion curve of the last layer's map, by the cosine with the whole picture."""
    program, pieces, heat, vectors = READ[card.family]
    return program.format(repo=card.repo, **pieces) + HIDE.format(heat=heat, vectors=vectors, steps=STEPS)


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">Is the map an explanation?</h3><p class="pw-panel-about">{ABOUT}</p>')
        with gr.Row():
            method = gr.Dropdown(METHODS, value="raw", label="Map to check", min_width=180)
            text = gr.Textbox("a yellow ring", label="Text whose score is watched (may be empty)", max_lines=1)
        live_panel(sys.modules[__name__], page, {"method": method, "text": text})
