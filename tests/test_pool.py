"""The pool: one load for many readers, leases protect, the oldest idle model goes first, failures are sentences."""

import threading
import time

import pytest

from patchwork.catalog import Catalog
from patchwork.demo import Progress
from patchwork.errors import Problem
from patchwork.plan import make_plan
from patchwork.pool import Lease, Pool
from tests.fakes import MACHINE, Loader, make_card, make_catalog


def borrow(pool: Pool, card_id: str) -> Lease:
    *_, lease = pool.borrow(card_id)
    return lease


ONE = make_plan(make_card("one"), MACHINE).held_bytes


def make_pool(loader: Loader, *ids: str, budget: float = 4) -> Pool:
    """`budget`: room for so many of these models, which are all alike."""
    return Pool(make_catalog(*ids), MACHINE, budget_bytes=int(budget * ONE), load=loader)


def test_nothing_is_loaded_before_it_is_asked_for():
    loader = Loader()
    pool = make_pool(loader, "one", "two")
    assert loader.calls == [] and pool.loaded() == []
    with borrow(pool, "one") as model:
        assert model.card.id == "one"
    assert loader.calls == ["one"] and pool.is_loaded("one")


def test_progress_comes_before_the_lease():
    loader = Loader(seconds=0.3)
    steps = list(make_pool(loader, "one").borrow("one"))
    assert Progress(message="half of one", fraction=0.5) in steps[:-1]
    assert isinstance(steps[-1], Lease)


def test_many_readers_load_once():
    loader = Loader(seconds=0.3)
    pool = make_pool(loader, "one")
    leases = []
    readers = [threading.Thread(target=lambda: leases.append(borrow(pool, "one"))) for _ in range(8)]
    [reader.start() for reader in readers]
    [reader.join(10) for reader in readers]
    assert loader.calls == ["one"] and len(leases) == 8
    assert len({id(lease.model) for lease in leases}) == 1


def test_least_recently_used_idle_model_is_evicted():
    loader = Loader()
    pool = make_pool(loader, "one", "two", "three", budget=2.5)
    borrow(pool, "one").release()
    borrow(pool, "two").release()
    borrow(pool, "one").release()
    borrow(pool, "three").release()
    assert sorted(pool.loaded()) == ["one", "three"]
    assert [model.closed for model in loader.models] == [False, True, False]


def test_a_lease_protects_from_eviction():
    loader = Loader()
    pool = make_pool(loader, "one", "two", "three", budget=2.5)
    first, second = borrow(pool, "one"), borrow(pool, "two")
    with pytest.raises(Problem, match="no room"):
        borrow(pool, "three")
    assert not first.model.closed and not second.model.closed
    first.release()
    first.release()  # a second release must not free another reader's lease
    borrow(pool, "three")
    assert sorted(pool.loaded()) == ["three", "two"]


def test_what_cannot_fit_is_refused_before_loading():
    loader = Loader()
    with pytest.raises(Problem, match="needs about"):
        borrow(make_pool(loader, "one", budget=0.5), "one")
    assert loader.calls == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "not enough memory"),
        (OSError("no such file"), "missing or damaged"),
        (KeyError("x"), "could not be loaded"),
        (Problem("A sentence."), "A sentence"),
    ],
)
def test_a_failed_load_is_a_sentence_and_can_be_tried_again(failure, words):
    loader = Loader()
    loader.failure = failure
    pool = make_pool(loader, "one")
    with pytest.raises(Problem, match=words):
        borrow(pool, "one")
    assert pool.loaded() == []
    loader.failure = None
    assert borrow(pool, "one").model.card.id == "one"


def test_cancel_stops_waiting_at_once_and_drops_the_load():
    loader = Loader()
    loader.go.clear()
    pool = make_pool(loader, "one")
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    start = time.monotonic()
    with pytest.raises(Problem, match="Stopped"):
        list(pool.borrow("one", cancel))
    assert time.monotonic() - start < 2
    loader.go.set()
    for _ in range(100):
        if loader.models and loader.models[0].closed:
            break
        time.sleep(0.05)
    assert loader.models[0].closed and pool.loaded() == []


def test_one_reader_leaving_does_not_stop_the_other():
    loader = Loader()
    loader.go.clear()
    pool = make_pool(loader, "one")
    leaving, staying = pool.borrow("one"), pool.borrow("one")
    assert isinstance(next(leaving), Progress) and isinstance(next(staying), Progress)
    leaving.close()
    loader.go.set()
    *_, lease = staying
    assert not lease.model.closed


def test_memory_that_others_took_is_noticed_before_loading():
    loader = Loader()
    pool = Pool(make_catalog("one"), MACHINE, load=loader, read_free=lambda device: 1_000_000)
    with pytest.raises(Problem, match=r"needs .* of memory and 1 MB are free now; close other programs"):
        borrow(pool, "one")
    assert loader.calls == []


def test_an_idle_model_can_be_dropped_but_one_in_use_cannot():
    loader = Loader()
    pool = make_pool(loader, "one")
    lease = borrow(pool, "one")
    pool.drop("one")
    assert pool.is_loaded("one")
    lease.release()
    pool.drop("one")
    assert not pool.is_loaded("one") and loader.models[0].closed


def test_what_does_not_fit_names_what_does():
    cards = [
        make_card("large", 10**9, repo="o/large", capabilities=["chat", "ground"]),
        make_card("middle", 10**7, repo="o/middle", capabilities=["chat"]),
        make_card("small", 10**6, repo="o/small", capabilities=["chat"]),
        make_card("other", 10**7, repo="o/other", capabilities=["attention"]),
    ]
    plan = Pool(Catalog(cards), MACHINE, budget_bytes=10**9, load=Loader()).plan(cards[0])
    assert not plan.fits and plan.reason.endswith("choose Middle, which fits, or raise --budget.")


def test_unknown_checkpoint_names_the_nearest():
    with pytest.raises(Problem, match="did you mean 'one'"):
        borrow(Pool(Catalog([make_card("one")]), MACHINE, load=Loader()), "onee")


def test_one_checkpoint_in_two_precisions_is_two_models():
    loader = Loader()
    pool = Pool(Catalog([make_card("one")]), MACHINE, budget_bytes=10**9, load=loader)
    borrow(pool, "one"), borrow(pool, "one@nf4")
    assert loader.calls == ["one", "one@nf4"] and pool.loaded() == ["one", "one@nf4"]
