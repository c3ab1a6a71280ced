"""What is in the local cache, whether there is a network, and fetching with progress. Never prints a token."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")  # else transformers asks a conversion service

from patchwork.catalog import Card
from patchwork.download import (
    POINTER,
    WEIGHTS,
    Cancelled,
    Damaged,
    Listing,
    Report,
    download,
    find_endpoint,
    link,
    list_files,
)
from patchwork.errors import Problem
from patchwork.plan import estimate_download, format_bytes

PATIENCE = 2.0
REMEMBERED = 30.0
NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
OLDER = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
_checked: dict[str, tuple[float, bool]] = {}


def is_cached(card: Card) -> bool:
    """Whether the checkpoint's configuration and all its weights lie on this machine; asks no network."""
    if card.bundled or card.host or Path(card.repo).is_dir():
        return True
    if find_cached(card, "config.json") is None:
        return False
    return any(has_weights(card, name) for name in NAMES)


def find_cached(card: Card, name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(card.repo, name, revision=card.revision)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) and Path(found).exists() else None


def has_weights(card: Card, name: str) -> bool:
    """One file of weights, or an index with every part that it names (a broken download leaves some out)."""
    path = find_cached(card, name)
    if path is None or not name.endswith(".index.json"):
        return path is not None
    try:
        parts = set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError):
        return False
    return all(find_cached(card, part) is not None for part in parts)


def is_reachable(now: Callable[[], float] = time.monotonic) -> bool:
    """Whether the hub accepts a connection within two seconds; the answer is remembered for half a minute."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    endpoint = find_endpoint()
    when, answer = _checked.get(endpoint, (-1e9, False))
    if now() - when < REMEMBERED:
        return answer
    _checked[endpoint] = (now(), try_connection(endpoint))
    return _checked[endpoint][1]


def try_connection(endpoint: str) -> bool:
    """Looking up a name has no time limit of its own, so the attempt runs beside and is given up after two seconds."""
    address = urlparse(find_proxy(endpoint) or endpoint)
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


def find_proxy(endpoint: str) -> str | None:
    """Behind a proxy the hub itself cannot be connected to, but the proxy can."""
    address = urlparse(endpoint)
    if urllib.request.proxy_bypass(address.hostname or ""):
        return None
    return urllib.request.getproxies().get(address.scheme)


def fetch(card: Card, report: Report, cancel: threading.Event, offline: bool = False) -> None:
    """Bring a checkpoint into the cache; a broken download goes on where it stopped. Raises `Problem`."""
    refuse_placeholders(card)
    if is_cached(card):
        return
    if offline or not is_reachable():
        raise Problem(f"{card.title} is not on this machine and there is no network; choose one that is here already.")
    try:
        report(f"Asking the hub for {card.title}", None)
        listing = list_weights(card)
        if listing.repo != card.repo:
            report(f"{card.title} has moved to {listing.repo}", None)
        download(card.repo, listing, card.title, report, cancel)
        link(card.repo, card.revision, tuple(remote.name for remote in listing.files))
    except Cancelled:
        raise Problem("Stopped. What was downloaded is kept; the next try goes on from there.") from None
    except Problem:
        raise
    except Exception as error:
        raise Problem(explain_failure(card, error)) from error
    if not is_cached(card):
        raise Problem(f"{card.repo} on the hub holds no weights that can be read here; choose another checkpoint.")


def list_weights(card: Card) -> Listing:
    """The card's files; where there are no safetensors among them, the older `.bin` too, whatever the card says."""
    listing = list_files(card.repo, card.revision, card.files)
    if any(remote.name.endswith(WEIGHTS) for remote in listing.files):
        return listing
    return list_files(card.repo, card.revision, (*card.files, *OLDER))


def refuse_placeholders(card: Card) -> None:
    """A clone made without Git LFS holds small text files in place of the weights."""
    if card.bundled or card.host or not Path(card.repo).is_dir():
        return
    for path in [*Path(card.repo).glob("*.safetensors"), *Path(card.repo).glob("*.bin")]:
        if path.read_bytes()[: len(POINTER)] == POINTER if path.stat().st_size < 1024 else False:
            raise Problem(
                f"{path.name} of {card.title} is a placeholder (a Git LFS pointer), not the weights; "
                f"run `git lfs pull` in {card.repo}."
            )


def explain_failure(card: Card, error: Exception) -> str:
    """One sentence with a way out for each way in which a download fails. Never quotes the error: it may hold a key."""
    from huggingface_hub import errors

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    page = f"{find_endpoint()}/{card.repo}"
    if isinstance(error, errors.GatedRepoError) or (card.gated and status in (401, 403)):
        return f"{card.title} asks you to accept its licence first: do so at {page}, then run `hf auth login`."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"The version of {card.title} that is wanted here is no longer at {page}; choose another checkpoint."
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return f"{card.title} is not at {page} (removed, renamed or private); choose another checkpoint."
    if status in (401, 403):
        return "The hub refuses this machine's access token; run `hf auth login` with a valid one, or `hf auth logout`."
    if status == 429:
        return f"The hub asks for a pause (too many requests); try again {say_when(response)}."
    if status and status >= 500:
        return f"The hub has a fault of its own (error {status}); try again later or choose the bundled model."
    if isinstance(error, OSError) and error.errno == 28:
        return f"The disk is full: {card.title} needs {format_bytes(estimate_download(card))}; make room and try again."
    if isinstance(error, PermissionError):
        return "The cache folder cannot be written; set HF_HOME to a folder of yours and try again."
    if isinstance(error, Damaged):
        return f"A file of {card.title} arrived damaged and was thrown away; try again."
    return f"The download of {card.title} broke off; try again, it goes on from where it stopped."


def say_when(response: object) -> str:
    """The pause that the hub names, where it does."""
    seconds = getattr(response, "headers", {}).get("Retry-After", "")
    return f"in {-(-int(seconds) // 60)} min" if seconds.isdigit() and int(seconds) > 90 else "in a few minutes"
