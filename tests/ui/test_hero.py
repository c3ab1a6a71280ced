"""The first screen shows what the demos render, says when it was recorded, and keeps readers apart."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from app import load_demos
from demos import ask, ground, train
from patchwork.demo import Data, PartialText, Picture
from patchwork.errors import Problem
from patchwork.recording import Recording
from patchwork.ui import hero


def make_run(*texts: str) -> hero.Run:
    demo = SimpleNamespace(NAME="ask", render=lambda event, inputs: f"<b>{inputs}: {event.text}</b>")
    return hero.Run(demo, "Why?", "tiny", [PartialText(text=text) for text in texts])


def answer_with(monkeypatch, *steps: str | Problem) -> None:
    def run_or_replay(demo, inputs, pool, card_id, recorded, patience):
        assert recorded is None  # off stage
        for step in steps:
            if isinstance(step, Problem):
                raise step
            yield PartialText(text=step)

    monkeypatch.setattr(hero, "run_or_replay", run_or_replay)


MADE = Recording(demo="ask", card_id="tiny", recorded="2026-11-03", inputs=None, moments=())


def test_newest_event_and_mark_are_shown():
    drawn = hero.draw_runs([make_run("re", "red")], "Recorded 3 Nov 2026")
    assert "<b>Why?: red</b>" in drawn
    assert "re</b>" not in drawn
    assert "Recorded 3 Nov 2026" in drawn


def test_live_run_grows_and_is_then_marked_live(monkeypatch):
    answer_with(monkeypatch, "bl", "blue")
    recorded = replace(make_run("red"), recorded=MADE)
    states = list(hero.run_again([recorded], pool=None))
    assert ["bl</b>" in state for state in states] == [True, False, False]
    assert "Why?: blue" in states[-1] and "Live" in states[-1]
    assert all("Recorded" not in state for state in states)
    assert [event.text for event in recorded.events] == ["red"]


def test_on_stage_the_recorded_runs_come_back_when_the_live_one_stalls(monkeypatch):
    asked = []

    def run_or_replay(demo, inputs, pool, card_id, recorded, patience):
        asked.append(patience)
        yield from (PartialText(text="bl"), recorded, PartialText(text="replayed"))

    monkeypatch.setattr(hero, "run_or_replay", run_or_replay)
    runs = [replace(make_run("red"), recorded=MADE), replace(make_run("yes"), recorded=MADE)]
    states = list(hero.run_again(runs, pool=None, on_stage=True, patience=5.0))
    assert len(states) == 2 and "bl</b>" in states[0] and asked == [5.0]
    assert "Why?: red" in states[1] and "Why?: yes" in states[1]
    assert "Recorded 3 Nov 2026, and shown because the live run took too long" in states[1]


def test_failed_run_tells_the_reader(monkeypatch):
    answer_with(monkeypatch, "bl", Problem("The model is too large; choose <a> smaller one."))
    with pytest.raises(gr.Error, match="too large; choose &lt;a&gt; smaller one"):
        list(hero.run_again([make_run("red")], pool=None))


class Inputs(Data):
    scene: Picture
    question: str
    layer: int = -1


def test_recording_fills_the_picture_and_the_question():
    scene = Image.new("RGB", (8, 8), (9, 8, 7))
    inputs = hero.fill_inputs(SimpleNamespace(Inputs=Inputs), scene)
    assert inputs.scene is scene
    assert inputs.question.endswith("?")
    assert inputs.layer == -1


def test_a_demo_with_an_example_of_its_own_is_recorded_on_it():
    demo = SimpleNamespace(Inputs=Inputs, example=lambda: {"question": "How many?", "layer": 3})
    inputs = hero.fill_inputs(demo, Image.new("RGB", (8, 8)))
    assert (inputs.question, inputs.layer) == ("How many?", 3)


def test_every_demo_is_recorded_and_one_that_fails_stops_no_other(monkeypatch, tmp_path):
    def run_live(demo, inputs, pool, card_id):
        if demo is ground:
            raise Problem("There is no box.")
        yield PartialText(text=f"{demo.NAME} by {card_id}")

    monkeypatch.setattr(hero, "run_live", run_live)
    demos = {"ask": ask, "ground": ground, "train": train}
    cards = [SimpleNamespace(id="tiny", bundled=True)]
    pool = SimpleNamespace(catalog=SimpleNamespace(offering=lambda needs: cards))
    with pytest.raises(Problem, match=r"ground was not recorded: There is no box\.$"):
        hero.record_runs(pool, demos, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ask.json", "train.json"]
    assert "train by tiny" in (tmp_path / "train.json").read_text(encoding="utf-8")


def test_recording_uses_a_bundled_model_or_says_that_there_is_none():
    cards = [SimpleNamespace(id="large", bundled=False), SimpleNamespace(id="tiny", bundled=True)]
    pool = SimpleNamespace(catalog=SimpleNamespace(offering=lambda needs: cards[: len(needs)]))
    assert hero.find_bundled(SimpleNamespace(NEEDS={"chat", "attention"}, TITLE="Ask"), pool) == "tiny"
    with pytest.raises(Problem, match="Ask"):
        hero.find_bundled(SimpleNamespace(NEEDS={"chat"}, TITLE="Ask"), pool)


def test_every_demo_has_an_example_that_gives_its_model_something_to_do():
    scene = Image.new("RGB", (8, 8))
    examples = {name: hero.fill_inputs(demo, scene) for name, demo in load_demos().items()}
    assert examples["ground"].phrase and examples["train"].seconds < 60
    assert examples["document"].picture is not scene and examples["document"].question.startswith("what is the ")
    assert examples["fusion"].question == "how many things are there?"
    assert len(examples["several"].pictures) == 4 and examples["measure"].each == 4
    own = ("document", "measure", "several", "train")
    assert all(one.picture is scene for name, one in examples.items() if name not in own)
