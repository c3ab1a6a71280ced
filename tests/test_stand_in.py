"""A recording steps in for a run that shows only progress, and for no other; the run is always closed."""

from __future__ import annotations

import queue
import threading
import time

import pytest

from patchwork import recording
from patchwork.demo import PartialText, Progress
from patchwork.errors import Problem
from patchwork.recording import Moment, Recording
from patchwork.stand_in import END, LONGEST, pass_on, play, with_stand_in

PATIENCE = 0.3
LONG = 30.0  # seconds: more patience than any of these runs takes
WAIT, TEXT = Progress(message="reads"), PartialText(text="live")


def make_recording(*moments: tuple[float, object]) -> Recording:
    made = tuple(Moment(after=after, event=event) for after, event in moments)
    return Recording(demo="ask", card_id="one", recorded="2026-11-03T10:00:00", inputs={}, moments=made)


RECORDED = make_recording((0.0, WAIT), (40.0, PartialText(text="re")), (40.02, PartialText(text="recorded")))


class Script:
    """A live run: events and errors, one after another; where it meets an event of threads it waits for that."""

    def __init__(self, *steps: object) -> None:
        self.steps, self.closed, self.threads = steps, threading.Event(), set()

    def run(self):
        try:
            for step in self.steps:
                self.threads.add(threading.current_thread())
                if isinstance(step, threading.Event):
                    step.wait(LONG)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step
        finally:
            self.threads.add(threading.current_thread())
            self.closed.set()


def follow(script: Script, patience: float = PATIENCE, given_up: threading.Event | None = None):
    script.running = script.run()  # kept, so that only a call of `close` can close it
    return with_stand_in(script.running, RECORDED, patience, given_up or threading.Event())


def texts(steps) -> list[str]:
    return ["(recording)" if step is RECORDED else getattr(step, "text", "…") for step in steps]


REPLAYED = ["(recording)", "re", "recorded"]


def test_a_run_in_time_passes_unchanged_and_is_closed():
    script = Script(WAIT, TEXT, WAIT, TEXT)
    assert list(follow(script, LONG)) == [WAIT, TEXT, WAIT, TEXT]
    assert script.closed.wait(5)


def test_after_its_first_word_a_run_may_take_its_time():
    pause = threading.Event()
    threading.Timer(3 * PATIENCE, pause.set).start()
    assert texts(follow(Script(TEXT, pause, WAIT, TEXT))) == ["live", "…", "live"]


def test_a_stalled_run_is_replaced_and_given_up_and_closed_when_it_moves_again():
    hangs, given_up = threading.Event(), threading.Event()
    script = Script(WAIT, hangs, TEXT, TEXT)
    steps = follow(script, given_up=given_up)
    assert next(steps) == WAIT and not given_up.is_set()
    assert next(steps) is RECORDED and given_up.is_set()
    assert texts(steps) == REPLAYED[1:] and not script.closed.is_set()
    hangs.set()
    assert script.closed.wait(5)


def endless_progress(closed: threading.Event):
    try:
        while True:
            yield WAIT
            time.sleep(0.01)
    finally:
        closed.set()


def test_progress_is_no_sign_of_life():
    closed, start = threading.Event(), time.monotonic()
    steps = texts(with_stand_in(endless_progress(closed), RECORDED, PATIENCE, threading.Event()))
    assert steps[0] == "…" and [step for step in steps if step != "…"] == REPLAYED
    assert time.monotonic() - start < LONG and closed.wait(5)


def test_progress_that_came_too_late_counts_for_nothing():
    arrived: queue.SimpleQueue = queue.SimpleQueue()
    for event in (WAIT, TEXT, END):
        arrived.put((time.monotonic() + LONG, event))
    assert list(pass_on(arrived, PATIENCE)) == []


def test_a_slow_reader_is_not_a_slow_run():
    script = Script(WAIT, TEXT)
    steps = follow(script)
    assert next(steps) == WAIT and script.closed.wait(5)
    time.sleep(1.5 * PATIENCE)
    assert texts(steps) == ["live"]


@pytest.mark.parametrize("before", [(), (WAIT,), (WAIT, TEXT)])
def test_an_error_reaches_the_reader_as_ever(before):
    script = Script(*before, Problem("Plain."))
    steps = follow(script, LONG)
    assert [next(steps) for _ in before] == list(before)
    with pytest.raises(Problem, match=r"Plain\."):
        next(steps)
    assert script.closed.is_set()


def test_an_error_after_the_recording_stepped_in_is_nobodys():
    hangs = threading.Event()
    script = Script(hangs, Problem("Too late."))
    steps = follow(script)
    assert next(steps) is RECORDED
    hangs.set()
    assert script.closed.wait(5)
    assert texts(steps) == REPLAYED[1:]


@pytest.mark.parametrize("taken", [1, 2])
def test_leaving_early_closes_the_run(taken):
    goes_on, given_up = threading.Event(), threading.Event()
    script = Script(WAIT, TEXT, goes_on, TEXT, TEXT)
    steps = follow(script, LONG, given_up)
    for _ in range(taken):
        next(steps)
    steps.close()
    assert given_up.is_set()
    goes_on.set()
    assert script.closed.wait(5)


def test_only_one_thread_touches_the_run_and_readers_share_nothing():
    mine, yours = Script(WAIT, TEXT), Script(WAIT, threading.Event(), TEXT)
    steps = zip(follow(mine, LONG), follow(yours), strict=False)
    assert next(steps) == (WAIT, WAIT)
    assert next(steps) == (TEXT, RECORDED)
    assert len(mine.threads) == len(yours.threads) == 1 and mine.threads != yours.threads
    assert threading.current_thread() not in mine.threads


def play_in(monkeypatch, *moments: tuple[float, object]) -> tuple[list, float]:
    slept: list[float] = []
    monkeypatch.setattr(recording.time, "sleep", slept.append)
    return list(play(make_recording(*moments))), round(sum(slept), 3)


def test_the_replay_leaves_out_the_wait_and_keeps_the_pace(monkeypatch):
    shown, seconds = play_in(monkeypatch, (0.0, WAIT), (40.0, TEXT), (41.5, WAIT), (42.5, TEXT))
    assert shown == [TEXT, TEXT] and seconds == 2.5


def test_the_replay_of_a_long_run_is_short(monkeypatch):
    shown, seconds = play_in(monkeypatch, (5.0, TEXT), (65.0, TEXT), (125.0, TEXT))
    assert shown == [TEXT] * 3 and seconds == LONGEST
