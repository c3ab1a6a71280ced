"""A server that speaks OpenAI's chat completions on this machine; the model's name says how it behaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

from patchwork.catalog import Catalog, read_endpoint
from patchwork.pool import Pool, load_with_family
from tests.fakes import MACHINE, Loader, make_card

WORDS = ("a ", "red ", "stär")
STATUSES = {"e401": 401, "e402": 402, "e403": 403, "e404": 404, "e413": 413, "e429": 429, "e503": 503, "e418": 418}


class Chat(ThreadingHTTPServer):
    """`seen`: (headers, body) of each request; `left`: set when an endless answer lost its reader."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.left, self.go = threading.Event(), threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Readers who leave early are what is tested."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def serve_chat() -> Iterator[Chat]:
    server = Chat()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.go.set()
    server.shutdown()
    server.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Chat

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((dict(self.headers), body))
        name = body["model"].replace("-", "_")
        if name in STATUSES:
            return self.refuse(STATUSES[name], f"your key is {self.headers.get('Authorization')}")
        getattr(self, f"answer_{name}")(body)

    # ---- parts

    def start(self, kind: str, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()

    def send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def send_chunk(self, **found: Any) -> None:
        self.send(f"data: {json.dumps(found)}\n\n")

    def say(self, words: tuple[str, ...] = WORDS) -> None:
        self.send_chunk(choices=[{"delta": {"role": "assistant", "content": None}}])
        for word in words:
            self.send_chunk(choices=[{"delta": {"content": word}, "finish_reason": None}])

    def refuse(self, status: int, words: str) -> None:
        pause = {"Retry_After": "20"} if status == 429 else {}
        self.start("application/json", status, **pause)
        self.send(json.dumps({"error": {"message": words}}))

    # ---- behaviours

    def answer_stream(self, body: dict) -> None:
        self.start("text/event-stream; charset=utf-8")
        self.send(": a comment\n\n")
        self.say()
        self.send_chunk(choices=[{"delta": {}, "finish_reason": "stop"}])
        if body.get("stream_options", {}).get("include_usage"):
            self.send_chunk(choices=[], usage={"prompt_tokens": 70, "completion_tokens": 3})
        self.send("data: [DONE]\n\n")

    def answer_bytes(self, body: dict) -> None:
        """Events in pieces that end anywhere, with carriage returns, and no blank line at the end."""
        self.start("text/event-stream")
        whole = "".join(
            f"event: x\r\ndata:{json.dumps({'choices': [{'delta': {'content': word}}]}, ensure_ascii=False)}\r\n\r\n"
            for word in WORDS
        )
        for byte in (whole + "data: [DONE]").encode():
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def answer_plain(self, body: dict) -> None:
        self.start("application/json")
        choice = {"message": {"content": "".join(WORDS)}, "finish_reason": "length"}
        self.send(json.dumps({"choices": [choice], "usage": {"prompt_tokens": 70, "completion_tokens": 3}}))

    def answer_tired(self, body: dict) -> None:
        """Ten times yes, then it asks for a pause."""
        if sum(one["model"] == "tired" for _, one in self.server.seen) > 10:
            return self.refuse(429, "too many")
        self.start("text/event-stream")
        self.say(("yes",))
        self.send("data: [DONE]\n\n")

    def answer_key(self, body: dict) -> None:
        """Which key asked, after a while, so that two can be in flight."""
        self.start("text/event-stream")
        time.sleep(0.3)
        self.say((self.headers.get("Authorization", "nobody").removeprefix("Bearer ")[-1],))
        self.send("data: [DONE]\n\n")

    def answer_silent(self, body: dict) -> None:
        self.server.go.wait(20)

    def answer_slow(self, body: dict) -> None:
        self.start("text/event-stream")
        self.say(("slow ",))
        self.server.go.wait(20)
        self.say(("but here",))
        self.send("data: [DONE]\n\n")

    def answer_cut(self, body: dict) -> None:
        self.start("text/event-stream")
        self.say()

    def answer_half(self, body: dict) -> None:
        self.start("text/event-stream")
        self.say()
        self.send('data: {"choices": [{"del')

    def answer_fault(self, body: dict) -> None:
        self.start("text/event-stream")
        self.say()
        self.send_chunk(error={"message": f"key {self.headers.get('Authorization')} is out of memory"})

    def answer_odd(self, body: dict) -> None:
        self.start("text/event-stream")
        self.send_chunk(choices=["a text"])

    def answer_page(self, body: dict) -> None:
        self.start("text/html")
        self.send("<html><script>alert(1)</script></html>")

    def answer_redirect(self, body: dict) -> None:
        self.start("text/plain", 307, Location=f"{self.server.url.replace('127.0.0.1', 'localhost')}/chat/completions")

    def answer_endless(self, body: dict) -> None:
        """Until the reader has gone."""
        self.start("text/event-stream")
        try:
            while True:
                self.say(("on and " * 2000,))
                time.sleep(0.01)
        except OSError:
            self.server.left.set()

    def answer_no_options(self, body: dict) -> None:
        """As `transformers serve` does."""
        if "stream_options" in body:
            return self.refuse(422, "Unsupported fields in the request: {'stream_options'}")
        self.answer_stream(body)

    def answer_renamed(self, body: dict) -> None:
        """As the hosted models that think do."""
        if "max_tokens" in body:
            return self.refuse(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        self.answer_stream(body)


def make_page(chat: Chat, *models: str) -> SimpleNamespace:
    """One local model, `here`, and one server's model for each name."""
    servers = [read_endpoint(f"{model}={chat.url}#{model}") for model in models]
    loader = Loader()
    local = make_card("here", capabilities=["chat"])
    pool = Pool(Catalog([local, *servers]), MACHINE, budget_bytes=10**9, load=lambda *args: pick(loader, *args))
    return SimpleNamespace(pool=pool, catalog=pool.catalog, stand_ins={}, patience=8.0)


def pick(loader: Loader, card, plan, report):
    return load_with_family(card, plan, report) if card.host else loader(card, plan, report)
