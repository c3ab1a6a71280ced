"""A repository's files → the hub client's own cache: resumed, checked, stoppable. Knows no card and no page.

The hub client drops what it has of a file when a download breaks off, so the bytes are brought here; where a finished
file belongs, and the links that `from_pretrained` follows, stay the client's own work.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from patchwork.errors import Problem
from patchwork.plan import format_bytes

Report = Callable[[str, float | None], None]

ANSWER = 10.0  # seconds for the list of files
STALL = 10.0  # seconds without a byte, after which the connection is made anew
TRIES = 5  # in a row without a byte
PAUSE = 1.0  # seconds before the next try; twice as long each time
CHUNK = 1 << 20
SPARE = 200_000_000  # bytes of disk that a download leaves free
POINTER = b"version https://git-lfs"
WEIGHTS = (".safetensors", ".bin")


class Cancelled(Exception):
    """Raised inside a download when the reader pressed Stop."""


class Damaged(Exception):
    """What arrived is not what the hub lists."""


@dataclass(frozen=True)
class RemoteFile:
    """`digest` is the SHA-256 of the content (`lfs`), or git's SHA-1 of it; the cache names its files so."""

    name: str
    size: int
    digest: str
    lfs: bool


@dataclass(frozen=True)
class Listing:
    """`repo` is the repository's name today; it differs from the one asked for when the hub has renamed it."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]


@dataclass
class Meter:
    """Bytes so far → sentences with pace and time left, a few a second at most."""

    title: str
    total: int
    report: Report
    done: int = 0
    start: float = field(default_factory=time.monotonic)
    fetched: int = 0
    told: float = 0.0

    def add(self, count: int) -> None:
        self.done += count
        self.fetched += count
        now = time.monotonic()
        if now - self.told >= 0.2 or self.done >= self.total:
            self.told = now
            self.report(self.sentence(now - self.start), self.share())

    def take_back(self, count: int) -> None:
        """Bytes that have to come once more."""
        self.done -= count

    def share(self) -> float:
        return min(1.0, max(0.0, self.done / self.total)) if self.total else 1.0

    def sentence(self, seconds: float) -> str:
        words = f"Downloading {self.title}: {format_bytes(self.done)} of {format_bytes(self.total)}"
        if seconds < 2 or not self.fetched:
            return words
        pace = self.fetched / seconds
        return f"{words}, {format_bytes(int(pace))}/s, {format_seconds((self.total - self.done) / pace)} left"


def format_seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def find_endpoint() -> str:
    """The hub, or a mirror of it, that `HF_ENDPOINT` names."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def list_files(repo: str, revision: str | None, patterns: tuple[str, ...]) -> Listing:
    """One request. Raises what the hub client raises."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import filter_repo_objects

    info = HfApi(endpoint=find_endpoint()).model_info(repo, revision=revision, files_metadata=True, timeout=ANSWER)
    known = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    files = []
    for name in filter_repo_objects(sorted(known), allow_patterns=list(patterns)):
        one = known[name]
        digest = one.lfs.sha256 if one.lfs else one.blob_id
        files.append(RemoteFile(name, one.size or 0, digest or "", bool(one.lfs)))
    return Listing(info.id, info.sha or "", tuple(files))


def find_cache() -> Path:
    """The hub client's cache, whether it is there yet or not."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser()


def find_storage(repo: str) -> Path:
    """The folder of the cache that holds this repository."""
    return find_cache() / ("models--" + repo.replace("/", "--"))


def download(repo: str, listing: Listing, title: str, report: Report, cancel: threading.Event) -> None:
    """Bring every file of the listing into the cache folder of `repo`. A second call goes on where one broke off.

    Raises `Problem` when the disk is too small, `Cancelled`, `Damaged`, and what the hub client raises.
    """
    blobs = find_storage(repo) / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    missing = [remote for remote in listing.files if not (blobs / remote.digest).exists()]
    have = sum(measure(find_partial(blobs, remote)) for remote in missing)
    meter = Meter(title, sum(remote.size for remote in missing), report, done=have)
    require_room(blobs, meter.total - have, title)
    for remote in missing:
        with only_here(blobs, remote):
            download_file(listing, remote, blobs, meter, cancel)


def find_partial(blobs: Path, remote: RemoteFile) -> Path:
    return blobs / f"{remote.digest}.incomplete"


def measure(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def require_room(folder: Path, needed: int, title: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise Problem(
            f"{title} needs {format_bytes(needed)} of disk and {format_bytes(free)} are free; delete checkpoints that "
            "you do not need (`hf cache ls` lists them), or set HF_HOME to a larger disk."
        )


@contextmanager
def only_here(blobs: Path, remote: RemoteFile) -> Iterator[None]:
    """Two programs must not write one file: the same lock that the hub client takes."""
    from filelock import FileLock, Timeout

    path = blobs.parent.parent / ".locks" / blobs.parent.name / f"{remote.digest}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Problem("Another program is downloading this checkpoint now; try again when it has finished.") from None
    try:
        yield
    finally:
        lock.release()


def download_file(listing: Listing, remote: RemoteFile, blobs: Path, meter: Meter, cancel: threading.Event) -> None:
    """Try, and try again after a break; each byte that comes starts the count of tries anew."""
    partial, failures = find_partial(blobs, remote), 0
    while measure(partial) < remote.size:
        before = measure(partial)
        try:
            receive(listing, remote, partial, meter, cancel)
        except Exception as error:
            if not is_passing(error):
                raise
            failures = 1 if measure(partial) > before else failures + 1
            if failures >= TRIES:
                raise
            meter.report(f"The network stalls; trying again ({failures + 1} of {TRIES})", meter.share())
            if cancel.wait(PAUSE * 2 ** (failures - 1)):
                raise Cancelled from None
    partial.touch()  # an empty file is one too
    check(partial, remote, meter)
    os.replace(partial, blobs / remote.digest)


def is_passing(error: Exception) -> bool:
    """A broken or silent connection, or a fault of the hub's, which the next try may not meet."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    broken = any(kind.__name__ == "TransportError" for kind in type(error).__mro__)
    return broken or isinstance(error, Damaged) or status in (500, 502, 503, 504)


def receive(listing: Listing, remote: RemoteFile, partial: Path, meter: Meter, cancel: threading.Event) -> None:
    """One connection: append what comes to the partial file, from its end on where the server allows that."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    have = measure(partial)
    url = hf_hub_url(listing.repo, remote.name, revision=listing.commit, endpoint=find_endpoint())
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with get_session().stream("GET", url, headers=headers, timeout=STALL) as response:
        hf_raise_for_status(response)
        goes_on = response.status_code == 206
        if have and not goes_on:
            meter.take_back(have)
        with partial.open("ab" if goes_on else "wb") as file:
            for piece in response.iter_bytes():  # as they come: a break loses nothing that arrived
                if cancel.is_set():
                    raise Cancelled
                file.write(piece)
                meter.add(len(piece))
    if measure(partial) < remote.size:
        raise Damaged(f"{remote.name} ended early")


def check(partial: Path, remote: RemoteFile, meter: Meter) -> None:
    """Compare with the hub's own digest; what differs is thrown away. A placeholder is not weights."""
    with partial.open("rb") as file:
        start = file.read(len(POINTER))
    if remote.name.endswith(WEIGHTS) and start == POINTER:
        partial.unlink()
        raise Problem(
            f"The server sent a placeholder (a Git LFS pointer) in place of {remote.name}; "
            "if HF_ENDPOINT names a mirror, unset it and try again."
        )
    if remote.size > 100 * CHUNK:
        meter.report(f"Checking {remote.name}", meter.share())
    if compute_digest(partial, remote.lfs) != remote.digest:
        partial.unlink()
        raise Damaged(f"{remote.name} differs from what the hub lists")


def compute_digest(path: Path, lfs: bool) -> str:
    """SHA-256, or what `git hash-object` prints."""
    digest = hashlib.sha256() if lfs else hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def link(repo: str, revision: str | None, patterns: tuple[str, ...]) -> str:
    """Let the hub client link the files that are here now; returns the snapshot's folder."""
    from huggingface_hub import snapshot_download
    from tqdm.auto import tqdm

    class Silent(tqdm):
        def __init__(self, *arguments, **options) -> None:
            super().__init__(*arguments, **options | {"disable": True})

    return snapshot_download(
        repo, revision=revision, allow_patterns=list(patterns), tqdm_class=Silent, endpoint=find_endpoint()
    )
