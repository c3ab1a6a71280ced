"""Does it look: three pictures, one question; yeses counted; nothing guessed, nothing said that is not known."""

import itertools

import gradio as gr
import pytest
from PIL import Image

from demos import look
from patchwork.images import load_picture
from patchwork.pool import Pool
from patchwork.recording import read_event
from patchwork.tiny.questions import REFUSAL
from patchwork.ui.page import Page
from tests.fakes import MACHINE, FakeModel, make_card, make_catalog
from tests.tiny_models import make_plan

PICTURE = Image.new("RGB", (12, 8), (10, 200, 30))
EVIL = '<img src=x onerror="alert(1)">'


def see(picture: Image.Image) -> str:
    """Which of the three this is, by its pixels."""
    colours = picture.getcolors(2)
    if colours and colours[0][1] == look.GREY:
        return "blank"
    return "mine" if picture.size == PICTURE.size else "drawn"


class Seer(FakeModel):
    """Answers by a rule of (picture, question)."""

    def __init__(self, rule) -> None:
        card = make_card()
        super().__init__(card, make_plan(card, "fp32"))
        self.rule, self.asked = rule, []

    def chat(self, images, prompt, max_new_tokens=128, stop=None):
        (picture,) = images
        self.asked.append((see(picture), picture.size, prompt))
        yield from (self.rule(picture, prompt), "")


def run(rule, **fields):
    inputs = look.Inputs(**{"picture": PICTURE, "question": "Who?", "polls": 4} | fields)
    model = Seer(rule)
    return inputs, list(look.run(inputs, model)), model


def test_the_same_question_with_three_pictures():
    _, events, model = run(lambda picture, _: see(picture))
    assert model.asked[:3] == [("mine", (12, 8), "Who?"), ("blank", (12, 8), "Who?"), ("drawn", (384, 384), "Who?")]
    assert [sight.said for sight in events[-1].looks.sights] == ["mine", "blank", "drawn"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("A cat.", "a cat", "a CAT!"), "The same answer three times"),
        (("a cat", "nothing", "a dog"), "changed with the picture, both times"),
        (("a cat", "nothing", "a cat"), "the wrong one did not"),
        (("a cat", "a cat", "a dog"), "could be had without looking"),
        ((REFUSAL, REFUSAL, "a star"), "says nothing about looking"),
    ],
)
def test_what_three_answers_say_about_looking(said, words):
    told = dict(zip(("mine", "blank", "drawn"), said, strict=True))
    inputs, events, _ = run(lambda picture, _: told[see(picture)])
    assert words in look.render(events[-1], inputs)


def test_of_a_readers_own_picture_the_truth_is_not_known():
    inputs, events, _ = run(lambda *_: "yes")
    shown = look.render(events[-1], inputs)
    assert all(sight.right is None for sight in events[-1].looks.sights)
    assert "The true answer is not known here" in shown and "True answer:" not in shown


@pytest.mark.parametrize("about", look.KNOWN)
def test_a_drawn_question_has_two_truths_and_they_differ(about):
    inputs, events, _ = run(lambda *_: "never", about=about, question="")
    right, blank, wrong = events[-1].looks.sights
    assert right.truth != wrong.truth and blank.truth == ""
    assert (right.right, blank.right, wrong.right) == (False, None, False)
    right_again, *_ = run(lambda *_: f"It is {right.truth}", about=about)[1][-1].looks.sights
    assert right_again.right is (about != "presence")  # a yes counts by the first word
    assert f"True answer: {right.truth}" in look.render(events[-1], inputs)


def test_yeses_are_counted_where_they_are_right_and_where_they_are_not():
    """Yes with every picture, and to the blank one in turns yes, no and something else."""
    blank = itertools.cycle(["yes", "No, nothing", "I see none"])
    inputs, events, _ = run(
        lambda picture, _: next(blank) if see(picture) == "blank" else "Yes.", polls=6, about="count"
    )
    there, absent, nothing = look.sort_polls(events[-1].looks.polls)
    assert (there.yes, there.asked, absent.yes, absent.asked) == (3, 3, 3, 3)
    assert (nothing.yes, nothing.no, nothing.neither) == (2, 2, 2)
    assert "3 of 6 answers are right: 50 %" in look.render(events[-1], inputs)


def test_polls_ask_the_picture_and_the_blank_the_same():
    *_, model = run(lambda *_: "no", polls=8)
    polls = model.asked[3:]
    assert [what for what, *_ in polls] == ["drawn", "blank"] * 8
    assert all(first[1:] == second[1:] for first, second in zip(polls[::2], polls[1::2], strict=True))


@pytest.mark.parametrize(
    ("said", "words"),
    [("yes", "every yes comes from the words alone: 4 of 4"), ("refused", "neither yes nor no 4 of 4")],
)
def test_the_leaning_on_a_blank_picture_is_told_only_where_it_shows(said, words):
    inputs, events, _ = run(lambda *_: said)
    assert words in look.render(events[-1], inputs)


def test_what_is_there_is_shown_after_every_answer():
    inputs, events, _ = run(lambda *_: "yes")
    lengths = [len(event.polls) for event in events if isinstance(event, look.Looks)]
    assert lengths == sorted(lengths) and lengths[-8:] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert "Question 2 of 4" in look.render(events[-6], inputs)


def test_events_survive_json_and_markup_stays_text():
    inputs, events, _ = run(lambda *_: EVIL, question=EVIL)
    for event in events:
        assert read_event(event.model_dump(mode="json"), look) == event
        assert "<img src=x" not in look.render(event, inputs)


def test_two_readers_at_once_keep_their_own():
    first, second = (
        look.run(look.Inputs(picture=PICTURE, question=name, polls=4), Seer(lambda _, asked: f"said {asked}"))
        for name in ("one", "two")
    )
    *_, (one, two) = zip(first, second, strict=True)
    for name, result in (("one", one), ("two", two)):
        assert [sight.said for sight in result.looks.sights] == [f"said {name}"] * 3


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"question": " "}, "no question yet"),
        ({"question": "x" * 2001}, "limit is 2000"),
        ({"polls": 5}, "multiple of 2"),
    ],
)
def test_bad_input_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        look.Inputs(**{"picture": PICTURE, "question": "Who?"} | fields)


def test_the_example_is_short():
    from patchwork.examples import example_pictures
    from patchwork.ui.hero import fill_inputs

    inputs = fill_inputs(look, load_picture(example_pictures("drawn")[0][1]))
    assert inputs.polls == 8 and inputs.about == look.MINE and inputs.question


def test_a_reader_can_call_it_by_name():
    page = Page(make_catalog("one"), MACHINE, Pool(make_catalog("one"), MACHINE, 10**9), gr.Image(), gr.Textbox())
    with gr.Blocks() as blocks:
        look.build(page)
    (named,) = blocks.get_api_info()["named_endpoints"].items()
    assert named[0] == "/look"
    assert [one["parameter_name"] for one in named[1]["parameters"]] == [
        "picture",
        "question",
        "about",
        "polls",
        "checkpoint",
    ]
