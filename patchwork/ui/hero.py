"""The first screen: a finished, recorded run of the bundled model, and one button that runs it live.

It knows no model: a recording and a live run pass through the demos' own `render`.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from patchwork import recording
from patchwork.errors import Problem
from patchwork.images import example_pictures, load_picture
from patchwork.live import run_live, run_or_replay
from patchwork.recording import Recording
from patchwork.ui.page import ON_STAGE, Page
from patchwork.ui.tray import QUESTION

if TYPE_CHECKING:
    from patchwork.demo import Demo, Event
    from patchwork.pool import Pool

RECORDINGS = Path(__file__).parents[2] / "demos" / "recordings"
SHOWN = ("attention", "ask")
"""The demos of the first screen, from left to right."""

_WORDS = (
    '<section class="pw-hero-words"><h2>A model that looks at a picture and answers in words.</h2>'
    "<p>Ten short chapters take one apart. Every number comes from a model that runs here, on your own picture.</p>"
    "</section>"
)


@dataclass
class Run:
    """One demo's run, finished or under way."""

    demo: Demo
    inputs: Any
    card_id: str
    events: list[Event] = field(default_factory=list)
    recorded: Recording | None = None


def build_hero(page: Page, demos: Mapping[str, Demo]) -> None:
    """Words, and below them what the bundled model answered when it was recorded; without recordings, only words."""
    gr.HTML(_WORDS)
    loaded = {name: recording.load(path, demos[name]) for name, path in find_recordings().items() if name in demos}
    if not loaded:
        return
    runs = [
        Run(demos[name], one.inputs, one.card_id, list(recording.replay(one, speed=0)), one)
        for name, one in loaded.items()
    ]
    with gr.Column(elem_id="pw-hero"):
        stage = gr.HTML(draw_runs(runs, f"Recorded {next(iter(loaded.values())).day}"))
        button = gr.Button("Run it live", variant="primary", elem_classes="pw-run", elem_id="pw-hero-run")

    def run_hero(on_stage: bool) -> Iterator[str]:
        yield from run_again(runs, page.pool, on_stage, page.patience)

    button.click(
        run_hero,
        gr.Checkbox(visible=False),
        stage,
        js=ON_STAGE,
        concurrency_limit=1,
        concurrency_id="device",
        show_progress="hidden",
        api_visibility="private",
    )


def find_recordings() -> dict[str, Path]:
    paths = {name: RECORDINGS / f"{name}.json" for name in SHOWN}
    return {name: path for name, path in paths.items() if path.is_file()}


def run_again(runs: list[Run], pool: Pool, on_stage: bool = False, patience: float = 8.0) -> Iterator[str]:
    """The same inputs through the running model; every state of the hero, as HTML.

    In presenter mode a run that shows nothing for `patience` seconds brings the recorded ones back.
    """
    fresh = [replace(run, events=[]) for run in runs]
    try:
        for run in fresh:
            recorded = run.recorded if on_stage else None
            for step in run_or_replay(run.demo, run.inputs, pool, run.card_id, recorded, patience):
                if isinstance(step, Recording):
                    yield draw_runs(runs, f"Recorded {step.day}, and shown because the live run took too long")
                    return
                run.events.append(step)
                yield draw_runs(fresh, "Running now")
    except Problem as problem:
        raise gr.Error(html.escape(str(problem)), print_exception=False) from problem
    yield draw_runs(fresh, "Live, just now")


def draw_runs(runs: list[Run], mark: str) -> str:
    panes = "".join(f'<div class="pw-hero-pane pw-hero-{run.demo.NAME}">{_draw_latest(run)}</div>' for run in runs)
    return f'<div class="pw-hero"><span class="pw-hero-mark">{mark}</span>{panes}</div>'


def _draw_latest(run: Run) -> str:
    """The newest event only: each holds all that there is to show."""
    return run.demo.render(run.events[-1], run.inputs) if run.events else ""


def record_runs(pool: Pool, demos: Mapping[str, Demo], folder: Path) -> None:
    """Run every demo on its example with the bundled models, and write what happened. Raises `Problem` at the end
    for those that failed."""
    picture, failed = load_picture(example_pictures("drawn")[0][1]), []
    for name, demo in demos.items():
        path = folder / f"{name}.json"
        try:
            card_id = find_bundled(demo, pool)
            inputs = fill_inputs(demo, picture)
            for _ in recording.record(demo, inputs, run_live(demo, inputs, pool, card_id), path, card_id):
                pass
            print(f"Recorded {name} with {card_id} in {path}.")
        except Problem as problem:
            failed.append(f"{name} was not recorded: {problem}")
    if failed:
        raise Problem("\n".join(failed))


def find_bundled(demo: Demo, pool: Pool) -> str:
    for card in pool.catalog.offering(demo.NEEDS):
        if card.bundled:
            return card.id
    raise Problem(f"No bundled model can do what {demo.TITLE} needs; add one to models.yaml.")


def fill_inputs(demo: Demo, picture: Image.Image) -> Any:
    """The demo's own defaults, with the picture and, where it is asked for, the tray's question; what suits one demo
    only comes from its `example`."""
    fields = demo.Inputs.model_fields
    values = {name: picture for name, info in fields.items() if info.annotation is Image.Image}
    values |= {"question": QUESTION} if "question" in fields else {}
    return demo.Inputs(**values | (demo.example() if hasattr(demo, "example") else {}))
