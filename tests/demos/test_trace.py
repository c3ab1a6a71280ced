"""The trace demo: saved and loaded through the same drawing, bad files told in a sentence, markup stays text."""

import html
import json
import re

import pytest
from PIL import Image

from demos import trace
from patchwork import recording
from patchwork.catalog import load_catalog
from patchwork.families import get_family
from patchwork.hardware import detect_cpu
from patchwork.plan import make_plan
from patchwork.tiny import FRESH, draw_scene

EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def ran():
    card = load_catalog().get("tiny-llava")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    inputs = trace.Inputs(picture=draw_scene(FRESH + 2, 128), question=f"what is this? {EVIL}", longest=4)
    return inputs, list(trace.run(inputs, model))


def read_saved(drawn: str) -> str:
    """The recording as the page's save button takes it out of the panel."""
    return html.unescape(re.search(r'<pre class="pw-trace-data" hidden>(.*?)</pre>', drawn, re.S)[1])


def test_the_cost_is_said_before_anything_runs(ran):
    inputs, events = ran
    assert re.search(r"keeps at most [\d,]+ kB", events[0].message)
    assert all(trace.render(event, inputs) for event in events)


def test_a_saved_trace_is_drawn_as_the_live_one(ran, tmp_path):
    inputs, events = ran
    live = trace.render(events[-1], inputs)
    path = tmp_path / "saved.json"
    path.write_text(read_saved(live))
    loaded = recording.load(path, trace)
    assert loaded.moments[-1].event == events[-1]
    assert loaded.inputs.picture.tobytes() == inputs.picture.tobytes()
    shown = trace.show_recording(str(path))
    assert shown.startswith('<p class="pw-recorded">Recorded ')
    without_data = re.compile(r"<pre .*?</pre>", re.S)
    assert without_data.sub("", shown).endswith(without_data.sub("", live))


@pytest.mark.parametrize(
    "damage",
    [
        lambda saved: saved | {"demo": "ask"},
        lambda saved: saved | {"recorded": "yesterday"},
        lambda saved: saved | {"moments": []},
        lambda saved: saved["moments"][0]["event"]["trace"]["steps"][0]["maps"][0].pop() and saved,
        lambda saved: saved["moments"][0]["event"]["trace"]["steps"].clear() or saved,
        lambda saved: [saved],
    ],
)
def test_a_bad_file_is_told_in_one_sentence(ran, tmp_path, damage):
    inputs, events = ran
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(damage(json.loads(read_saved(trace.render(events[-1], inputs))))))
    shown = trace.show_recording(str(path))
    assert shown.startswith('<p class="pw-problem"') and str(tmp_path) not in shown


def test_no_file_is_told_too():
    assert "pw-problem" in trace.show_recording(None)


def test_readers_markup_stays_text(ran):
    inputs, events = ran
    for event in events:
        assert "<img src=x" not in trace.render(event, inputs)


def test_a_large_picture_is_made_smaller_before_it_runs():
    assert trace.Inputs(picture=Image.new("RGB", (2000, 900)), question="x").picture.size == (1024, 461)


@pytest.mark.parametrize("fields", [{"question": " "}, {"question": "x" * 2001}, {"question": "x", "longest": 65}])
def test_bad_words_are_refused(fields):
    with pytest.raises(ValueError):
        trace.Inputs(picture=Image.new("RGB", (9, 9)), **fields)
