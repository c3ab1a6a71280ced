"""One question to two models, side by side: two pickers, keys, one Run, a blind vote. Knows no demo and no model."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from patchwork.demo import Event, PartialText, Progress, Result
from patchwork.duel import Round, Tally, Vote, add_vote, deal
from patchwork.errors import Problem
from patchwork.live import run_or_replay
from patchwork.recording import Recording
from patchwork.ui import picker
from patchwork.ui import render as draw
from patchwork.ui.page import ON_STAGE, Page
from patchwork.ui.panel import draw_cost, publish, read_inputs, take_turns

if TYPE_CHECKING:
    from patchwork.catalog import Card, Catalog
    from patchwork.demo import Data, Demo

SECOND = "tiny-llava-stage1"
SERVERS_AT_ONCE = 4
PROVES_NOTHING = (
    "One question proves nothing. A model may be good at colours and bad at counting, or lucky this once, and a long "
    "answer is easily taken for a good one. Ask many questions of the kind you care about, hide who is who, and count."
)


# ---- one side


@dataclass(frozen=True)
class End:
    """What a side shows when everything may be seen; `answered`: it is an answer, not a failure."""

    html: str
    answered: bool


def frame(title: str, body: str) -> str:
    return f'<section class="pw-side"><h4>{html.escape(title)}</h4>{body}</section>'


def stream_side(
    demo: Demo, page: Page, inputs: Data, card: Card, hidden: str = "", on_stage: bool = False
) -> Iterator[tuple[str, End | None]]:
    """(what is shown, how it ended) as the answer grows. `hidden`: the letter that stands in for the model's name."""
    mark, text, last = "", "", None
    recorded = find_recorded(demo, page, card) if on_stage and not hidden else None
    try:
        for step in run_or_replay(demo, inputs, page.pool, card.id, recorded, page.patience):
            if isinstance(step, Recording):
                mark = draw.draw_stand_in(step)
                continue
            last, text = step, getattr(step, "text", text)
            drawn = draw_hidden(demo, step) if hidden else demo.render(step, inputs)
            yield frame(hidden or card.title, mark + drawn), None
    except Problem as problem:
        yield fail(card, problem, hidden, text)
        return
    shown = frame(card.title, mark + demo.render(last, inputs))
    yield frame(hidden, draw_hidden(demo, last)) if hidden else shown, End(shown, True)


def fail(card: Card, problem: Problem, hidden: str, text: str = "") -> tuple[str, End]:
    """The sentence and what had been said until then; hidden, the sentence would tell who it is."""
    shown = frame(card.title, draw.draw_problem(str(problem)) + draw_kept(text))
    unnamed = frame(hidden, draw.draw_problem("This side could not answer."))
    return unnamed if hidden else shown, End(shown, False)


def find_recorded(demo: Demo, page: Page, card: Card) -> Recording | None:
    """Only a recording of this very model: the other side has one of its own, or none."""
    found = page.stand_ins.get(demo.NAME)
    return found if found is not None and found.card_id == card.id else None


def draw_hidden(demo: Demo, event: Event) -> str:
    """Words alone: names, seconds and tokens would tell who it is."""
    if isinstance(event, Result):
        return demo.draw_answer(event)
    return draw.draw_text(event) if isinstance(event, PartialText) else draw.draw_progress(Progress(message="Waiting"))


def draw_kept(text: str) -> str:
    return draw.draw_text(PartialText(text=text), live=False) if text else ""


# ---- what the reader preferred


def draw_tally(tally: Tally, catalog: Catalog) -> str:
    """The reader's votes of this visit, pair by pair."""
    lines = []
    for (one, two), (first, second, ties) in tally.items():
        names = (html.escape(catalog.get(one).title), html.escape(catalog.get(two).title))
        lines.append(f"<li>{names[0]}: <b>{first}</b> · {names[1]}: <b>{second}</b> · a tie: <b>{ties}</b></li>")
    return f'<p class="pw-explain">Your votes of this visit</p><ul class="pw-votes">{"".join(lines)}</ul>'


def draw_reveal(round_: Round, vote: Vote, catalog: Catalog) -> str:
    left, right = (html.escape(catalog.get(one).title) for one in round_.shown)
    chosen = {"left": "You preferred A.", "right": "You preferred B.", "tie": "You called it a tie."}[vote]
    return f'<p class="pw-verdict">{chosen} A was <b>{left}</b>, B was <b>{right}</b>.</p>'


def draw_privacy(cards: Sequence[Card]) -> str:
    """What leaves this machine when Run is pressed."""
    from patchwork.endpoint import LONGEST_SIDE

    hosts = dict.fromkeys(card.host for card in cards if card.host)
    if not hosts:
        words = "Both models run on the machine that runs this page; nothing leaves it."
    else:
        words = (
            f"When you press Run, your question and your picture (at most {LONGEST_SIDE} pixels a side) go to "
            f"{' and '.join(hosts)}, and to nobody else; what is kept there is up to whoever runs it. A key that you "
            "type goes with them, to its own server only, and is forgotten when you leave."
        )
    return f'<p class="pw-explain pw-privacy-line">{html.escape(words)}</p>'


# ---- the panel


def choose_sides(demo: Demo, page: Page) -> tuple[str, str]:
    """A model that runs here, and beside it the first real one that is here too, else the one before its tuning."""
    cards = page.catalog.offering(demo.NEEDS)
    first = next((card.id for card in cards if card.bundled), cards[0].id)
    real = picker.choose_default(demo, page)
    others = [one for one in (real, SECOND, *(card.id for card in cards)) if one != first and one in page.catalog.by_id]
    return first, others[0] if others else first


class TwoSides:
    """A side that runs here waits for the device; one behind a server does not.

    Beside the contract, the demo offers `draw_answer(result)`, its words alone, and inputs `with_key`.
    """

    def __init__(self, demo: Demo, page: Page) -> None:
        self.demo, self.page = demo, page
        self.servers = [card for card in page.catalog.offering(demo.NEEDS, remote=True) if card.host]
        self.lay_out(choose_sides(demo, page))
        self.connect()
        publish(demo, page)

    # -- how it looks

    def lay_out(self, sides: tuple[str, str]) -> None:
        choices = picker.list_choices(self.demo, self.page)
        with gr.Row():
            self.picks = [
                gr.Dropdown(choices, value=value, label=label, min_width=240, elem_id=f"pw-arena-{name}-card")
                for value, label, name in zip(sides, ("First model", "Second model"), ("first", "second"), strict=True)
            ]
        self.keys = {card.id: self.lay_out_key(card) for card in self.servers}
        with gr.Row(elem_classes="pw-run-row"):
            self.blind = gr.Checkbox(
                label="Hide who is who until I have judged", min_width=220, scale=3, elem_id="pw-arena-blind"
            )
            settings = {"scale": 1, "min_width": 90}
            self.run = gr.Button("Run", variant="primary", elem_classes="pw-run", elem_id="pw-arena-run", **settings)
            self.stop = gr.Button("Stop", elem_id="pw-arena-stop", **settings)
        self.notes = gr.HTML(self.describe(*sides), elem_classes="pw-cost", elem_id="pw-arena-notes")
        self.lay_out_answers()
        with gr.Accordion("Show me the code", open=False, elem_classes="pw-code"):
            self.codes = [
                gr.Code(code, language="python", show_label=False, interactive=False)
                for code in self.write_codes(*sides)
            ]

    def lay_out_key(self, card: Card) -> gr.Textbox:
        """One field for each server, so that a key can never go to another one."""
        return gr.Textbox(
            label=f"Your key for {card.host} ({card.id}), if it asks for one",
            type="password",
            visible=False,
            max_lines=1,
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=False),
            elem_id=f"pw-arena-key-{card.id.replace('.', '-')}",
        )

    def lay_out_answers(self) -> None:
        idle = '<p class="pw-idle">Press Run. Both answers appear here, with who gave them and how long it took.</p>'
        self.said = gr.HTML(idle, elem_classes="pw-output", elem_id="pw-arena-said")
        with gr.Row(elem_id="pw-arena-answers"):
            self.answers = [gr.HTML("", elem_id=f"pw-arena-{name}") for name in ("left", "right")]
        with gr.Row(visible=False, elem_classes="pw-run-row", elem_id="pw-arena-votes") as self.voting:
            words = {"left": "A is better", "tie": "A tie", "right": "B is better"}
            self.votes = {vote: gr.Button(word, min_width=90, scale=1) for vote, word in words.items()}
        self.tally_shown = gr.HTML(f'<p class="pw-explain">{PROVES_NOTHING}</p>', elem_id="pw-arena-tally")
        self.round, self.tally = gr.State(None), gr.State({})
        self.ends = [gr.State(None), gr.State(None)]

    def describe(self, first: str, second: str) -> str:
        cards = [self.page.catalog.get(one) for one in (first, second)]
        return "".join(draw_cost(card.id, self.page, card.title) for card in cards) + draw_privacy(cards)

    def write_codes(self, *sides: str) -> list[str]:
        return [self.demo.snippet(self.page.catalog.get(one)) for one in sides]

    # -- what happens

    def connect(self) -> None:
        quiet = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        gr.on(  # one event for both, or the answer to an older choice could come last and hide a key's field
            [pick.change for pick in self.picks],
            self.fit,
            self.picks,
            [self.notes, *self.codes, *self.keys.values()],
            trigger_mode="always_last",
            **quiet,
        )
        shown = [self.round, self.said, *self.answers, *self.ends, self.voting]
        asked = [self.page.picture, self.page.question, *self.picks, self.blind]
        begun = self.run.click(self.begin, asked, shown, **quiet)
        running = [self.start(begun, side, remote, quiet) for side in (0, 1) for remote in (False, True)]
        self.stop.click(fn=None, cancels=running, api_visibility="private")
        for vote, button in self.votes.items():
            judged = [self.round, self.said, *self.answers, self.voting, self.tally, self.tally_shown]
            button.click(partial(self.judge, vote), [self.round, *self.ends, self.tally], judged, **quiet)

    def start(self, begun: Any, side: int, remote: bool, quiet: Mapping[str, Any]) -> Any:
        """Each side listens twice, in the device's queue and in the servers'; the wrong one has nothing to do."""
        turns = {"concurrency_limit": SERVERS_AT_ONCE, "concurrency_id": "servers"} if remote else take_turns(self.demo)
        inputs = [gr.Checkbox(visible=False), self.page.picture, self.page.question, self.round, *self.keys.values()]
        event = begun.then(
            self.make_stream(side, remote),
            inputs,
            [self.answers[side], self.ends[side]],
            show_progress="hidden",
            api_visibility="private",
            js=ON_STAGE,
            **turns,
        )
        event.then(self.settle, [self.round, *self.ends], [self.said, *self.answers, self.voting], **quiet)
        return event

    def begin(self, picture: str | None, question: str, first: str, second: str, blind: bool) -> list[Any]:
        """Check what can be checked, and decide who stands where; nothing is asked yet."""
        try:
            read_inputs(self.demo, picture, {"question": question})
            dealt = deal(first, second, blind)
        except Problem as problem:
            return [None, draw.draw_problem(str(problem)), *[gr.skip()] * 4, gr.update(visible=False)]
        return [dealt, "", "", "", None, None, gr.update(visible=False)]

    def make_stream(self, side: int, remote: bool) -> Callable[..., Iterator[tuple]]:
        def stream(
            on_stage: bool, picture: str | None, question: str, dealt: Round | None, *keys: str
        ) -> Iterator[tuple]:
            card = self.page.catalog.get(dealt.shown[side]) if dealt else None
            if card is None or bool(card.host) != remote:
                yield gr.skip(), gr.skip()
                return
            hidden = "AB"[side] if dealt.blind else ""
            try:  # the reader may have emptied the tray since Run was pressed
                inputs = read_inputs(self.demo, picture, {"question": question})
            except Problem as problem:
                yield fail(card, problem, hidden)
                return
            mine = inputs.with_key(dict(zip(self.keys, keys, strict=True)).get(card.id, ""))
            yield from stream_side(self.demo, self.page, mine, card, hidden, on_stage)

        return stream

    def settle(self, dealt: Round | None, left: End | None, right: End | None) -> list[Any]:
        """When both sides have ended: the vote, or, where one has nothing to be judged, who they were."""
        if not (dealt and dealt.blind and left and right):
            return [gr.skip()] * 4
        if left.answered and right.answered:
            return [gr.skip(), gr.skip(), gr.skip(), gr.update(visible=True)]
        words = '<p class="pw-verdict">There is nothing to judge, so here is who they were.</p>'
        return [words, left.html, right.html, gr.update(visible=False)]

    def judge(self, vote: Vote, dealt: Round | None, left: End | None, right: End | None, tally: Tally) -> list[Any]:
        """Count the reader's vote once, and show who was who."""
        if not (dealt and left and right):
            return [gr.skip()] * 7
        tally, catalog = add_vote(tally, dealt, vote), self.page.catalog
        counted = draw_tally(tally, catalog) + f'<p class="pw-explain">{PROVES_NOTHING}</p>'
        reveal = draw_reveal(dealt, vote, catalog)
        return [None, reveal, left.html, right.html, gr.update(visible=False), tally, counted]

    def fit(self, first: str, second: str) -> list[Any]:
        """What belongs to the chosen models: what they cost, their code, the fields for their keys."""
        shown = [gr.update(visible=one in (first, second)) for one in self.keys]
        return [self.describe(first, second), *self.write_codes(first, second), *shown]
