"""One question to a server that speaks OpenAI's chat completions, and its streamed answer. Knows no page and no card.

vLLM, SGLang, Ollama, llama.cpp, `transformers serve` and the hosted families speak it, each with small differences,
which end here. Nothing goes to any other address than the one that was named, and no key is ever quoted.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import queue
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from PIL import Image

from patchwork.address import find_host, is_private, split
from patchwork.errors import Problem
from patchwork.images import bound

LONGEST_SIDE = 1024  # pixels of a picture that is sent
PNG_BYTES = 1_000_000  # a larger picture goes as JPEG
CONNECT, SILENCE, LONGEST = 5.0, 30.0, 300.0  # seconds: for the connection, between two signs of life, in all
MOST_BYTES = 2_000_000  # of one answer
BEAT = 0.5  # seconds after which a reader who waits gets an empty piece, so that they can stop
END = object()


@dataclass(frozen=True)
class Server:
    """Where to ask, for which model, with whose key (never printed)."""

    url: str
    model: str
    key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        return find_host(self.url)


@dataclass(frozen=True)
class Usage:
    """What the server counted, in its own tokens, where it says so; `cut`: it stopped at the limit of tokens."""

    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    cut: bool = False


def ask(server: Server, images: Sequence[Image.Image], prompt: str, most_tokens: int) -> Iterator[str | Usage]:
    """Pieces of the answer as they arrive, then exactly one `Usage`. Raises `Problem`.

    While nothing comes, an empty piece every half second. Closing the iterator closes the connection.
    """
    exchange = Exchange(server, write_request(server, images, prompt, most_tokens))
    threading.Thread(target=exchange.run, daemon=True, name=f"ask {server.host}").start()
    try:
        yield from exchange.read()
    finally:
        exchange.hang_up()


# ---- what is sent


def write_request(server: Server, images: Sequence[Image.Image], prompt: str, most_tokens: int) -> dict[str, Any]:
    pictures = [{"type": "image_url", "image_url": {"url": encode_picture(image)}} for image in images]
    content = [*pictures, {"type": "text", "text": prompt}]
    return {
        "model": server.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": most_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def encode_picture(image: Image.Image) -> str:
    """A data URL of at most `LONGEST_SIDE` pixels a side: PNG, or JPEG where that would be large."""
    small = bound(image, LONGEST_SIDE)
    for kind, options in (("png", {}), ("jpeg", {"quality": 90})):
        buffer = io.BytesIO()
        small.save(buffer, kind, **options)
        if buffer.tell() <= PNG_BYTES:
            break
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()


def write_headers(server: Server) -> dict[str, str]:
    """Raises `Problem` for a key that no header can carry; the library's own error would quote it."""
    headers = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity"}
    if not server.key:
        return headers
    if not re.fullmatch(r"[!-~]{1,512}", server.key):
        raise Problem("The key holds a space, or a sign that keys do not have; copy it again, alone.")
    return headers | {"Authorization": f"Bearer {server.key}"}


def simplify(request: dict[str, Any], refusal: str) -> dict[str, Any] | None:
    """The request without the field that a server says it does not know; None where it names none of these."""
    if "max_completion_tokens" in refusal and "max_tokens" in request:
        rest = {name: value for name, value in request.items() if name != "max_tokens"}
        return rest | {"max_completion_tokens": request["max_tokens"]}
    if "stream_options" in refusal and "stream_options" in request:
        return {name: value for name, value in request.items() if name != "stream_options"}
    return None


# ---- the connection


class Exchange:
    """One request and its answer, read in a thread of its own, so that whoever waits can stop at any time."""

    def __init__(self, server: Server, request: dict[str, Any]) -> None:
        self.server, self.request = server, request
        self.headers = write_headers(server)
        self.arrived: queue.SimpleQueue = queue.SimpleQueue()
        self.closed = threading.Event()
        self.sockets: list[socket.socket] = []

    def read(self) -> Iterator[str | Usage]:
        end = time.monotonic() + LONGEST
        while True:
            try:
                item = self.arrived.get(timeout=BEAT)
            except queue.Empty:
                item = ""
            if item is END:
                return
            if isinstance(item, BaseException):
                raise item
            if time.monotonic() > end:
                raise Problem(
                    f"{self.server.host} was still writing after {LONGEST:.0f} s; ask for less, or try again."
                )
            yield item

    def run(self) -> None:
        """Whatever happens ends in `arrived`; after `hang_up` nobody reads it."""
        try:
            for item in self.converse():
                if self.closed.is_set():
                    return
                self.arrived.put(item)
            self.arrived.put(END)
        except httpx.HTTPError as error:
            self.arrived.put(explain_failure(self.server, error))
        except Exception as error:  # raised again where the answer is read
            self.arrived.put(error)

    def hang_up(self) -> None:
        """A thread that waits for bytes is woken only by a shutdown of its socket."""
        self.closed.set()
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def note(self, event: str, facts: dict[str, Any]) -> None:
        """Told by the library what it does: keep the socket, and leave if the reader has gone meanwhile."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self.sockets.append(facts["return_value"].get_extra_info("socket"))
            if self.closed.is_set():
                self.hang_up()

    def converse(self) -> Iterator[str | Usage]:
        """Environment settings (a proxy, certificates) count only for the open network."""
        times = httpx.Timeout(SILENCE, connect=CONNECT)
        everywhere = not is_private(split(self.server.url).hostname or "")
        request: dict[str, Any] | None = self.request
        with httpx.Client(timeout=times, follow_redirects=False, trust_env=everywhere) as client:
            while request is not None:
                with client.stream(
                    "POST",
                    f"{self.server.url}/chat/completions",
                    json=request,
                    headers=self.headers,
                    extensions={"trace": self.note},
                ) as response:
                    if response.status_code == 200:
                        return (yield from read_answer(self.server, response))
                    refused = response.status_code in (400, 422)
                    request = simplify(request, read_refusal(response)) if refused else None
                    if request is None:
                        raise explain_status(self.server, response)


def read_refusal(response: httpx.Response) -> str:
    """The beginning of what the server says; only searched for names of fields, never shown."""
    for piece in response.iter_raw(4096):
        return piece.decode("utf-8", "replace")
    return ""


# ---- what comes back


def read_answer(server: Server, response: httpx.Response) -> Iterator[str | Usage]:
    """A stream of events, or one plain JSON answer from a server that does not stream."""
    kind = response.headers.get("content-type", "").lower()
    if "text/event-stream" in kind:
        yield from read_stream(server, response)
    elif "json" in kind:
        whole = read_json(server, b"".join(limit(server, response)))
        text, finished = read_choice(server, whole, "message")
        yield text
        yield read_usage(whole, finished)
    else:
        raise Problem(
            f"{server.host} sent something other than an answer, perhaps a web page; check that its address leads to "
            "an OpenAI-compatible server, which often ends in /v1."
        )


def read_stream(server: Server, response: httpx.Response) -> Iterator[str | Usage]:
    usage, finished = Usage(), ""
    for data in split_events(limit(server, response)):
        if data == b"[DONE]":
            finished = finished or "stop"
            break
        chunk = read_json(server, data)
        text, reason = read_choice(server, chunk, "delta")
        finished = reason or finished
        usage = read_usage(chunk, finished, usage)
        if text:
            yield text
    if not finished:
        raise Problem(f"{server.host} broke off in the middle of its answer; try again.")
    yield usage


def limit(server: Server, response: httpx.Response) -> Iterator[bytes]:
    """The bytes as they come, until they are too many."""
    count = 0
    for piece in response.iter_raw():
        count += len(piece)
        if count > MOST_BYTES:
            raise Problem(f"{server.host} sent more than {MOST_BYTES // 1_000_000} MB; ask for a shorter answer.")
        yield piece


def split_events(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Server-sent events: the data of each, its lines joined; comments and other fields are left out."""
    data: list[bytes] = []
    for line in split_lines(pieces):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []
    if data:
        yield b"\n".join(data)


def split_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        yield from (line.removesuffix(b"\r") for line in lines)
    yield rest.removesuffix(b"\r")


def read_json(server: Server, data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Problem(f"{server.host} sent an answer that cannot be read, or only a part of one; try again.")
    if found.get("error"):
        raise Problem(f"{server.host} reports a fault of its own instead of an answer; try again later.")
    return found


def read_choice(server: Server, found: dict[str, Any], name: str) -> tuple[str, str]:
    """(text, why it ended) of the first choice; both may be missing or null in a piece of a stream."""
    try:
        choice = (found.get("choices") or [{}])[0]
        text, reason = (choice.get(name) or {}).get("content"), choice.get("finish_reason")
    except (AttributeError, KeyError, TypeError):
        raise Problem(f"{server.host} sent an answer of a form that is not known here; try another server.") from None
    return text if isinstance(text, str) else "", reason if isinstance(reason, str) else ""


def read_usage(found: dict[str, Any], finished: str, before: Usage | None = None) -> Usage:
    counts = found.get("usage") if isinstance(found.get("usage"), dict) else {}
    before = before or Usage()
    return Usage(
        read_count(counts.get("prompt_tokens"), before.prompt_tokens),
        read_count(counts.get("completion_tokens"), before.answer_tokens),
        finished == "length",
    )


def read_count(value: Any, before: int | None) -> int | None:
    return value if isinstance(value, int) and value >= 0 else before


# ---- what goes wrong: never quotes the server, whose words may hold a key


def explain_failure(server: Server, error: httpx.HTTPError) -> Problem:
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return Problem(f"{server.host} cannot be reached; check that the server runs, or choose another model.")
    if isinstance(error, httpx.TimeoutException):
        return Problem(f"{server.host} has sent nothing for {SILENCE:.0f} s; try again, or choose another model.")
    return Problem(f"The connection to {server.host} broke off; try again.")


def explain_status(server: Server, response: httpx.Response) -> Problem:
    """One sentence for each way in which a server refuses."""
    host, model, status = server.host, server.model, response.status_code
    if 300 <= status < 400:
        return Problem(
            f"{host} sends the question on to another address, which is never followed; choose another model."
        )
    if status == 401:
        return Problem(
            f"{host} does not accept this key; check it and type it again."
            if server.key
            else f"{host} asks for a key; type yours in its field."
        )
    known = {
        402: f"{host} asks for a payment first; see your account there, or choose another model.",
        403: f"{host} does not allow this; use a key that may ask {model}, or choose another model.",
        404: f"{host} knows no model {model} at this address; whoever runs this page should check both.",
        413: f"The picture is too large for {host}; choose a smaller one.",
        429: f"{host} asks for a pause (too many requests); try again {say_when(response)}.",
    }
    if status in known:
        return Problem(known[status])
    if status >= 500:
        return Problem(f"{host} has a fault of its own (error {status}); try again later, or choose another model.")
    return Problem(f"{host} refuses this question (error {status}); perhaps {model} takes no pictures, so try another.")


def say_when(response: httpx.Response) -> str:
    """The pause that the server names, where it does, in seconds or minutes."""
    seconds = response.headers.get("retry-after", "")
    if not re.fullmatch(r"\d{1,6}", seconds):
        return "in a few minutes"
    return f"in {int(seconds)} s" if int(seconds) <= 90 else f"in {-(-int(seconds) // 60)} min"
