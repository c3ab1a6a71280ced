"""A stand-in for the Hugging Face hub on loopback: the part of its API that downloads use, and its ways to fail.

It serves folders as repositories. `Behaviour` says what goes wrong; `requests` remembers what was asked, so that a test
can tell which bytes were sent twice and who saw a token.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

LARGE = (".safetensors", ".bin", ".model")  # what the hub keeps in LFS
COMMIT = "c0ffee" + "0" * 34
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
PIECE = 4096


@dataclass
class Behaviour:
    """`cut`: the connection is closed at this byte of a weights file, `cuts` times. `stall`: it goes silent there
    instead, until `release` is set. `status`: every answer is this error. `gated`, `pointer`, `no_range`: as
    they say. `moved`: old name → new name. `damage`: the last byte of the weights is wrong. `slow`: each piece waits
    for one release of `steps`."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    pointer: bool = False
    damage: bool = False
    no_range: bool = False
    cut: int | None = None
    cuts: int = 0
    stall: bool = False
    release: threading.Event = field(default_factory=threading.Event)
    steps: threading.Semaphore | None = None
    moved: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    range: str
    token: str


class StandIn:
    """`repos`: name → folder. `url` goes into HF_ENDPOINT."""

    def __init__(self, repos: dict[str, Path]) -> None:
        self.repos, self.behaviour = repos, Behaviour()
        self.requests: list[Asked] = []
        stand_in = self

        class Handler(HubHandler):
            hub = stand_in

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def behave(self, **changes: object) -> Behaviour:
        self.behaviour = Behaviour(**changes)
        self.requests.clear()
        return self.behaviour

    def fetched(self) -> set[str]:
        """Names of the files whose content was asked for."""
        return {one.path.split("/", 5)[5] for one in self.requests if one.method == "GET" and "/resolve/" in one.path}

    def read(self, repo: str, name: str) -> bytes:
        content = (self.repos[repo] / name).read_bytes()
        if name.endswith(LARGE) and self.behaviour.pointer:
            return POINTER
        return content


@contextmanager
def serve(repos: dict[str, Path]) -> Iterator[StandIn]:
    hub = StandIn(repos)
    worker = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    worker.start()
    try:
        yield hub
    finally:
        hub.behaviour.release.set()
        hub.server.shutdown()
        hub.server.server_close()


class HubHandler(BaseHTTPRequestHandler):
    """GET /api/models/NAME[/revision/R | /tree/R], and HEAD or GET /NAME/resolve/R/FILE."""

    hub: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlparse(self.path).path)
        seen = Asked(self.command, path, self.headers.get("Range", ""), self.headers.get("Authorization", ""))
        self.hub.requests.append(seen)
        behaviour = self.hub.behaviour
        if behaviour.status:
            return self.refuse(behaviour.status, "", **behaviour.headers)
        kind, repo, rest = self.split(path)
        if repo in behaviour.moved:
            return self.send(307, b"", Location=self.path.replace(repo, behaviour.moved[repo], 1))
        if repo not in self.hub.repos:
            return self.refuse(404, "RepoNotFound")
        if kind == "api":
            return self.describe(repo, rest)
        if behaviour.gated:
            return self.refuse(401, "GatedRepo")
        return self.give(repo, rest[-1])

    def split(self, path: str) -> tuple[str, str, list[str]]:
        """("api" or "file", owner/name, what follows)."""
        if path.startswith("/api/models/"):
            parts = path.removeprefix("/api/models/").split("/", 3)
            return "api", "/".join(parts[:2]), parts[2:]
        parts = path.lstrip("/").split("/", 4)  # owner, name, "resolve", revision, file
        return "file", "/".join(parts[:2]), parts[2:]

    def describe(self, repo: str, rest: list[str]) -> None:
        files = [self.list_file(repo, path) for path in sorted(self.hub.repos[repo].rglob("*")) if path.is_file()]
        if rest[:1] == ["tree"]:
            return self.send_json([{"type": "file", "path": one.pop("rfilename")} | self.as_tree(one) for one in files])
        self.send_json({"id": repo, "sha": COMMIT, "private": False, "gated": False, "siblings": files})

    def list_file(self, repo: str, path: Path) -> dict:
        name = path.relative_to(self.hub.repos[repo]).as_posix()
        content = self.hub.read(repo, name)
        listed = {"rfilename": name, "size": len(content), "blobId": hash_blob(content)}
        if self.is_large(name):
            digest = hashlib.sha256(content).hexdigest()
            listed["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
        return listed

    def as_tree(self, listed: dict) -> dict:
        """The tree's words for the same facts."""
        lfs = {"lfs": {"oid": listed["lfs"]["sha256"], **listed["lfs"]}} if "lfs" in listed else {}
        return {"size": listed["size"], "oid": listed["blobId"], **lfs}

    def is_large(self, name: str) -> bool:
        return name.endswith(LARGE) and not self.hub.behaviour.pointer

    def give(self, repo: str, name: str) -> None:
        if not (self.hub.repos[repo] / name).is_file():
            return self.refuse(404, "EntryNotFound")
        content = self.hub.read(repo, name)
        digest = hashlib.sha256(content).hexdigest() if self.is_large(name) else hash_blob(content)
        if self.hub.behaviour.damage and self.is_large(name):
            content = content[:-1] + bytes([content[-1] ^ 1])
        first, total = self.find_first(), len(content)
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        self.send(206 if first else 200, content[first:], first if self.is_large(name) else None, **headers)

    def find_first(self) -> int:
        words = self.headers.get("Range", "")
        return 0 if self.hub.behaviour.no_range or not words else int(words.removeprefix("bytes=").split("-")[0])

    def send_json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode(), **{"Content-Type": "application/json"})

    def refuse(self, status: int, code: str, **headers: str) -> None:
        self.send(status, b"{}", **({"X-Error-Code": code} if code else {}), **headers)

    def send(self, status: int, content: bytes, first: int | None = None, **headers: str) -> None:
        """`first`: the place of `content` in a weights file, where breaks happen; None for everything else."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self.write(content, self.hub.behaviour, first)
        except OSError:  # the client has left
            self.close_connection = True

    def write(self, content: bytes, behaviour: Behaviour, first: int | None) -> None:
        for start in range(0, len(content), PIECE):
            if first is not None and behaviour.steps is not None:
                behaviour.steps.acquire(timeout=30)
            if first is not None and behaviour.cuts and behaviour.cut is not None and first + start >= behaviour.cut:
                behaviour.cuts -= 1
                if behaviour.stall:
                    self.wfile.flush()
                    behaviour.release.wait(30)
                self.close_connection = True
                return
            self.wfile.write(content[start : start + PIECE])


def hash_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
