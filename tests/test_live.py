"""A live run: events in order, the lease given back however it ends, every failure one sentence, readers apart."""

import threading

import pytest
from PIL import Image

from demos import ask
from patchwork.catalog import Catalog, read_endpoint
from patchwork.demo import PartialText, Progress
from patchwork.errors import Problem
from patchwork.live import run_live
from patchwork.pool import Pool
from tests.fakes import MACHINE, Loader, make_catalog


def question(words: str) -> ask.Inputs:
    return ask.Inputs(picture=Image.new("RGB", (8, 8)), question=words)


def count_leases(pool: Pool) -> int:
    return sum(seat.leases for seat in pool._seats.values())


def test_events_end_with_the_result(pool):
    events = list(run_live(ask, question("why"), pool, "one"))
    assert isinstance(events[-1], ask.RunResult) and events[-1].text == "a red star (why)"
    texts = [event.text for event in events if isinstance(event, PartialText)]
    assert texts == ["a ", "a red ", "a red star", "a red star (why)"]
    assert isinstance(events[0], Progress) and count_leases(pool) == 0


def test_two_readers_do_not_mix(pool):
    first, second = (run_live(ask, question(words), pool, "one") for words in ("mine", "yours"))
    ends = {}
    for event_one, event_two in zip(first, second, strict=True):
        ends = {"mine": event_one, "yours": event_two}
    assert ends["mine"].text.endswith("(mine)") and ends["yours"].text.endswith("(yours)")


def test_leaving_early_stops_the_model_and_gives_it_back(pool, loader):
    events = run_live(ask, question("why"), pool, "one")
    while not isinstance(next(events), PartialText):
        pass
    assert count_leases(pool) == 1
    events.close()
    assert loader.models[0].stopped and count_leases(pool) == 0


def test_cancelling_ends_the_wait_for_a_model_that_is_still_loading(pool, loader):
    loader.go.clear()
    cancel = threading.Event()
    events = run_live(ask, question("why"), pool, "one", cancel)
    assert isinstance(next(events), Progress)
    cancel.set()
    with pytest.raises(Problem, match="Stopped"):
        list(events)
    loader.go.set()


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (MemoryError(), "not enough memory"),
        (ValueError("secret-token"), "failed on this input"),
        (Problem("Plain."), "Plain"),
    ],
)
def test_failures_are_sentences_without_details(pool, loader, failure, words):
    list(run_live(ask, question("warm"), pool, "one"))
    loader.models[0].failure = failure
    with pytest.raises(Problem, match=words) as raised:
        list(run_live(ask, question("why"), pool, "one"))
    assert "secret-token" not in str(raised.value) and count_leases(pool) == 0


def test_a_model_that_ran_out_of_memory_is_dropped(pool, loader):
    list(run_live(ask, question("warm"), pool, "one"))
    loader.models[0].failure = MemoryError()
    with pytest.raises(Problem, match="not enough memory"):
        list(run_live(ask, question("why"), pool, "one"))
    assert pool.loaded() == [] and loader.models[0].closed


def test_a_checkpoint_that_cannot_do_it_is_refused():
    pool = Pool(make_catalog("one", capabilities=["attention"]), MACHINE, load=Loader())
    with pytest.raises(Problem, match="lacks: chat"):
        list(run_live(ask, question("why"), pool, "one"))


def test_a_server_is_asked_only_by_a_demo_that_says_what_leaves():
    pool = Pool(Catalog([read_endpoint("far=https://a.example/v1#m")]), MACHINE, budget_bytes=0)
    with pytest.raises(Problem, match="answers from a server, which this panel does not ask"):
        next(run_live(ask, question("why"), pool, "far"))
