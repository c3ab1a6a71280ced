"""A second checkpoint beside the first, whose failure hides nothing; a recording where a room would wait."""

import time
from types import SimpleNamespace

import pytest
from PIL import Image

from demos import ask
from patchwork.demo import Answerer, PartialText
from patchwork.pool import Pool
from patchwork.recording import Moment, Recording
from patchwork.ui import render
from patchwork.ui.panel import stream_beside, stream_first
from tests.fakes import MACHINE, Loader, make_catalog

INPUTS = ask.Inputs(picture=Image.new("RGB", (8, 8)), question="why")


def show_beside(loader: Loader) -> list[str]:
    pool = Pool(make_catalog("two"), MACHINE, budget_bytes=10**9, load=loader)
    return list(stream_beside(ask, SimpleNamespace(pool=pool), INPUTS, "two", "<p>first</p>"))


def test_the_first_result_stays_while_the_second_grows():
    shown = show_beside(Loader())
    assert all(page.startswith('<div class="pw-pair"><div><p>first</p></div>') for page in shown)
    assert "a red star (why)" in shown[-1] and "Answered by Two" in shown[-1]


def test_a_failure_of_the_second_stands_in_its_own_place():
    loader = Loader()
    loader.failure = MemoryError()
    *_, last = show_beside(loader)
    assert last.startswith('<div class="pw-pair"><div><p>first</p></div><div><p class="pw-problem"')


def make_recording(inputs: ask.Inputs) -> Recording:
    who = Answerer(model_id="old", title="Old <One>", device="cpu", precision="fp32", seconds=3.0)
    counts = {"image_tokens": 4, "pieces": 2, "first_seconds": 1.0, "pieces_per_second": 1.0}
    result = ask.RunResult(answered_by=who, text="a boat", boxes=[], **counts)
    moments = (Moment(after=9.0, event=PartialText(text="a")), Moment(after=9.01, event=result))
    return Recording(demo="ask", card_id="old", recorded="2026-11-03T09:00:00", inputs=inputs, moments=moments)


ITS_OWN = ask.Inputs(picture=Image.new("RGB", (8, 8), "red"), question="what <b> floats?")


def stream(pool: Pool, on_stage: bool, recorded: bool = True, patience: float = 0.2) -> tuple[list[str], str]:
    """Every state that is shown, and what the stream returns."""
    page = SimpleNamespace(pool=pool, patience=patience, stand_ins={"ask": make_recording(ITS_OWN)} if recorded else {})
    states, shown = stream_first(ask, page, INPUTS, "one", on_stage), []
    while True:
        try:
            shown.append(next(states))
        except StopIteration as end:
            return shown, end.value


def count_users(pool: Pool) -> int:
    return sum(seat.leases + seat.waiting for seat in pool._seats.values())


def wait_until(true) -> bool:
    end = time.monotonic() + 5
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_on_stage_a_recording_replaces_a_stalled_run_and_says_so(pool, loader):
    loader.go.clear()
    shown, last = stream(pool, on_stage=True)
    mark = render.draw_stand_in(make_recording(ITS_OWN))
    result = make_recording(ITS_OWN).moments[-1].event
    assert shown[-1] == mark + ask.render(result, ITS_OWN)
    assert "a boat" in shown[-1] and "(why)" not in shown[-1]
    assert last == ""  # no second checkpoint beside an answer to something else
    assert wait_until(lambda: count_users(pool) == 0)
    loader.go.set()


def test_the_mark_says_when_with_what_why_and_whose_question():
    mark = render.draw_stand_in(make_recording(ITS_OWN))
    assert "on 3 Nov 2026 with Old &lt;One&gt;, and shown because the live run took too long" in mark
    assert "its own picture and question, not yours: “what &lt;b&gt; floats?”" in mark
    assert mark.count("<img ") == 1 and render.encode_picture(ITS_OWN.picture) in mark


def test_a_mark_without_picture_and_question_speaks_of_settings():
    mark = render.draw_stand_in(make_recording(ITS_OWN).model_copy(update={"inputs": SimpleNamespace(seconds=5)}))
    assert "It ran with its own settings, not yours." in mark and "<img" not in mark


@pytest.mark.parametrize(("on_stage", "recorded"), [(False, True), (True, False)])
def test_off_stage_or_without_a_recording_the_live_run_goes_on(pool, on_stage, recorded):
    shown, last = stream(pool, on_stage, recorded, patience=0.0)
    assert "a red star (why)" in last and last == shown[-1]
    assert not any("pw-stand-in" in state for state in shown)


def test_on_stage_a_run_in_time_is_shown_as_ever(pool):
    shown, last = stream(pool, on_stage=True, patience=60)
    assert "a red star (why)" in last and not any("pw-stand-in" in state for state in shown)
    assert wait_until(lambda: count_users(pool) == 0)
