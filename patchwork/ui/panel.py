"""One live panel for every demo: choose a checkpoint, run, stop, see the result and the code. Knows no demo."""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Generator, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import gradio as gr
from pydantic import ValidationError

from patchwork.errors import Problem
from patchwork.images import load_picture
from patchwork.live import run_live, run_or_replay
from patchwork.recording import Recording
from patchwork.ui import picker, render
from patchwork.ui.page import ON_STAGE

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.demo import Data, Demo
    from patchwork.ui.page import Page

IDLE = '<p class="pw-idle">Press Run. The result appears here, with what answered and how long it took.</p>'
ALONE = "nothing"


def take_turns(demo: Demo) -> dict[str, Any]:
    """One run at a time on the device, whichever panel it comes from; long work names a queue of its own (`QUEUE`)."""
    return {"concurrency_limit": 1, "concurrency_id": getattr(demo, "QUEUE", "device")}


OPACITY = """
element.addEventListener('input', (event) => {
  const slider = event.target.closest('.pw-opacity');
  if (slider) slider.closest('.pw-figure').style.setProperty('--pw-opacity', slider.value / 100);
});
"""


def live_panel(
    demo: Demo,
    page: Page,
    controls: Mapping[str, gr.components.Component],
    picks: tuple[str, dict[str, gr.components.Component]] | None = None,
    beside: bool | str = False,
    only: Mapping[str, Callable[[Card], bool]] = MappingProxyType({}),
) -> gr.HTML:
    """Everything around a demo's own `controls` (input field → component, already placed in this panel).

    `picks` = (script of the output, components): where the script triggers `pick` with a patch, the components "patch"
    and "query" are set and the demo runs again. Without components the script works in the browser alone.
    `beside`: a second checkpoint may answer the same request beside the first; its id, where one is chosen already.
    `only`: controls that are shown for some checkpoints, and for which. Returns the output.
    """
    names, components, turns = list(controls), list(controls.values()), take_turns(demo)
    cards = picker.list_choices(demo, page)
    if not cards:  # a list of checkpoints of the operator's own may serve some panels only
        return gr.HTML(render.draw_problem("No checkpoint in this page's list can do this; add one to models.yaml."))
    default = picker.choose_default(demo, page)
    for name, serves in only.items():
        controls[name].visible = serves(page.catalog.get(default))

    with gr.Row(elem_classes="pw-run-row"):
        choice = gr.Dropdown(
            cards,
            value=default,
            label=f"Checkpoint for “{demo.TITLE}”",
            scale=3,
            min_width=220,
            elem_id=f"pw-{demo.NAME}-card",
        )
        other = gr.Dropdown(
            [(ALONE, ""), *(picker.list_beside(demo, page) if beside else [])],
            value=beside if isinstance(beside, str) else "",
            label=f"Beside it, for “{demo.TITLE}”",
            scale=3,
            min_width=220,
            visible=bool(beside),
            elem_id=f"pw-{demo.NAME}-beside",
        )
        run = gr.Button(
            "Run", variant="primary", scale=1, min_width=90, elem_classes="pw-run", elem_id=f"pw-{demo.NAME}-run"
        )
        stop = gr.Button("Stop", scale=1, min_width=80, elem_id=f"pw-{demo.NAME}-stop")
    cost = gr.HTML(draw_cost(default, page), elem_classes="pw-cost")
    output = gr.HTML(
        IDLE,
        elem_classes="pw-output",
        elem_id=f"pw-{demo.NAME}-output",
        js_on_load=OPACITY + (picks[0] if picks else ""),
    )
    offer = build_offer(demo, page, choice)
    with gr.Accordion("Show me the code", open=False, elem_classes="pw-code"):
        code = gr.Code(show_code(demo, page, default), language="python", show_label=False, interactive=False)

    def stream(
        on_stage: bool, picture: str | None, card_id: str, other_id: str, shown: str, *values: Any
    ) -> Iterator[str]:
        before = without_problem(shown)
        try:
            inputs = read_inputs(demo, picture, dict(zip(names, values, strict=True)))
            first = yield from stream_first(demo, page, inputs, card_id, on_stage)
        except Problem as problem:
            yield render.draw_problem(str(problem)) + before
            return
        if other_id and first:
            yield from stream_beside(demo, page, inputs, other_id, first)

    sources = [gr.Checkbox(visible=False), page.picture, choice, other, output, *components]
    running = {"show_progress": "hidden", "api_visibility": "private", "js": ON_STAGE, **turns}
    event = run.click(stream, sources, output, **running)
    stop.click(fn=None, cancels=[event], api_visibility="private")

    def fit(card_id: str) -> list[Any]:
        shown = [gr.update(visible=serves(page.catalog.get(card_id))) for serves in only.values()]
        return [draw_cost(card_id, page), show_code(demo, page, card_id), *shown]

    choice.change(
        fit,
        choice,
        [cost, code, *(controls[name] for name in only)],
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )
    publish(demo, page)
    if offer is not None:
        offer.click(lambda: picker.recommend(demo, page).id, None, choice, api_visibility="private", queue=False).then(
            stream, sources, output, **running
        )
    if picks is not None and picks[1]:
        let_pick(output, picks[1]).then(stream, sources, output, **running)
    return output


def stream_first(demo: Demo, page: Page, inputs: Data, card_id: str, on_stage: bool) -> Generator[str, None, str]:
    """Every state of the output; returns the last, or nothing where a recording stepped in: it answers other inputs."""
    mark = shown = ""
    recorded = page.stand_ins.get(demo.NAME) if on_stage else None
    for step in run_or_replay(demo, inputs, page.pool, card_id, recorded, page.patience):
        if isinstance(step, Recording):
            mark, inputs = render.draw_stand_in(step), step.inputs
            continue
        shown = mark + demo.render(step, inputs)
        yield shown
    return "" if mark else shown


def stream_beside(demo: Demo, page: Page, inputs: Data, card_id: str, first: str) -> Iterator[str]:
    """The first checkpoint's result stays; a failure of the second is told in its own place."""
    try:
        for event in run_live(demo, inputs, page.pool, card_id):
            yield render.draw_pair(first, demo.render(event, inputs))
    except Problem as problem:
        yield render.draw_pair(first, render.draw_problem(str(problem)))


def let_pick(output: gr.HTML, fields: dict[str, gr.components.Component]):
    """A click on a patch sets the demo's patch field, and its query to that patch."""

    def choose(event: gr.EventData) -> tuple[int, str]:
        patch = event.patch
        if not isinstance(patch, int) or not 0 <= patch < 100_000:
            raise gr.Error("There is no such patch; click one on the map.", print_exception=False)
        return patch, "patch"

    return output.pick(
        choose, None, [fields["patch"], fields["query"]], show_progress="hidden", queue=False, api_visibility="private"
    )


def build_offer(demo: Demo, page: Page, choice: gr.Dropdown) -> gr.Button | None:
    """One button that loads the recommended real checkpoint, labelled with what it costs; off when there is no way."""
    card = picker.recommend(demo, page)
    if card is None:
        return None
    plan = page.pool.plan(card)
    if not plan.fits or (page.offline and not plan.cached):
        reason = "offline: not on this machine" if plan.fits else "does not fit here"
        return gr.Button(f"Ask a real checkpoint: {card.title} ({reason})", interactive=False, elem_classes="pw-offer")
    return gr.Button(f"Ask a real checkpoint: {plan.sentence()}", elem_classes="pw-offer")


def draw_cost(card_id: str, page: Page, name: str = "") -> str:
    """What pressing Run will mean; where two models are chosen, after the name of this one."""
    words = picker.describe_choice(page.catalog.get(card_id), page)
    words = words if not name or words.startswith(name) else f"{name}: {words}"
    return f'<p class="pw-explain pw-cost-line">{html.escape(words)}</p>'


def show_code(demo: Demo, page: Page, card_id: str) -> str:
    card = page.catalog.get(card_id)
    return demo.snippet(card)


def without_problem(shown: str) -> str:
    """What stood in the output before, less an earlier error line, so that a failure never hides a result."""
    if shown and shown.startswith('<p class="pw-problem"'):
        return shown.split("</p>", 1)[1]
    return shown or ""


def read_inputs(demo: Demo, picture: str | None, values: dict[str, Any]) -> Data:
    """Components' values → the demo's typed inputs. Raises `Problem` before any work is done."""
    if "pictures" in values:  # of a gallery: (file, caption) each
        values = values | {"pictures": [load_picture(path) for path, _ in values["pictures"] or ()]}
    if "picture" not in demo.Inputs.model_fields:
        return check_inputs(demo, values)
    if not picture:
        raise Problem("There is no picture yet; choose one of the examples or upload your own.")
    return check_inputs(demo, {"picture": load_picture(picture), **values})


def check_inputs(demo: Demo, fields: dict[str, Any]) -> Data:
    try:
        return demo.Inputs.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise Problem(first["msg"].removeprefix("Value error, ").rstrip(".") + ".") from None


def publish(demo: Demo, page: Page) -> None:
    """The demo's one API endpoint: its inputs (the picture as a data URL) and a checkpoint in, the JSON result out."""
    default = picker.choose_default(demo, page)
    fields = {name: field.annotation for name, field in demo.Inputs.model_fields.items()}
    written = {"picture": str, "pictures": list[str]}
    fields |= {name: kind for name, kind in written.items() if name in fields}

    def endpoint(**values: Any) -> dict:
        checkpoint = values.pop("checkpoint", default)
        try:
            *_, last = run_live(demo, check_inputs(demo, values), page.pool, checkpoint)
        except Problem as problem:
            raise gr.Error(str(problem), print_exception=False) from problem
        return last.model_dump(mode="json")

    def call(*arguments: Any) -> dict:
        return endpoint(**dict(zip([*fields, "checkpoint"], arguments, strict=True)))

    parameters = [
        inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind, default=read_default(demo, name)
        )
        for name, kind in fields.items()
    ]
    parameters.append(
        inspect.Parameter("checkpoint", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str, default=default)
    )
    call.__name__ = demo.NAME
    call.__doc__ = inspect.getdoc(demo.run)
    call.__signature__ = inspect.Signature(parameters, return_annotation=dict)
    call.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": dict}
    gr.api(call, api_name=demo.NAME, **take_turns(demo))


def read_default(demo: Demo, name: str) -> Any:
    field = demo.Inputs.model_fields[name]
    return inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
