"""Does it look? One question with the right, a blank and a wrong picture; and how often a model says yes anyway."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

import gradio as gr
from PIL import Image
from pydantic import Field, model_validator

from patchwork.answers import read_yes_or_no, split_words
from patchwork.demo import Data, Event, Picture, Progress, Result, check_question
from patchwork.families.protocol import Model
from patchwork.polls import GREY, Poll, Yeses, make_blank, sort_polls, take_polls
from patchwork.probes import AXES, FIRST, Probe, find_other, write_probes
from patchwork.shares import Share
from patchwork.snippets import write_options, write_prompt
from patchwork.tiny.questions import REFUSAL
from patchwork.ui import render as draw
from patchwork.ui.page import Page
from patchwork.ui.panel import live_panel

NAME = "look"
TITLE = "Does it look?"
ABOUT = (
    "The same question three times: with the right picture, with a blank one, and with another picture. A model that "
    "looks changes its answer; one that guesses from the words does not. Then yes/no questions count how often it says "
    "yes, where that is right and where it is not."
)
NEEDS = frozenset({"chat"})
LONGEST = 2000
LONGEST_ANSWER = 96  # tokens
MINE = "mine"
KNOWN = ("colour", "kind", "count", "presence", "left or right", "sign")
"""Kinds of questions that the panel can bring itself, with the truth."""
CHOICES = [
    ("Yours: your picture, your question", MINE),
    *((f"A drawn scene: {AXES[name].title.lower()}", name) for name in KNOWN),
]
WHICH = {"right": "Right picture", "blank": "Blank picture", "wrong": "Wrong picture"}


class Inputs(Data):
    """`about`: "mine", or what is asked of a drawn scene whose answer is known. `polls`: presence questions, half of
    them about things that are there; each is asked twice."""

    picture: Picture
    question: Annotated[str, check_question(LONGEST, needed=False)] = ""
    about: Literal["mine", "colour", "kind", "count", "presence", "left or right", "sign"] = MINE
    polls: int = Field(default=12, ge=4, le=40, multiple_of=2)

    @model_validator(mode="after")
    def own_picture_needs_a_question(self) -> Inputs:
        if self.about == MINE and not self.question:
            raise ValueError("There is no question yet; type one beside the picture, or choose a drawn scene")
        return self


class Sight(Data):
    """One picture's answer. `seed` and `objects` draw it; without a seed it is the reader's own, or blank.

    `truth` is empty where it is not known; `right` is None there, and while the answer grows.
    """

    which: Literal["right", "blank", "wrong"]
    seed: int | None = None
    objects: int | None = None
    said: str = ""
    truth: str = ""
    right: bool | None = None


class Looks(Data):
    """What there is so far. `polls_planned` presence questions are asked in all."""

    kind: Literal["looks"] = "looks"
    question: str
    sights: list[Sight]
    polls: list[Poll]
    polls_planned: int


class RunResult(Result):
    looks: Looks


KINDS = {"looks": Looks}


# ---- running


def run(inputs: Inputs, model: Model) -> Iterator[Event]:
    """Ask one question with the right, a blank and a wrong picture, then count the yeses to presence questions."""
    start = time.perf_counter()
    yield Progress(message=f"{model.card.title} reads three pictures")
    probe = None if inputs.about == MINE else next(write_probes(inputs.about))
    question = probe.word_for(model) if probe else inputs.question
    looks = Looks(question=question, sights=[], polls=[], polls_planned=inputs.polls)
    for sight in plan_sights(probe):
        picture = draw_sight(sight, inputs)
        for step in answer_sight(sight, picture, question, probe, model):
            yield (now := looks.model_copy(update={"sights": [*looks.sights, step]}))
        looks = now
    for polls in take_polls(inputs.polls, model):
        looks = looks.model_copy(update={"polls": polls})
        yield looks
    yield RunResult(answered_by=model.answerer(start), looks=looks)


def plan_sights(probe: Probe | None) -> list[Sight]:
    if probe is None:
        return [Sight(which="right"), Sight(which="blank"), Sight(which="wrong", seed=FIRST)]
    other = find_other(probe)
    return [
        Sight(which="right", seed=probe.seed, objects=probe.objects, truth=probe.answer),
        Sight(which="blank"),
        Sight(which="wrong", seed=other.seed, objects=other.objects, truth=other.answer),
    ]


def answer_sight(
    sight: Sight, picture: Image.Image, question: str, probe: Probe | None, model: Model
) -> Iterator[Sight]:
    """The growing answer; at the end it is held against the truth, where that is known."""
    said = ""
    yield sight
    for piece in model.chat([picture], question, max_new_tokens=LONGEST_ANSWER):
        said += piece
        yield sight.model_copy(update={"said": said})
    right = probe.read(said) == sight.truth if probe and sight.truth else None
    yield sight.model_copy(update={"said": said.strip(), "right": right})


def draw_sight(sight: Sight, inputs: Inputs) -> Image.Image:
    if sight.which == "blank":
        return make_blank(inputs.picture if inputs.about == MINE else draw_scene(FIRST))
    return inputs.picture if sight.seed is None else draw_scene(sight.seed, sight.objects)


@lru_cache(maxsize=8)
def draw_scene(seed: int, objects: int | None = None, side: int = 384) -> Image.Image:
    from patchwork.tiny import invent_scene

    return invent_scene(seed, objects).draw(side)


def is_same(first: str, second: str) -> bool:
    """Whether two answers have the same words."""
    return split_words(first) == split_words(second)


# ---- drawing


def render(event: Event, inputs: Inputs) -> str:
    if isinstance(event, Progress):
        return draw.draw_progress(event)
    done = isinstance(event, RunResult)
    looks = event.looks if done else event
    parts = [
        f'<p class="pw-asked"><b>Asked three times</b>{html.escape(looks.question)}</p>',
        draw_sights(looks, inputs),
    ]
    if len(looks.sights) == 3 and (done or looks.polls):
        parts.append(f'<p class="pw-verdict">{explain_sights(looks.sights)}</p>')
    if looks.polls:
        parts.append(draw_polls(looks, done))
    end = draw.draw_answerer(event.answered_by) if done else ""
    return f'<div class="pw-looks">{"".join(parts)}{end}</div>'


def draw_sights(looks: Looks, inputs: Inputs) -> str:
    return f'<div class="pw-sights">{"".join(draw_one(sight, inputs) for sight in looks.sights)}</div>'


def draw_one(sight: Sight, inputs: Inputs) -> str:
    title = WHICH[sight.which]
    picture = draw.encode_picture(draw.bound(draw_sight(sight, inputs), 288))
    said = html.escape(sight.said) or '<span class="pw-cursor" aria-hidden="true"></span>'
    return (
        f'<figure class="pw-sight" data-sight="{sight.which}"><img src="{picture}" alt="{title}">'
        f'<figcaption><b>{title}</b><p class="pw-answer">{said}</p>{draw_truth(sight)}</figcaption></figure>'
    )


def draw_truth(sight: Sight) -> str:
    if sight.which == "blank":
        return '<div class="pw-truth">Nothing to see: even grey.</div>'
    if not sight.truth:
        return '<div class="pw-truth">The true answer is not known here.</div>' if sight.seed is None else ""
    mark = "" if sight.right is None else draw.draw_mark(sight.right) + " "
    return f'<div class="pw-truth">{mark}True answer: {html.escape(sight.truth)}</div>'


def explain_sights(sights: Sequence[Sight]) -> str:
    """What three answers say about looking, and what they do not."""
    right, blank, wrong = (sight.said for sight in sights)
    if right == REFUSAL:
        return (
            "The right picture was refused, which says nothing about looking: the bundled model knows only drawn "
            "scenes and what they hold. Choose a drawn scene above, or a real checkpoint."
        )
    same_blank, same_wrong = is_same(right, blank), is_same(right, wrong)
    if same_blank and same_wrong:
        return (
            "The same answer three times: this one did not need the picture. The words of the question were enough to "
            "bring it about."
        )
    if same_blank:
        return (
            "The same answer with the blank picture as with the right one: it could be had without looking. Another "
            "picture did change it."
        )
    if same_wrong:
        return (
            "The blank picture changed the answer, the wrong one did not. Either the answer fits both pictures, or the "
            "model noticed no more than that there is a picture."
        )
    return (
        "The answer changed with the picture, both times, so the picture had a say in it. Whether it is right is "
        "another matter."
    )


POPE = (
    "Half of the questions are about a thing that is there, half about one that is not, as in the test POPE "
    "(Li et al., EMNLP 2023). The scenes are drawn, so the truth is known; the words of a question tell nothing of it."
)
ROWS = (
    ("there", "It is there", "should be yes"),
    ("absent", "It is not there", "should be no"),
    ("blank", "Blank picture", "should be no"),
)


def draw_polls(looks: Looks, done: bool) -> str:
    polls, counted = looks.polls, sort_polls(looks.polls)
    rows = "".join(draw_row(*row, yeses) for row, yeses in zip(ROWS, counted, strict=True))
    share = (2 * len(polls) - (polls[-1].blank is None)) / (2 * looks.polls_planned)
    bar = draw.draw_progress(Progress(message=f"Question {len(polls)} of {looks.polls_planned}", fraction=share))
    return (
        f'<section class="pw-polls"><h4>“Is there a …?” How often it says yes</h4><p class="pw-explain">{POPE}</p>'
        f"{'' if done else bar}<div class='pw-yes-rows'>{rows}</div>"
        f"{draw_sums(counted) if done else ''}{draw_asked(polls) if done else ''}</section>"
    )


def draw_row(name: str, title: str, wanted: str, yeses: Yeses) -> str:
    """One bar of a sort of questions, cut into yes, no and neither."""
    parts = "".join(
        f'<i class="pw-says-{word}" style="flex-grow:{count}"><span>{word} {count}</span></i>'
        for word, count in (("yes", yeses.yes), ("no", yeses.no), ("neither", yeses.neither))
        if count
    )
    figure = f"<b>{yeses.share}</b> yes" if yeses.asked else "not asked yet"
    return (
        f'<div class="pw-yes-row" data-row="{name}"><div><b>{title}</b> <span>{wanted}</span></div>'
        f'<div class="pw-yes-bar">{parts}</div><div class="pw-yes-share">{figure}</div></div>'
    )


def draw_sums(counted: tuple[Yeses, Yeses, Yeses]) -> str:
    there, absent, blank = counted
    right = Share(there.yes + absent.no, there.asked + absent.asked)
    return (
        f'<p class="pw-explain" data-part="accuracy">With the right picture, {right.right} of {right.asked} answers '
        f"are right: {right}. Always saying yes, or always no, would be right half of the time. In brackets: one "
        "standard error to both sides. An answer counts by its first word, and as neither where that is not yes or no."
        "</p>"
        f'<p class="pw-explain" data-part="bias">{explain_bias(blank)}</p>'
    )


def explain_bias(blank: Yeses) -> str:
    """What the blank picture tells of the words alone."""
    if 2 * blank.neither > blank.asked:
        return (
            f"On the blank picture it said neither yes nor no {blank.neither} of {blank.asked} times, so this test "
            "does not show which of the two it leans to in words alone. Its answers are below. The bundled model, for "
            "one, was taught to refuse whatever is no drawn scene, and even grey is none."
        )
    return (
        "On the blank picture nothing is there, so every yes comes from the words alone: "
        f"{blank.yes} of {blank.asked}. That is the model’s own leaning, before it has seen anything."
    )


def draw_asked(polls: Sequence[Poll]) -> str:
    return (
        '<details class="pw-all-polls"><summary>All questions and answers</summary><div class="pw-table" tabindex="0">'
        "<table><thead><tr><th>Picture</th><th>Question</th><th>Said</th><th>Said to the blank</th></tr></thead>"
        f"<tbody>{''.join(map(draw_poll, polls))}</tbody></table></div></details>"
    )


def draw_poll(poll: Poll) -> str:
    right = read_yes_or_no(poll.said) == ("yes" if poll.there else "no")
    return (
        f'<tr><td><img src="{draw_small(poll.seed)}" alt="" width="64" height="64"></td>'
        f"<td>{html.escape(poll.question)}</td><td>{draw.draw_mark(right)} {html.escape(poll.said)}</td>"
        f'<td data-label="to the blank:">{html.escape(poll.blank or "")}</td></tr>'
    )


@lru_cache(maxsize=64)
def draw_small(seed: int) -> str:
    return draw.encode_picture(draw_scene(seed, side=96))


def snippet(card) -> str:
    """A stand-alone program: the same question with three pictures."""
    return f'''import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)

right, wrong = (Image.open(name).convert("RGB") for name in ("picture.png", "other.png"))
blank = Image.new("RGB", right.size, {GREY})
question = "What is in the picture?"
{write_prompt(card)}
for image in (right, blank, wrong):
    inputs = processor(images=image, text=text, return_tensors="pt"{write_options(card)})
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens={LONGEST_ANSWER}, do_sample=False)
    print(processor.decode(tokens[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True))
'''


def example() -> dict[str, Any]:
    """Few questions, so that it can be shown again as it went."""
    return {"polls": 8}


def build(page: Page) -> None:
    with gr.Column(elem_classes="pw-panel"):
        gr.HTML(f'<h3 class="pw-panel-title">{TITLE}</h3><p class="pw-panel-about">{ABOUT}</p>')
        with gr.Row():
            about = gr.Dropdown(CHOICES, value=MINE, label="Picture and question", min_width=240)
            polls = gr.Slider(4, 40, 12, step=2, label="“Is there a …?” questions", min_width=200)
        live_panel(sys.modules[__name__], page, {"question": page.question, "about": about, "polls": polls})
