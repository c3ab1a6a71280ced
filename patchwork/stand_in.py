"""A recording that steps in where a live run keeps its audience waiting. Knows no page and no model."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

from patchwork.demo import Event, Progress
from patchwork.recording import Recording, replay

END = object()
LONGEST = 10.0  # seconds that a replay takes at most, however long its run took


def with_stand_in(
    events: Generator[Event], recorded: Recording, patience: float, given_up: threading.Event
) -> Iterator[Event | Recording]:
    """The live events; where only progress came for `patience` seconds, `recorded` itself and then what it holds.

    A thread of its own is the only one that touches `events`, and always closes it: at its end, or at its next event
    after `given_up`, which is set when `recorded` steps in and whenever this iterator ends. Until then, what `events`
    raises is raised here; later nobody waits for it.
    """
    arrived: queue.SimpleQueue = queue.SimpleQueue()
    target = contextvars.copy_context().run
    threading.Thread(target=target, args=(read_live, events, arrived, given_up), daemon=True, name="live run").start()
    try:
        if (yield from pass_on(arrived, patience)):
            given_up.set()
            yield recorded
            yield from play(recorded)
    finally:
        given_up.set()


def read_live(events: Generator[Event], arrived: queue.SimpleQueue, given_up: threading.Event) -> None:
    """Put (when it came, event) for each; last the error that ended the run, or `END`."""
    last: Any = END
    try:
        with closing(events):
            for event in events:
                if given_up.is_set():
                    break
                arrived.put((time.monotonic(), event))
    except BaseException as error:  # raised again where the events are read
        last = error
    arrived.put((time.monotonic(), last))


def pass_on(arrived: queue.SimpleQueue, patience: float) -> Generator[Event, None, bool]:
    """Events as they arrive, to the end (false), or until only progress has come for `patience` seconds (true)."""
    deadline: float | None = time.monotonic() + patience
    while True:
        try:
            came, event = arrived.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return True
        if isinstance(event, BaseException):
            raise event
        if event is END:
            return False
        if not isinstance(event, Progress):
            deadline = None
        elif deadline is not None and came >= deadline:
            return True
        yield event


def play(recorded: Recording) -> Iterator[Event]:
    """All that is more than progress, without the wait before it, at the recorded pace or as fast as `LONGEST` asks."""
    shown = [moment for moment in recorded.moments if not isinstance(moment.event, Progress)]
    start, end = shown[0].after, shown[-1].after
    moments = tuple(moment.model_copy(update={"after": moment.after - start}) for moment in shown)
    yield from replay(recorded.model_copy(update={"moments": moments}), speed=max(1.0, (end - start) / LONGEST))
