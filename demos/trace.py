"""Trace: one answer taken apart by token: what was likely, what was looked at, what each layer would have said."""

from __future__ import annotations

import datetime
import html
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import gradio as gr
from pydantic import Field, field_validator

from patchwork import recording
from patchwork.demo import Data, Event, Map, Metric, PartialText, Picture, Result, check_question
from patchwork.errors import Problem
from patchwork.families.protocol import Model
from patchwork.images import bound
from patchwork.plan import format_bytes
from patchwork.trace import Stage, Step, Trace, Word
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "trace"
TITLE = "Trace"
ABOUT = (
    "The model answers, and hooks write down what ran. Then click a token of the answer to see what it looked at, or a "
    "patch of the picture to see which tokens looked there."
)
NEEDS = frozenset({"trace"})
LONGEST = 2000
MOST_TOKENS = 64
SIDE = 1024  # a recording carries its picture along
MOST_BYTES = 40_000_000


class Inputs(Data):
    """`longest`: at most so many tokens are generated."""

    picture: Picture
    question: Annotated[str, check_question(LONGEST)]
    longest: int = Field(default=24, ge=1, le=MOST_TOKENS)

    @field_validator("picture")
    @classmethod
    def picture_is_small(cls, value: Picture) -> Picture:
        return bound(value, SIDE)


class RunResult(Result):
    trace: Trace


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Answer a question about a picture and record the generation: stages, probabilities, attention, logit lens."""
    from patchwork.tracing import trace_generation

    start = time.perf_counter()
    for step in trace_generation(model, inputs.picture, inputs.question, inputs.longest):
        if isinstance(step, Trace):
            yield RunResult(answered_by=model.answerer(start), trace=step)
        else:
            yield step


# ---------------------------------------------------------------- what is shown


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, RunResult):
        return render_result(event, inputs)
    words = draw.draw_text(event) if isinstance(event, PartialText) else draw.draw_progress(event)
    figure = draw.draw_figure(inputs.picture)
    return f'<div class="pw-result">{figure}<div>{draw_asked(inputs)}{words}</div></div>'


def render_result(event: RunResult, inputs: Inputs) -> str:
    """A frame that `static/trace.js` fills with what belongs to the chosen token; the recording stands inside."""
    trace = event.trace
    first = choose_step(trace)
    return (
        f'<div class="pw-trace" data-step="{first}">{embed_recording(event, inputs)}'
        f'<div class="pw-result">{draw_map(trace, first, inputs)}<div>{draw_asked(inputs)}'
        f'<div class="pw-answer pw-tokens" role="group" aria-label="Tokens of the answer">'
        f"<b>Answered: choose a token</b>{''.join(map(draw_token, enumerate(trace.steps)))}</div>"
        '<div class="pw-trace-token" aria-live="polite"></div>'
        '<p class="pw-explain pw-trace-patch" aria-live="polite">Click a patch to see which tokens looked at it.</p>'
        f"</div></div>{draw_prompt(trace)}{draw_stages(trace)}{draw_kept(trace)}"
        f'<div class="pw-trace-foot"><div>{draw.draw_answerer(event.answered_by)}</div>'
        '<button type="button" class="pw-another pw-trace-save">Save this trace</button></div></div>'
    )


def draw_asked(inputs: Inputs) -> str:
    return f'<p class="pw-asked"><b>Asked</b>{html.escape(inputs.question)}</p>'


def embed_recording(event: RunResult, inputs: Inputs) -> str:
    """The same JSON that `patchwork.recording` reads back, as hidden text."""
    recorded = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    saved = recording.Recording(
        demo=NAME,
        card_id=event.answered_by.model_id,
        recorded=recorded,
        inputs=inputs.model_dump(mode="json"),
        moments=(recording.Moment(after=event.answered_by.seconds, event=event.model_dump(mode="json")),),
    )
    return f'<pre class="pw-trace-data" hidden>{html.escape(saved.model_dump_json(), quote=False)}</pre>'


def choose_step(trace: Trace) -> int:
    """The token that looked most at the picture: the most telling one to begin with."""
    return max(range(len(trace.steps)), key=lambda index: sum(share[0] for share in trace.steps[index].shares))


def draw_map(trace: Trace, step: int, inputs: Inputs) -> str:
    if trace.place is None:
        note = "The picture was cut into tiles, so its tokens are no single grid that a map could be drawn on."
        return draw.draw_figure(inputs.picture, "", note)
    maps = trace.steps[step].maps
    mean = [sum(values) / len(maps) for values in zip(*maps, strict=True)]
    rows, columns = trace.place.rows, trace.place.columns
    grid = [mean[row * columns : (row + 1) * columns] for row in range(rows)]
    one = Map(label="Attention on the picture", grid=grid, region=trace.place.region)
    return draw.draw_figure(
        inputs.picture,
        draw.draw_map(one),
        '<span class="pw-trace-caption"></span>' + draw.draw_legend(one),
        label="Where the model looked while it chose a token",
        data=f'data-rows="{rows}" data-columns="{columns}" tabindex="0"',
    )


def draw_token(numbered: tuple[int, Step]) -> str:
    index, step = numbered
    words = html.escape(step.text.strip() or "⏎")
    title = html.escape(f"token {index + 1}: “{step.text}”, {100 * step.probability:.1f} %", quote=True)
    return f'<button type="button" class="pw-token" data-step="{index}" title="{title}">{words}</button>'


def draw_prompt(trace: Trace) -> str:
    """The row that the decoder reads: the placeholder's places are filled with projected patches."""
    words = "".join(draw_word(word, trace) for word in trace.prompt)
    rest = "" if trace.replaced == trace.image_tokens else " The others are line ends, or were resized after it."
    return (
        f'<section class="pw-trace-part"><h4>What the decoder read: {trace.prompt_tokens} places</h4>'
        f'<p class="pw-row">{words}</p><p class="pw-explain">{trace.replaced} of {trace.image_tokens} placeholders '
        f"held the projector’s output, number for number, when the decoder read them.{rest}</p></section>"
    )


def draw_word(word: Word, trace: Trace) -> str:
    if word.picture:
        return f'<span class="pw-patches">{html.escape(word.text)} × {word.count} → {word.count} patches</span>'
    return f'<span class="pw-word">{html.escape(word.text.strip() or "␣")}</span>'


def draw_stages(trace: Trace) -> str:
    rows = "".join(map(draw_stage, trace.stages))
    return (
        '<section class="pw-trace-part"><h4>What ran</h4><div class="pw-table" tabindex="0"><table><thead><tr>'
        "<th>Part</th><th>In</th><th>Out</th><th>Parameters</th><th>Weights</th><th>Put out</th><th>Times</th>"
        f"<th>Seconds</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def draw_stage(stage: Stage) -> str:
    weights = f"{stage.parameters:,}" if stage.parameters else f"those of {stage.shared_with}"
    cells = [
        html.escape(stage.title),
        f"<code>{list(stage.input_shape)}</code>",
        f"<code>{list(stage.output_shape)}</code>",
        html.escape(weights),
        describe_bytes(stage.parameter_bytes) if stage.parameters else "–",
        describe_bytes(stage.output_bytes),
        str(stage.calls),
        f"{stage.seconds:.4f}",
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def describe_bytes(count: int) -> str:
    return (
        f"{count / 1000:,.0f} kB"
        if count < 10**6
        else f"{count / 1e6:,.1f} MB"
        if count < 10**9
        else format_bytes(count)
    )


def draw_kept(trace: Trace) -> str:
    metrics = [
        Metric(
            label="Attention kept", value=round(trace.kept_bytes / 1000, 1), unit="kB", note="one row a layer and token"
        ),
        Metric(
            label="Said before", value=round(trace.expected_bytes / 1000, 1), unit="kB", note="for the longest answer"
        ),
        Metric(label="Decoder’s cache", value=round(trace.cache_bytes / 1000, 1), unit="kB", note="keys and values"),
        Metric(label="Rows sum to 1 within", value=trace.row_error, note="the largest difference of any kept row"),
    ]
    return draw.draw_metrics(metrics)


# ---------------------------------------------------------------- recordings


def show_recording(path: str | None) -> str:
    """A saved trace, through the same rendering as a live run; what is wrong with a file is said in one sentence."""
    try:
        if not path or Path(path).stat().st_size > MOST_BYTES:
            raise Problem(
                f"A trace is a JSON file of at most {MOST_BYTES // 10**6} MB; choose one that was saved here."
            )
        one = recording.load(Path(path), sys.modules[__name__])
        last = one.moments[-1].event if one.moments else None
        day = datetime.date.fromisoformat(one.recorded[:10])
        if not isinstance(last, RunResult):
            raise Problem("This recording ends before its trace; choose another one.")
    except ValueError:
        return draw.draw_problem("That recording does not say when it was made; choose one that was saved here.")
    except Problem as problem:
        words = str(problem).replace(str(path), "That file") if path else str(problem)
        return draw.draw_problem(words)
    return f'<p class="pw-recorded">Recorded {day.day} {day:%b %Y}</p>{render(last, one.inputs)}'


def snippet(card) -> str:
    """A stand-alone program that does the same: each token, and the last layer's attention on the picture."""
    options = ", do_image_splitting=False" if card.family in ("idefics3", "smolvlm2") else ""
    return f'''import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()
processor = AutoProcessor.from_pretrained(MODEL)

image = Image.open("picture.png").convert("RGB")
content = [{{"type": "image"}}, {{"type": "text", "text": "What is in the picture?"}}]
text = processor.apply_chat_template([{{"role": "user", "content": content}}], add_generation_prompt=True)
inputs = processor(images=image, text=text, return_tensors="pt"{options})
with torch.inference_mode():
    done = model.generate(
        **inputs, max_new_tokens=24, do_sample=False, output_attentions=True, return_dict_in_generate=True
    )
picture = inputs["input_ids"][0] == model.config.image_token_id
for token, layers in zip(done.sequences[0, len(picture):], done.attentions):
    row = layers[-1][0, :, -1].mean(0)  # last layer, newest place, mean over heads
    print(f"{{row[:len(picture)][picture].sum():.4f}}", repr(processor.decode(token)))
'''


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        longest = gr.Slider(1, MOST_TOKENS, 24, step=1, label="Longest answer, in tokens")
        output = live_panel(
            sys.modules[__name__],
            page,
            {"question": page.question, "longest": longest},
            picks=("Patchwork.mountTraces(element);", {}),
        )
        load = gr.UploadButton("Load a saved trace", file_types=[".json"], size="sm", elem_id="pw-trace-load")
        load.upload(show_recording, load, output, show_progress="hidden", api_visibility="private")
