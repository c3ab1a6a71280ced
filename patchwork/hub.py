"""What is in the local cache, whether there is a network, and fetching with progress. Never prints a token."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlparse

os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # else transformers asks a conversion service

from patchwork.catalog import Card
from patchwork.errors import Problem
from patchwork.plan import format_bytes

Report = Callable[[str, float | None], None]
PATIENCE = 2.0
REMEMBERED = 30.0
_checked: dict[str, tuple[float, bool]] = {}


def is_cached(card: Card) -> bool:
    """Whether the checkpoint's configuration and weights lie in the cache; asks no network."""
    if card.bundled:
        return True
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    names = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "open_clip_model.safetensors")
    try:
        found = [try_to_load_from_cache(card.repo, name, revision=card.revision) for name in ("config.json", *names)]
    except HFValidationError:
        return False
    return isinstance(found[0], str) and any(isinstance(path, str) for path in found[1:])


def is_reachable(now: Callable[[], float] = time.monotonic) -> bool:
    """Whether the hub accepts a connection within two seconds; the answer is remembered for half a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    when, answer = _checked.get(endpoint, (-1e9, False))
    if now() - when < REMEMBERED:
        return answer
    _checked[endpoint] = (now(), try_connection(endpoint))
    return _checked[endpoint][1]


def try_connection(endpoint: str) -> bool:
    """Looking up a name has no time limit of its own, so the attempt runs beside and is given up after two seconds."""
    address = urlparse(endpoint)
    answer: list[bool] = []

    def connect() -> None:
        try:
            port = address.port or (443 if address.scheme == "https" else 80)
            socket.create_connection((address.hostname, port), timeout=PATIENCE).close()
            answer.append(True)
        except OSError:
            answer.append(False)

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(PATIENCE)
    return bool(answer and answer[0])


def fetch(card: Card, report: Report, cancel: threading.Event, offline: bool = False) -> None:
    """Bring a checkpoint into the cache; a broken download goes on where it stopped. Raises `Problem`."""
    if card.bundled or is_cached(card):
        return
    if offline or not is_reachable():
        raise Problem(f"{card.title} is not on this machine and there is no network; choose the bundled model instead.")
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(
            card.repo,
            revision=card.revision,
            allow_patterns=list(card.files),
            tqdm_class=make_bar(card, report, cancel),
        )
    except Cancelled:
        raise Problem("Stopped. What was downloaded is kept; the next try goes on from there.") from None
    except Exception as error:
        raise Problem(explain_failure(card, error)) from error


class Cancelled(Exception):
    """Raised inside a download when the reader pressed Stop."""


def make_bar(card: Card, report: Report, cancel: threading.Event):
    """A progress bar class that reports to the page and stops when asked."""
    from tqdm.auto import tqdm

    class Bar(tqdm):
        def update(self, n: float | None = 1):
            if cancel.is_set():
                raise Cancelled
            shown = super().update(n)
            if self.unit == "B" and self.total:
                report(
                    f"Downloading {card.title}: {format_bytes(int(self.n))} of {format_bytes(int(self.total))}",
                    min(1.0, self.n / self.total),
                )
            return shown

        def display(self, *_, **__) -> None:
            """Nothing on the console: the page shows it."""

    return Bar


def explain_failure(card: Card, error: Exception) -> str:
    """One sentence with a way out for each way in which a download fails."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    page = f"https://huggingface.co/{card.repo}"
    if isinstance(error, errors.GatedRepoError) or status in (401, 403):
        return f"{card.title} asks you to accept its licence first: do so at {page}, then run `hf auth login`."
    if isinstance(error, errors.RepositoryNotFoundError | errors.RevisionNotFoundError) or status == 404:
        return f"{card.title} is no longer at {page}; choose another checkpoint."
    if status == 429:
        return "The hub asks for a pause (too many requests); try again in a few minutes."
    if isinstance(error, OSError) and error.errno == 28:
        return f"The disk is full: {card.title} needs {format_bytes(card.download_bytes)}; make room and try again."
    if status and status >= 500:
        return f"The hub has a fault of its own (error {status}); try again later or choose the bundled model."
    return f"The download of {card.title} broke off; try again, it goes on from where it stopped."
