"""Attention: where a vision encoder's layer looks, as a map over the reader's picture."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator
from typing import Literal

import gradio as gr
from pydantic import Field, field_validator

from patchwork.demo import Data, Event, Map, Metric, Picture, Progress, Result
from patchwork.families.protocol import AttentionRequest, Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "attention"
TITLE = "Attention"
ABOUT = (
    "Choose a layer and a head, or click a patch of the picture to ask what that patch looked at. "
    "Rollout follows attention through all layers; relevance weighs it by what changes the match with a text. A second "
    "checkpoint can stand beside the first."
)
NEEDS = frozenset({"attention"})
LONGEST = 200
METHODS = [
    ("Raw: one layer", "raw"),
    ("Rollout: layers 0 to here", "rollout"),
    ("Relevance for a text", "relevance"),
    ("PCA colours: alike patches, alike colours", "features"),
]
QUERIES = [
    ("The picture's summary (CLS, or pooling head)", "summary"),
    ("Mean over all patches", "mean"),
    ("One patch", "patch"),
]


class Inputs(Data):
    """`layer` counts from 1; 0 is the last. `head` counts from 1; 0 is the mean. `patch` is row-major."""

    picture: Picture
    method: Literal["raw", "rollout", "relevance", "features"] = "raw"
    query: Literal["summary", "mean", "patch"] = "summary"
    layer: int = 0
    head: int = 0
    patch: int = 0
    text: str = ""

    @field_validator("text")
    @classmethod
    def text_is_short(cls, value: str) -> str:
        if len(value) > LONGEST:
            raise ValueError(f"The text is longer than {LONGEST} characters; shorten it")
        return value.strip()


class RunResult(Result):
    """The map and what is needed to read it; for PCA colours also each patch's colour and each axis's share."""

    map: Map
    query: str
    layer: int
    layers: int
    heads: int
    sinks: list[int]
    share_on_patches: float
    stored_bytes: int
    patch: int | None = None
    colours: list[str] = Field(default_factory=list)
    shown: list[float] = Field(default_factory=list)


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Show where a vision encoder's attention goes, for one layer, head and query."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} looks at the picture")
    if inputs.method == "features":
        yield colour_patches(inputs, model, start)
        return
    request = make_request(inputs, model)
    found = model.attend(inputs.picture, request)
    grid = [[round(float(value), 6) for value in row] for row in found.values.tolist()]
    yield RunResult(
        answered_by=model.answerer(start),
        map=Map(label=name_map(request, found.layer, found.layers), grid=grid, region=found.grid.region),
        query=str(request.query),
        layer=found.layer + 1,
        layers=found.layers,
        heads=found.heads,
        sinks=found.outliers,
        share_on_patches=found.share_on_patches,
        stored_bytes=found.stored_bytes,
        patch=request.query if isinstance(request.query, int) else None,
    )


def colour_patches(inputs: Inputs, model: Model, start: float) -> RunResult:
    """The last layer's patch vectors, as directions, on their three main axes, shown as red, green and blue."""
    from patchwork.attention import find_outliers
    from patchwork.projection import find_main_axes

    vectors, grid = model.read_patches(inputs.picture)
    lengths = vectors.norm(dim=-1)
    places, shares = find_main_axes(vectors / lengths[:, None].clamp(min=1e-12), 3)
    low, high = places.amin(0), places.amax(0)
    levels = ((places - low) / (high - low).clamp(min=1e-12) * 255).round().int().tolist()
    layers, heads, _ = model.describe_attention()
    first = places[:, 0].reshape(grid.rows, grid.columns).tolist()
    return RunResult(
        answered_by=model.answerer(start),
        map=Map(
            label=f"patch vectors of layer {layers} of {layers}, by their three main axes",
            grid=[[round(value, 6) for value in row] for row in first],
            region=grid.region,
        ),
        query="patches",
        layer=layers,
        layers=layers,
        heads=heads,
        sinks=find_outliers(lengths),
        share_on_patches=1.0,
        stored_bytes=vectors.numel() * vectors.element_size(),
        colours=["#" + "".join(f"{level:02x}" for level in row) for row in levels],
        shown=[round(share, 6) for share in shares],
    )


def make_request(inputs: Inputs, model: Model) -> AttentionRequest:
    """The controls' numbers, bounded to what this checkpoint has: a slider set for a deeper model still works."""
    layers, heads, queries = model.describe_attention()
    summary = "cls" if "cls" in queries else "pool"
    query = {"summary": summary, "mean": "mean", "patch": max(0, inputs.patch)}[inputs.query]
    return AttentionRequest(
        layer=min(inputs.layer, layers) - 1 if inputs.layer > 0 else layers - 1,
        head=min(inputs.head, heads) - 1 if inputs.head > 0 else None,
        query=query,
        method=inputs.method,
        text=inputs.text,
    )


def name_map(request: AttentionRequest, layer: int, layers: int) -> str:
    who = (
        f"patch {request.query}"
        if isinstance(request.query, int)
        else {"cls": "CLS", "pool": "pooling head"}.get(request.query, "mean of patches")
    )
    head = "mean of heads" if request.head is None else f"head {request.head + 1}"
    if request.method == "relevance":
        return f"relevance for “{request.text}”"
    if request.method == "rollout":
        return f"rollout to layer {layer + 1} of {layers}, from {who}"
    return f"layer {layer + 1} of {layers}, {head}, from {who}"


def render(event: Event, inputs: Inputs) -> str:
    if not isinstance(event, RunResult):
        return draw.draw_progress(event)
    rows, columns = len(event.map.grid), len(event.map.grid[0])
    legend = draw.draw_fader() if event.colours else draw.draw_legend(event.map)
    figure = draw.draw_figure(
        inputs.picture,
        draw.draw_map(event.map, event.sinks, event.patch, event.colours),
        html.escape(event.map.label) + legend,
        label=f"Attention map: {event.map.label}",
        data=f'data-rows="{rows}" data-columns="{columns}" data-patch="{event.patch or 0}" tabindex="0"',
    )
    warning = EXPLAIN_COLOURS if event.colours else "A map of where a layer looked is not an explanation of the answer."
    return (
        f'<div class="pw-result">{figure}<div><p class="pw-explain">{warning}</p>'
        f"{draw.draw_metrics(list_metrics(event, rows * columns))}"
        f'<p class="pw-explain">{explain_sinks(len(event.sinks))}</p>'
        f"{draw.draw_answerer(event.answered_by)}</div></div>"
    )


EXPLAIN_COLOURS = (
    "Patches with alike colours have alike vectors. The colours themselves mean nothing: red, green and blue are the "
    "three main axes of this picture's patch vectors, and another picture has others."
)


def list_metrics(event: RunResult, patches: int) -> list[Metric]:
    stored = round(event.stored_bytes / 1000, 2)
    known = [
        Metric(label="Patches", value=patches, note="rows × columns of the grid"),
        Metric(label="Layers", value=event.layers),
        Metric(label="Heads", value=event.heads),
    ]
    if event.colours:
        shown = round(100 * sum(event.shown), 1)
        return [*known, Metric(label="Variance shown", value=shown, unit="%", note="by the three axes together")]
    share = round(100 * event.share_on_patches, 1)
    return [
        *known,
        Metric(label="On patches", value=share, unit="%", note="the rest goes to CLS or registers"),
        Metric(label="Kept", value=stored, unit="kB", note="attention stored for this map"),
    ]


def explain_sinks(count: int) -> str:
    if not count:
        return "No sink patches here: no vector of the last layer is unusually long."
    return (
        f"Dashed red: {count} sink patch{'es' if count > 1 else ''}, where the last layer's vectors are unusually "
        "long. Models park information there; heat on them says little about the picture (Darcet et al., 2024)."
    )


def snippet(card) -> str:
    """A stand-alone program that does the same: last layer, mean over heads."""
    if card.family == "timm_vit":
        return f"""import timm, torch
from PIL import Image

model = timm.create_model("hf-hub:{card.repo}", pretrained=True).eval()
attention = model.blocks[-1].attn
attention.fused_attn = False
attention.attn_drop.register_forward_hook(lambda module, inputs, output: maps.append(output))
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))

maps = []
image = Image.open("picture.png").convert("RGB")
with torch.inference_mode():
    model(transform(image)[None])
print(maps[0][0].mean(0)[0, 1:])
"""
    tower = "model" if card.family == "dinov2" else "model.vision_model"
    query = "[:, 1:].mean(0)" if card.family == "siglip" else "[0, 1:]"
    return f'''import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

MODEL = "{card.repo}"
model = AutoModel.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
processor = AutoImageProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
pixels = processor(images=image, return_tensors="pt").pixel_values
with torch.inference_mode():
    maps = {tower}(pixel_values=pixels, output_attentions=True).attentions
print(maps[-1][0].mean(0){query})  # last layer, mean over heads
'''


PICK_PATCH = """
const choose = (figure, patch) => {
  figure.dataset.patch = patch;
  trigger('pick', {patch: patch});
};
element.addEventListener('click', (event) => {
  const patch = event.target.closest('.pw-patch');
  if (patch) choose(patch.closest('.pw-figure'), Number(patch.dataset.patch));
});
element.addEventListener('keydown', (event) => {
  const figure = event.target.closest('.pw-figure[data-rows]');
  const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
  if (!figure || !step) return;
  event.preventDefault();
  event.stopPropagation();
  const columns = Number(figure.dataset.columns), rows = Number(figure.dataset.rows);
  const now = Number(figure.dataset.patch);
  const x = Math.min(columns - 1, Math.max(0, now % columns + step[0]));
  const y = Math.min(rows - 1, Math.max(0, Math.floor(now / columns) + step[1]));
  choose(figure, y * columns + x);
});
"""


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        with gr.Row():
            method = gr.Dropdown(METHODS, value="raw", label="Method", min_width=180)
            query = gr.Dropdown(QUERIES, value="summary", label="Who looks", min_width=180)
        with gr.Row():
            layer = gr.Slider(0, 24, 0, step=1, label="Layer (0 = last)", min_width=160)
            head = gr.Slider(0, 16, 0, step=1, label="Head (0 = mean of all)", min_width=160)
        with gr.Row():
            patch = gr.Number(0, label="Patch (click the map to choose)", precision=0, minimum=0, min_width=160)
            text = gr.Textbox("a yellow ring", label="Text for relevance", max_lines=1, min_width=160)
        controls = {"method": method, "query": query, "layer": layer, "head": head, "patch": patch, "text": text}
        picks = (PICK_PATCH, {"patch": patch, "query": query})
        live_panel(sys.modules[__name__], page, controls, picks=picks, beside=True)
