"""One live run: borrow the model, run the demo, give the model back. The page and the API both come through here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from patchwork.demo import Event, Progress, Result
from patchwork.errors import Problem
from patchwork.pool import is_out_of_memory
from patchwork.stand_in import with_stand_in

if TYPE_CHECKING:
    from patchwork.demo import Data, Demo
    from patchwork.pool import Lease, Pool
    from patchwork.recording import Recording

log = logging.getLogger(__name__)


def run_live(
    demo: Demo, inputs: Data, pool: Pool, card_id: str, cancel: threading.Event | None = None
) -> Generator[Event]:
    """Progress while loading, then the demo's events; the last is its `Result`. Raises only `Problem`.

    Closing the iterator stops the run and gives the model back. `cancel` stops the wait for the model at once.
    """
    card = pool.catalog.get(card_id)
    if card.host and not getattr(demo, "REMOTE", False):
        raise Problem(f"{card.title} answers from a server, which this panel does not ask; choose one that runs here.")
    missing = frozenset(demo.NEEDS) - card.capabilities
    if missing:
        raise Problem(f"This checkpoint cannot do that (it lacks: {', '.join(sorted(missing))}); choose another one.")
    lease: Lease | None = None
    drop = False
    try:
        for step in pool.borrow(card_id, cancel):
            if isinstance(step, Progress):
                yield step
            else:
                lease = step
        yield from watch(demo.run(inputs, lease.model), demo)
    except Problem:
        raise
    except Exception as error:
        log.exception("the demo %s failed", demo.NAME)
        drop = is_out_of_memory(error)
        raise explain_run(error) from error
    finally:
        if lease is not None:
            lease.release()
        if drop:
            pool.drop(card_id)  # so that the next, smaller try has its memory


def run_or_replay(
    demo: Demo, inputs: Data, pool: Pool, card_id: str, recorded: Recording | None, patience: float
) -> Iterator[Event | Recording]:
    """`run_live`, or `recorded`, if given, and what it holds where only progress was shown for `patience` seconds."""
    if recorded is None:
        return run_live(demo, inputs, pool, card_id)
    given_up = threading.Event()
    return with_stand_in(run_live(demo, inputs, pool, card_id, given_up), recorded, patience, given_up)


def watch(events: Iterator[Event], demo: Demo) -> Iterator[Event]:
    """Pass events on; a run that ends without its result is a bug in the demo, and said to be one."""
    last = None
    try:
        for last in events:
            yield last
    finally:
        close = getattr(events, "close", None)
        if close:
            close()
    if not isinstance(last, Result):
        raise RuntimeError(f"{demo.NAME} ended without a result")


def explain_run(error: Exception) -> Problem:
    if is_out_of_memory(error):
        return Problem("There was not enough memory for this run; use a smaller picture or a smaller checkpoint.")
    return Problem(
        f"The model failed on this input ({type(error).__name__}); change the picture or the text and try again."
    )
