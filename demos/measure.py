"""Measure it yourself: questions about drawn scenes, put to any model, become its own radar with error bars."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

import gradio as gr
from pydantic import Field

from patchwork.demo import Data, Event, Metric, Progress, Result
from patchwork.errors import Problem
from patchwork.families.protocol import Model
from patchwork.probes import AXES, ENOUGH, MOST_TOKENS, Outcome, Probe, overlap_box, put, write_probes
from patchwork.programs import write_ask
from patchwork.shares import Share
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel
from patchwork.ui.radar import Spoke, draw_radar

NAME = "measure"
TITLE = "Measure it yourself"
ABOUT = (
    "A radar of your own: drawn scenes whose truth is known, eight kinds of questions, as many of each as you choose. "
    "More questions, shorter error bars. Stop at any time; what was measured stays."
)
WARNING = (
    "Read it with care. These scenes are new, but of the very world that the bundled model was trained on, so its "
    "radar says nothing about photographs. A real checkpoint sees drawings like these for the first time; it is told "
    "which answers there are to choose from."
)
LEAVES = (
    "A model behind a server is sent these drawings and questions, one after the other; your own picture stays here."
)
NEEDS = frozenset({"chat"})
REMOTE = True  # models behind a server too: what they are asked about is drawn here and nobody's
QUEUE = "measure"  # many questions: other panels need not wait for them
MEASURES = True  # a checkpoint may stand beside itself in fewer bits
NO_BOXES = "not asked: this checkpoint writes no boxes"


class Inputs(Data):
    """`each`: how many questions of every kind; even, so that half of the yes/no questions are about what is there."""

    each: int = Field(default=8, ge=4, le=40, multiple_of=2)


class Asked(Data):
    """One question (`seed` and `objects` draw its scene), what was said, and how that was read ("": not at all)."""

    axis: str
    seed: int
    objects: int | None
    question: str
    truth: str
    said: str
    read: str
    right: bool


class Score(Data):
    """So far, on one axis. `unread` answers count as wrong; `chance`, 0–1, is what a blind guess scores."""

    axis: str
    right: int
    asked: int
    unread: int
    chance: float | None

    @property
    def share(self) -> Share:
        return Share(self.right, self.asked)


class Measured(Data):
    """`missing`: axes that this checkpoint cannot be asked on. `planned`: questions in all. `newest`: the last one."""

    kind: Literal["measured"] = "measured"
    scores: list[Score]
    missing: list[str]
    planned: int
    seconds: float
    newest: Asked | None = None


class RunResult(Result):
    """`weight_bytes`: of the model's parameters and buffers, as they lie in memory; 0 behind a server.

    `broken_off`: why there are fewer answers than planned, in a sentence.
    """

    measured: Measured
    asked: list[Asked]
    weight_bytes: int
    broken_off: str = ""


KINDS = {"measured": Measured}


# ---- running


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Put a built-in set of questions with known answers to a model, and score each kind of question."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} gets its first question")
    missing = [] if "ground" in model.card.capabilities else ["box"]
    names, asked = [name for name in AXES if name not in missing], []
    planned, broken_off = inputs.each * len(names), ""
    for probe in take_in_turns(names, inputs.each):
        try:
            asked.append((probe, put(probe, model)))
        except Problem as problem:  # a server that has had enough: what was measured until then stays
            if not asked:
                raise
            broken_off = str(problem)
            break
        state = Measured(
            scores=[sum_up(name, asked) for name in names],
            missing=missing,
            planned=planned,
            seconds=round(time.perf_counter() - start, 3),
            newest=tell(model, *asked[-1]),
        )
        yield state
    told = [tell(model, probe, outcome) for probe, outcome in asked]
    yield RunResult(
        answered_by=model.answerer(start),
        measured=state,
        asked=told,
        weight_bytes=model.memory_bytes(),
        broken_off=broken_off,
    )


def take_in_turns(names: Sequence[str], each: int) -> Iterator[Probe]:
    """One of every axis, then the next of every axis: whenever a reader stops, all axes are about equally far."""
    streams = [write_probes(name) for name in names]
    for _ in range(each):
        for stream in streams:
            yield next(stream)


def sum_up(name: str, asked: Sequence[tuple[Probe, Outcome]]) -> Score:
    here = [(probe, outcome) for probe, outcome in asked if probe.axis.name == name]
    return Score(
        axis=name,
        right=sum(outcome.right for _, outcome in here),
        asked=len(here),
        unread=sum(not outcome.read for _, outcome in here),
        chance=find_chance([probe for probe, _ in here]),
    )


def find_chance(probes: Sequence[Probe]) -> float | None:
    """A blind guess among the answers; for boxes, always the middle of the picture."""
    if not probes:
        return None
    if probes[0].axis.answers == "box":
        return sum(overlap_box(probe) >= ENOUGH for probe in probes) / len(probes)
    return probes[0].axis.chance


def tell(model: Model, probe: Probe, outcome: Outcome) -> Asked:
    box = probe.axis.answers == "box"
    return Asked(
        axis=probe.axis.name,
        seed=probe.seed,
        objects=probe.objects,
        question=probe.names[0] if box else probe.word_for(model),
        truth=f"its box, overlap of {ENOUGH} or more" if box else probe.answer,
        said=outcome.said,
        read=outcome.read,
        right=outcome.right,
    )


# ---- drawing


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, Progress):
        return draw.draw_progress(event)
    done = isinstance(event, RunResult)
    measured = event.measured if done else event
    title = f"<h4>{html.escape(event.answered_by.title)}</h4>" if done else ""
    status = draw_broken_off(event) if done else draw_status(measured)
    end = draw_end(event) if done else ""
    return (
        f'<div class="pw-measured">{title}{status}<div class="pw-spider-row">{draw_shares(measured)}'
        f"{draw_table(measured)}</div>{end}</div>"
    )


def draw_end(event: RunResult) -> str:
    """What the whole run was, for comparison with another checkpoint, or the same one in fewer bits."""
    right = Share(sum(one.right for one in event.asked), len(event.asked))
    pace = round(event.measured.seconds / len(event.asked), 3)
    metrics = [
        Metric(label="All skills together", value=round(100 * right.value, 1), unit="%", note=f"{right}"),
        Metric(label="A question", value=pace, unit="s", note="on average"),
    ]
    if event.weight_bytes:
        metrics.insert(1, Metric(label="Weights in memory", value=round(event.weight_bytes / 1e6, 1), unit="MB"))
    return draw.draw_metrics(metrics) + draw_samples(event.asked) + draw.draw_answerer(event.answered_by)


def draw_broken_off(event: RunResult) -> str:
    if not event.broken_off:
        return ""
    count = f"{len(event.asked)} of {event.measured.planned} questions"
    return draw.draw_problem(f"Broken off after {count}; these stay. {event.broken_off}")


def draw_status(measured: Measured) -> str:
    """How far, at what pace, and the newest answer."""
    count = sum(score.asked for score in measured.scores)
    pace = measured.seconds / count
    words = (
        f"{count} of {measured.planned} questions; {pace:.2g} s each, {pace * (measured.planned - count):.0f} s to go"
    )
    newest = measured.newest
    line = f"{draw.draw_mark(newest.right)} {html.escape(newest.question)} <b>{html.escape(newest.said)}</b>"
    bar = draw.draw_progress(Progress(message=words, fraction=count / measured.planned))
    return f'{bar}<div class="pw-newest">{line}</div>'


def list_spokes(measured: Measured) -> list[Spoke]:
    scores = {score.axis: score for score in measured.scores}
    spokes = []
    for name, axis in AXES.items():
        score = scores.get(name)
        if score is None or not score.asked:
            spokes.append(Spoke(axis.title, None, None, "not asked" if score is None else "to come"))
        else:
            spokes.append(Spoke(axis.title, score.share, score.chance))
    return spokes


def draw_shares(measured: Measured) -> str:
    spokes = list_spokes(measured)
    label = "Measured shares of right answers: " + ", ".join(
        f"{one.title} {100 * one.share.value:.0f} %" if one.share else f"{one.title} not asked" for one in spokes
    )
    return (
        f'<figure class="pw-spider-figure">{draw_radar(spokes, label)}'
        '<figcaption><span class="pw-key-measured">right answers, with one standard error</span> '
        '<span class="pw-key-chance">a blind guess</span> <span class="pw-key-rings">rings: 25, 50, 75, 100 %</span>'
        "</figcaption></figure>"
    )


def draw_table(measured: Measured) -> str:
    rows = "".join(map(draw_score, measured.scores))
    rows += "".join(f'<tr><td>{AXES[name].title}</td><td colspan="3">{NO_BOXES}</td></tr>' for name in measured.missing)
    unread = sum(score.unread for score in measured.scores)
    return (
        '<div><table class="pw-scores pw-measures"><thead><tr><th>Skill</th><th>Right</th><th>Share</th>'
        f"<th>A guess</th></tr></thead><tbody>{rows}</tbody></table>"
        '<p class="pw-explain">In brackets: one standard error to both sides, by the score interval of Wilson (1927), '
        f"which stays open where all answers or none are right. {tell_unread(unread)} A box is right when it overlaps "
        "the true one by half or more; a guess is the middle of the picture.</p></div>"
    )


def draw_score(score: Score) -> str:
    value, _, bounds = str(score.share).rpartition(" ") if score.asked else ("–", "", "")
    chance = "–" if score.chance is None else f"{100 * score.chance:.0f} %"
    return (
        f'<tr data-axis="{score.axis}"><td>{AXES[score.axis].title}</td>'
        f'<td class="pw-number-cell">{f"{score.right} of {score.asked}" if score.asked else "–"}</td>'
        f'<td class="pw-number-cell"><b>{value}</b> {bounds}</td><td class="pw-number-cell">{chance}</td></tr>'
    )


def tell_unread(count: int) -> str:
    if not count:
        return "Every answer could be read."
    answers = "One answer names" if count == 1 else f"{count} answers name"
    return f"{answers} none of the choices, or several, and count as wrong: nothing is guessed."


def choose_samples(asked: Sequence[Asked]) -> list[Asked]:
    """One question of each kind: the first that was answered wrong, else the first."""
    samples = {}
    for one in sorted(asked, key=lambda one: one.right):
        samples.setdefault(one.axis, one)
    return [samples[name] for name in AXES if name in samples]


def draw_samples(asked: Sequence[Asked]) -> str:
    rows = "".join(
        f'<tr><td><img src="{draw_small(one.seed, one.objects)}" alt="" width="72" height="72"></td>'
        f'<td>{html.escape(one.question)}</td><td data-label="true:">{html.escape(one.truth)}</td>'
        f"<td>{draw_said(one)}</td></tr>"
        for one in choose_samples(asked)
    )
    return (
        '<details class="pw-samples"><summary>One question of each kind, a wrong answer where there is one</summary>'
        '<div class="pw-table" tabindex="0"><table><thead><tr><th>Picture</th><th>Question</th><th>True answer</th>'
        f"<th>Said</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def draw_said(one: Asked) -> str:
    """What was said, and how it was read where that is not the same."""
    read = one.read or "not readable"
    note = "" if one.read == one.said else f' <span class="pw-read">({html.escape(read)})</span>'
    return f"{draw.draw_mark(one.right)} {html.escape(one.said or '(nothing)')}{note}"


@lru_cache(maxsize=64)
def draw_small(seed: int, objects: int | None) -> str:
    from patchwork.tiny import invent_scene

    return draw.encode_picture(invent_scene(seed, objects).draw(128))


def snippet(card) -> str:
    """A stand-alone program: questions with known answers, counted, with the standard error of the share."""
    ring, count = (AXES[name] for name in ("presence", "count"))
    hints = ["", ""] if card.bundled else [" " + ring.hint, " " + count.hint]
    return f'''{write_ask(card, MOST_TOKENS)}

PROBES = [  # questions, each with its true answer for your picture
    ("{ring.ask(("ring",))}{hints[0]}", "yes"),
    ("{ring.ask(("boat",))}{hints[0]}", "no"),
    ("{count.ask(())}{hints[1]}", "3"),
]
right = 0
for question, truth in PROBES:
    said = ask(question)
    right += said.lower().replace(",", " ").replace(".", " ").split()[:1] == [truth]
    print(said)
n, share = len(PROBES), right / len(PROBES)
error = (share * (1 - share) / n + 1 / (4 * n * n)) ** 0.5 / (1 + 1 / n)  # Wilson 1927
print(f"{{right}} of {{n}} right: {{100 * share:.0f}} % ± {{100 * error:.0f}}")
'''


def example() -> dict[str, Any]:
    """Few questions, so that it can be shown again as it went."""
    return {"each": 4}


def has_servers(page: Page) -> bool:
    return any(card.host for card in page.catalog.offering(NEEDS, remote=True))


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(
            f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>'
            f'<p class="pw-explain">{WARNING}{" " + LEAVES if has_servers(page) else ""}</p>'
        )
        each = gr.Slider(4, 40, 8, step=4, label="Questions of each kind")
        live_panel(sys.modules[__name__], page, {"each": each}, beside=True)
