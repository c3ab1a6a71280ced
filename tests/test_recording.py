"""A recording comes back as the same typed events, at its own pace, and renders exactly as the live run."""

import itertools
import json

import pytest
from PIL import Image

from demos import ask, similarity
from patchwork import recording
from patchwork.errors import Problem
from patchwork.plan import make_plan
from tests.fakes import MACHINE, FakeModel, make_card

CASES = [
    (ask, ask.Inputs(picture=Image.new("RGB", (9, 7), (200, 10, 10)), question="what is <b>this</b>?")),
    (similarity, similarity.Inputs(picture=Image.new("RGB", (9, 7)), captions=["a red star", "a cat"])),
]


def run_fake(demo, inputs):
    card = make_card()
    return demo.run(inputs, FakeModel(card, make_plan(card, MACHINE)))


@pytest.mark.parametrize(("demo", "inputs"), CASES, ids=lambda value: getattr(value, "NAME", ""))
def test_round_trip_renders_the_same(demo, inputs, tmp_path):
    path = tmp_path / "run.json"
    live = list(recording.record(demo, inputs, run_fake(demo, inputs), path, "one"))
    saved = recording.load(path, demo)
    replayed = list(recording.replay(saved, speed=0))
    assert replayed == live and saved.card_id == "one"
    assert [demo.render(event, saved.inputs) for event in replayed] == [demo.render(event, inputs) for event in live]
    assert isinstance(replayed[-1], demo.RunResult)


def test_replay_keeps_the_pace(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr(recording.time, "sleep", slept.append)
    moments = [recording.Moment(after=after, event=after) for after in (0.5, 1.5, 3.5)]
    made = recording.Recording(demo="ask", card_id="one", recorded="2026-01-01", inputs={}, moments=tuple(moments))
    assert list(recording.replay(made, speed=2)) == [0.5, 1.5, 3.5]
    assert slept == [0.25, 0.5, 1.0]
    slept.clear()
    list(recording.replay(made, speed=float("inf")))
    assert slept == []


def test_a_broken_off_run_leaves_no_recording(tmp_path):
    demo, inputs = CASES[0]
    events = recording.record(demo, inputs, run_fake(demo, inputs), tmp_path / "run.json", "one")
    list(itertools.islice(events, 2))
    events.close()
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize("damage", [lambda d: d | {"demo": "other"}, lambda d: d | {"inputs": {}}, lambda d: {"x": 1}])
def test_damaged_recordings_are_refused(damage, tmp_path):
    demo, inputs = CASES[0]
    path = tmp_path / "run.json"
    list(recording.record(demo, inputs, run_fake(demo, inputs), path, "one"))
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(Problem):
        recording.load(path, demo)


def save_run(path, name: str = "ask", drop: int = 0) -> None:
    demo, inputs = CASES[0]
    list(recording.record(demo, inputs, run_fake(demo, inputs), path, name))
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"moments": saved["moments"][: len(saved["moments"]) - drop]}))


def test_a_folder_is_read_by_demo(tmp_path):
    for name in ("ask-colour", "ask-shape", "notes"):
        save_run(tmp_path / f"{name}.json", name)
    demos = {"ask": ask, "similarity": similarity}
    assert {name: one.card_id for name, one in recording.load_folder(tmp_path, demos).items()} == {"ask": "ask-colour"}
    save_run(tmp_path / "ask.json", "exact")
    assert recording.load_folder(tmp_path, demos)["ask"].card_id == "exact"


def test_a_recording_without_its_result_or_day_is_refused_before_anybody_watches(tmp_path):
    save_run(tmp_path / "ask.json", drop=1)
    with pytest.raises(Problem, match="ends before its result"):
        recording.load_folder(tmp_path, {"ask": ask})
    save_run(tmp_path / "ask.json")
    (tmp_path / "ask.json").write_text((tmp_path / "ask.json").read_text().replace('"recorded": "20', '"recorded": "x'))
    with pytest.raises(Problem, match="when it was made"):
        recording.load_folder(tmp_path, {"ask": ask})


def test_the_day_is_written_as_people_write_it():
    made = recording.Recording(demo="ask", card_id="one", recorded="2026-11-03T09:00:00", inputs={}, moments=())
    assert made.day == "3 Nov 2026"
