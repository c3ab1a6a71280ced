"""Loaded models under one memory budget: lazy, shared, leased, least recently used goes first."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from patchwork.demo import Progress
from patchwork.errors import Problem
from patchwork.hardware import read_free
from patchwork.hub import fetch, is_cached
from patchwork.plan import Plan, allow_memory, format_bytes, make_plan, suggest_instead

if TYPE_CHECKING:
    from patchwork.catalog import Card, Catalog
    from patchwork.families.protocol import Model, Report
    from patchwork.hardware import Hardware


@dataclass
class Seat:
    """One model in the pool: being loaded (`model` is None), or loaded with `leases` users."""

    plan: Plan
    model: Model | None = None
    problem: Problem | None = None
    leases: int = 0
    used: float = 0.0
    ready: threading.Event = field(default_factory=threading.Event)
    cancel: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    news: tuple[str, float | None] = ("Loading", None)


class Lease:
    """`with lease as model:` keeps the model from being evicted."""

    def __init__(self, pool: Pool, seat: Seat) -> None:
        self.pool, self.seat, self.open = pool, seat, True

    @property
    def model(self) -> Model:
        return self.seat.model

    @property
    def plan(self) -> Plan:
        return self.seat.plan

    def release(self) -> None:
        """Give it back; a second call does nothing."""
        if self.open:
            self.open = False
            self.pool.give_back(self.seat)

    def __enter__(self) -> Model:
        return self.seat.model

    def __exit__(self, *_) -> None:
        self.release()


def load_with_family(card: Card, plan: Plan, report: Report) -> Model:
    from patchwork.families import get_family

    return get_family(card.family).load(card, plan, report)


class Pool:
    """Thread-safe. `budget_bytes` bounds the expected memory of all models together (default 60 % of what is free)."""

    def __init__(
        self,
        catalog: Catalog,
        hardware: Hardware,
        budget_bytes: int | None = None,
        offline: bool = False,
        load: Callable[[Card, Plan, Report], Model] = load_with_family,
        read_free: Callable[[str], int] = read_free,
    ) -> None:
        self.catalog, self.hardware, self.offline = catalog, hardware, offline
        self.budget_bytes = budget_bytes if budget_bytes is not None else allow_memory(hardware)
        self._load, self._read_free = load, read_free
        self._seats: dict[str, Seat] = {}
        self._lock = threading.Lock()

    def plan(self, card: Card) -> Plan:
        """What loading it would mean; where it does not fit, the reason names one that does."""
        plan = make_plan(card, self.hardware, self.budget_bytes, cached=is_cached(card))
        if plan.fits:
            return plan
        others = ((other, make_plan(other, self.hardware, self.budget_bytes)) for other in self.catalog.cards)
        return suggest_instead(plan, card, others)

    def loaded(self) -> list[str]:
        with self._lock:
            return [card_id for card_id, seat in self._seats.items() if seat.model is not None]

    def is_loaded(self, card_id: str) -> bool:
        return card_id in self.loaded()

    def borrow(self, card_id: str, cancel: threading.Event | None = None) -> Iterator[Progress | Lease]:
        """Progress while the model loads, then exactly one `Lease`. Raises `Problem`.

        Readers who ask for a model that is already being loaded wait for that one load. Closing the iterator, or
        setting `cancel`, stops the load when nobody else waits for it.
        """
        card = self.catalog.get(card_id)
        while (stopped := self._find_stopped(card)) is not None:
            yield Progress(message="The load that was stopped is ending")
            stopped.ready.wait(0.5)
            if cancel is not None and cancel.is_set():
                raise Problem("Stopped before the model was ready.")
        seat = self._take_seat(card)
        try:
            told = None
            while not seat.ready.wait(0.05):
                if cancel is not None and cancel.is_set():
                    raise Problem("Stopped before the model was ready.")
                if seat.news != told:
                    told = seat.news
                    yield Progress(message=told[0], fraction=told[1])
        except BaseException:
            self._leave(seat)
            raise
        yield self._sit_down(seat)

    def _find_stopped(self, card: Card) -> Seat | None:
        """A load that was stopped and has not ended yet: whoever joined it would be told "stopped" too."""
        with self._lock:
            seat = self._seats.get(card.id)
            return seat if seat is not None and seat.cancel.is_set() and not seat.ready.is_set() else None

    def _take_seat(self, card: Card) -> Seat:
        with self._lock:
            seat = self._seats.get(card.id)
            if seat is None or seat.problem is not None:
                plan = self.plan(card)
                self._make_room(card, plan)
                seat = self._seats[card.id] = Seat(plan, news=(f"Loading {card.title}", None))
                threading.Thread(target=self._fill, args=(card, seat), daemon=True, name=f"load {card.id}").start()
            seat.waiting += 1
            return seat

    def _make_room(self, card: Card, plan: Plan) -> None:
        """Evict idle models, longest unused first, until the plan fits; refuse before anything is allocated."""
        if not plan.fits:
            raise Problem(plan.reason)
        idle = sorted(
            (
                item
                for item in self._seats.items()
                if item[1].model is not None and not item[1].leases and not item[1].waiting
            ),
            key=lambda item: item[1].used,
        )
        while self._used() + plan.held_bytes > self.budget_bytes:
            if not idle:
                raise Problem(
                    f"{card.title} needs {format_bytes(plan.held_bytes)}, but the models in use now leave no room; "
                    "try again when their runs have ended."
                )
            self._evict(idle.pop(0)[0])

    def _require_free(self, card: Card, plan: Plan) -> None:
        """The budget was set at the start; other programs may have grown since. Pages of files can be dropped."""
        free = self._read_free(plan.device)
        if plan.anonymous_bytes > free:
            raise Problem(
                f"{card.title} needs {format_bytes(plan.anonymous_bytes)} of memory and {format_bytes(free)} are free "
                "now; close other programs, or choose a smaller checkpoint."
            )

    def drop(self, card_id: str) -> None:
        """Give an idle model's memory back now; one in use stays."""
        with self._lock:
            seat = self._seats.get(card_id)
            if seat is not None and seat.ready.is_set() and not seat.leases and not seat.waiting:
                self._evict(card_id)

    def _used(self) -> int:
        return sum(seat.plan.held_bytes for seat in self._seats.values() if seat.problem is None)

    def _evict(self, card_id: str) -> None:
        seat = self._seats.pop(card_id)
        if seat.model is not None:
            seat.model.close()
        seat.model = None
        release_memory()

    def _fill(self, card: Card, seat: Seat) -> None:
        """In a thread of its own: fetch and load; whatever goes wrong becomes one sentence."""

        def report(message: str, fraction: float | None = None) -> None:
            seat.news = (message, fraction)

        try:
            fetch(card, report, seat.cancel, self.offline)
            self._require_free(card, seat.plan)
            if not card.host:
                report(f"Loading {card.title} in {seat.plan.precision} on {seat.plan.device}")
            model = self._load(card, seat.plan, report)
            if seat.cancel.is_set():
                model.close()
                raise Problem("Stopped before the model was ready.")
            seat.model = model
        except Problem as problem:
            seat.problem = problem
        except BaseException as error:  # a thread must not die with its readers waiting
            seat.problem = explain_load(card, error)
        finally:
            if seat.problem is not None:
                with self._lock:
                    if self._seats.get(card.id) is seat:
                        del self._seats[card.id]
                release_memory()
            seat.used = time.monotonic()
            seat.ready.set()

    def _sit_down(self, seat: Seat) -> Lease:
        with self._lock:
            seat.waiting -= 1
            if seat.problem is not None:
                raise Problem(str(seat.problem))
            seat.leases += 1
            seat.used = time.monotonic()
        return Lease(self, seat)

    def _leave(self, seat: Seat) -> None:
        with self._lock:
            seat.waiting -= 1
            if not seat.waiting and not seat.leases:
                seat.cancel.set()

    def give_back(self, seat: Seat) -> None:
        with self._lock:
            seat.leases -= 1
            seat.used = time.monotonic()


def explain_load(card: Card, error: BaseException) -> Problem:
    if is_out_of_memory(error):
        return Problem(f"There was not enough memory to load {card.title}; choose a smaller checkpoint.")
    if isinstance(error, FileNotFoundError | OSError):
        return Problem(f"The files of {card.title} are missing or damaged; delete them from the cache and try again.")
    return Problem(f"{card.title} could not be loaded ({type(error).__name__}); choose another checkpoint.")


def is_out_of_memory(error: BaseException) -> bool:
    """Python's, CUDA's and the CPU allocator's ways to say so."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def release_memory() -> None:
    """Collect cycles, empty the accelerator's cache, and hand free pages back to the system (glibc keeps them)."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
