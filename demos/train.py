"""Train: stage 1, then stage 2, on the drawn world, now, on this machine's CPU. The shipped weights are only read."""

from __future__ import annotations

import functools
import html
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import gradio as gr
from pydantic import Field

from patchwork.demo import Data, Event, Progress, Result
from patchwork.families.protocol import Model
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "train"
TITLE = "Train"
ABOUT = (
    "The bundled model gets a new, random projector. Stage 1 trains that projector on captions; stage 2 trains "
    "projector and language model on all kinds of questions. You can stop at any time; nothing that is shipped changes."
)
NEEDS = frozenset({"train"})
QUEUE = "train"
OFF = (
    "Training in the page is switched off here, because this computer is shared. On a computer of your own it is on; "
    "whoever runs this page can allow it with <code>--training on</code>."
)
MOST_POINTS = 200  # of a stage's curve


class Inputs(Data):
    """`seconds` of training for each of the two stages; asking and measuring come on top."""

    seconds: int = Field(default=60, ge=2, le=60)


class Part(Data):
    """A part of the model; hashes are the first digits of its weights' SHA-256, before training and now."""

    name: str
    parameters: int
    trainable: bool
    before: str
    now: str


class Asked(Data):
    """A held-out picture (`seed` draws it), its question, the true answer, and what was said first and now."""

    seed: int
    question: str
    truth: str
    first: str
    now: str


class Score(Data):
    """Forty held-out scenes: shares of captions and of other answers right word for word; loss of an answer's token."""

    when: str
    captions: float
    questions: float
    loss: float
    asked: int


class Snapshot(Data):
    """Everything there is to show while it runs. `losses`: (stage, seconds of that stage, loss)."""

    kind: Literal["snapshot"] = "snapshot"
    stage: int
    share: float
    steps: int
    tokens_per_second: float
    losses: list[tuple[int, float, float]]
    components: list[Part]
    asked: list[Asked]
    scores: list[Score]
    file_before: str
    file_now: str
    done: bool


class RunResult(Result):
    training: Snapshot


KINDS = {"snapshot": Snapshot}


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Train stage 1 and stage 2 for some seconds each on the drawn world, and tell what that bought."""
    from patchwork.tiny.minute import train_minute

    start = time.perf_counter()
    yield Progress(message="Reading the bundled model, drawing held-out scenes, measuring it with a random projector")
    for state in train_minute(model.model, model.processor, Path(model.card.location), inputs.seconds):
        last = Snapshot.model_validate(asdict(state))
        yield last
    who = model.answerer(start).model_copy(update={"device": "cpu", "precision": "fp32"})
    yield RunResult(answered_by=who, training=last)


# ---------------------------------------------------------------- what is shown


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, Progress):
        return draw.draw_progress(event)
    shown = event.training if isinstance(event, RunResult) else event
    end = draw.draw_answerer(event.answered_by) if isinstance(event, RunResult) else ""
    return (
        f'<div class="pw-training">{draw_status(shown)}{draw_curve(shown.losses, inputs.seconds)}'
        f"{draw_scores(shown.scores)}{draw_asked(shown.asked)}{draw_components(shown)}{end}</div>"
    )


def draw_status(shown: Snapshot) -> str:
    if shown.done:
        words = "Both stages are done."
    elif shown.stage == 0:
        words = "Before training: the projector is random."
    else:
        what = "the projector only" if shown.stage == 1 else "projector and language model"
        words = (
            f"Stage {shown.stage} of 2 trains {what}: step {shown.steps}, "
            f"{shown.tokens_per_second:,.0f} tokens a second"
        )
    bar = "" if shown.done or not shown.stage else f'<progress max="1" value="{shown.share:.3f}"></progress>'
    return f'<p class="pw-progress" role="status">{words} {bar}</p>'


def thin_out(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """Means of neighbouring points, so that at most `most` are left."""
    size = -(-len(points) // most) or 1
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [tuple(sum(values) / len(group) for values in zip(*group, strict=True)) for group in groups]


def draw_curve(losses: Sequence[tuple[int, float, float]], seconds: int) -> str:
    """Loss over time, both stages side by side; the higher line of the grid is the largest loss seen."""
    width, height, left, foot = 640, 190, 56, 24
    high = max([loss for _, _, loss in losses], default=1.0)
    span = (width - left) / 2
    parts = []
    for stage, colour in ((1, "var(--pw-visual)"), (2, "var(--pw-trainable)")):
        begin = left + (stage - 1) * span
        points = thin_out([(second, loss) for number, second, loss in losses if number == stage])
        line = " ".join(
            f"{begin + min(1, second / seconds) * (span - 12):.1f},{(1 - loss / high) * (height - foot - 8) + 6:.1f}"
            for second, loss in points
        )
        parts.append(
            f'<text x="{begin:.0f}" y="{height - 6}">stage {stage}: 0 to {seconds} s</text>'
            f'<polyline points="{line}" style="stroke:{colour}"/>'
        )
    ticks = "".join(
        f'<line x1="{left}" x2="{width}" y1="{y:.0f}" y2="{y:.0f}"/><text x="0" y="{y + 4:.0f}">{value:.2f}</text>'
        for y, value in ((6, high), ((height - foot + 4) / 2, high / 2), (height - foot - 2, 0.0))
    )
    newest = f"now {losses[-1][2]:.3f}" if losses else "no step yet"
    return (
        '<figure class="pw-loss-curve"><figcaption>Loss of the answers’ tokens: how surprised the model is by the true '
        f"answer ({newest})</figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Loss over time, {newest}">{ticks}{"".join(parts)}'
        "</svg></figure>"
    )


def draw_scores(scores: Sequence[Score]) -> str:
    """What the training bought, measured on pictures that it never saw."""
    rows = "".join(
        f"<tr><td>{html.escape(score.when.capitalize())}</td><td>{100 * score.captions:.0f} %</td>"
        f"<td>{100 * score.questions:.0f} %</td><td>{score.loss:.2f}</td></tr>"
        for score in scores
    )
    asked = scores[0].asked if scores else 0
    return (
        f"<section><h4>Measured on held-out pictures, {asked} answers each time</h4>"
        '<div class="pw-table" tabindex="0"><table><thead><tr><th>When</th><th>Captions right word for word</th>'
        f"<th>Other answers right</th><th>Loss</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


@functools.lru_cache(maxsize=16)
def draw_picture(seed: int) -> str:
    from patchwork.tiny import draw_scene

    return draw.encode_picture(draw_scene(seed, 128))


def draw_asked(asked: Sequence[Asked]) -> str:
    rows = "".join(
        f'<tr><td><img src="{draw_picture(one.seed)}" alt="" width="72" height="72"></td>'
        f"<td>{html.escape(one.question)}</td><td>{html.escape(one.truth)}</td><td>{html.escape(one.first)}</td>"
        f"<td>{mark(one)}</td></tr>"
        for one in asked
    )
    return (
        "<section><h4>The same five held-out pictures, asked again and again</h4>"
        '<div class="pw-table" tabindex="0"><table class="pw-asked-again"><thead><tr><th>Picture</th><th>Question</th>'
        f"<th>True answer</th><th>Said at first</th><th>Says now</th></tr></thead><tbody>{rows}</tbody></table></div>"
        "</section>"
    )


def mark(one: Asked) -> str:
    right = one.now == one.truth
    sign = '<b class="pw-ok" title="right">✓</b>' if right else '<b class="pw-no" title="not the true answer">✕</b>'
    return f"{sign} {html.escape(one.now or '(nothing)')}"


def draw_components(shown: Snapshot) -> str:
    """Frozen or trainable, and the proof of it: what did not train has the hash that it had before."""
    rows = "".join(map(draw_part, shown.components))
    file = "unchanged" if shown.file_before == shown.file_now else "changed"
    return (
        "<section><h4>What moved</h4>"
        '<div class="pw-table" tabindex="0"><table><thead><tr><th>Part</th><th>Parameters</th><th>In this stage</th>'
        f"<th>Hash before</th><th>Hash now</th><th></th></tr></thead><tbody>{rows}"
        f"<tr><td>Shipped file</td><td>–</td><td>only read</td><td><code>{shown.file_before}</code></td>"
        f"<td><code>{shown.file_now}</code></td><td>{file}</td></tr></tbody></table></div></section>"
    )


def draw_part(part: Part) -> str:
    return (
        f"<tr><td>{html.escape(part.name)}</td><td>{part.parameters:,}</td><td>{draw_state(part.trainable)}</td>"
        f"<td><code>{html.escape(part.before)}</code></td><td><code>{html.escape(part.now)}</code></td>"
        f"<td>{'unchanged' if part.before == part.now else 'moved'}</td></tr>"
    )


def draw_state(trainable: bool) -> str:
    return '<span class="pw-is-trainable">trainable</span>' if trainable else '<span class="pw-is-frozen">frozen</span>'


def snippet(card) -> str:
    """A stand-alone program: stage 1 on one picture and its caption."""
    return f'''import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32)
processor = AutoProcessor.from_pretrained(MODEL)

image, caption = Image.open("picture.png").convert("RGB"), "a large red star."
content = [{{"type": "image"}}, {{"type": "text", "text": "describe the picture."}}]
prompt = processor.apply_chat_template([{{"role": "user", "content": content}}], add_generation_prompt=True)
whole = processor(images=image, text=prompt + caption + processor.tokenizer.eos_token, return_tensors="pt")
asked = processor(images=image, text=prompt, return_tensors="pt")["input_ids"].shape[1]
labels = whole["input_ids"].clone()
labels[:, :asked] = -100  # picture and question carry no loss

model.requires_grad_(False)
projector = model.model.multi_modal_projector.requires_grad_(True)  # stage 1: the projector and nothing else
optimizer = torch.optim.AdamW(projector.parameters(), lr=1e-3)
for step in range(10):
    loss = model(**whole, labels=labels).loss
    print(f"step {{step}}: loss {{loss.item():.4f}}")
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
'''


def example() -> dict[str, Any]:
    """Short, so that it can be shown again as it went."""
    return {"seconds": 10}


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        if not page.training:
            gr.HTML(f'<p class="pw-explain">{OFF}</p>')
            return
        seconds = gr.Slider(5, 60, 60, step=5, label="Seconds for each stage")
        live_panel(sys.modules[__name__], page, {"seconds": seconds})
