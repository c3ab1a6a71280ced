"""A question to a server and its answer, against a server on this machine that misbehaves in every known way."""

import base64
import io
import logging
import threading
import time

import pytest
from PIL import Image

from patchwork import endpoint
from patchwork.endpoint import Server, Usage, ask, encode_picture
from patchwork.errors import Problem
from tests.chat_stand_in import WORDS, serve_chat

PICTURE = Image.new("RGB", (40, 20), "red")
KEY = "sk-very-secret-A"


def collect(chat, model: str, key: str = KEY) -> tuple[str, Usage]:
    *pieces, usage = ask(Server(chat.url, model, key), [PICTURE], "what?", 32)
    return "".join(pieces), usage


def fail(chat, model: str, key: str = KEY) -> str:
    with pytest.raises(Problem) as raised:
        collect(chat, model, key)
    return str(raised.value)


@pytest.mark.parametrize(
    ("model", "usage"),
    [
        ("stream", Usage(70, 3)),
        ("bytes", Usage()),
        ("plain", Usage(70, 3, cut=True)),
        ("no-options", Usage()),
        ("renamed", Usage(70, 3)),
    ],
)
def test_every_dialect_gives_the_same_answer(chat, model, usage):
    assert collect(chat, model) == ("".join(WORDS), usage)


def test_the_request_is_what_the_servers_read(chat):
    collect(chat, "stream")
    headers, body = chat.seen[-1]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["max_tokens"], body["stream"]) == ("stream", 32, True)
    (turn,) = body["messages"]
    picture, words = turn["content"]
    assert (turn["role"], words) == ("user", {"type": "text", "text": "what?"})
    assert decode(picture["image_url"]["url"]).getpixel((3, 3)) == (255, 0, 0)


def test_a_limit_of_tokens_keeps_its_number_under_its_new_name(chat):
    collect(chat, "renamed")
    assert chat.seen[-1][1]["max_completion_tokens"] == 32 and "max_tokens" not in chat.seen[-1][1]


def test_without_a_key_none_is_sent(chat):
    collect(chat, "stream", key="")
    assert "Authorization" not in chat.seen[-1][0]


def decode(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1])))


def test_a_picture_is_bounded_and_a_noisy_one_goes_as_jpeg():
    assert decode(encode_picture(Image.new("RGB", (3000, 1500)))).size == (1024, 512)
    noisy = encode_picture(Image.effect_noise((1024, 1024), 120).convert("RGB"))
    assert noisy.startswith("data:image/jpeg;") and decode(noisy).size == (1024, 1024)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("e401", "does not accept this key"),
        ("e402", "asks for a payment"),
        ("e403", "does not allow this"),
        ("e404", "knows no model e404 at this address"),
        ("e413", "picture is too large"),
        ("e429", "asks for a pause (too many requests); try again in 20 s"),
        ("e503", "has a fault of its own (error 503)"),
        ("e418", "refuses this question (error 418)"),
        ("cut", "broke off in the middle"),
        ("half", "only a part of one"),
        ("fault", "reports a fault of its own"),
        ("odd", "of a form that is not known here"),
        ("page", "perhaps a web page"),
        ("endless", "sent more than 2 MB"),
    ],
)
def test_each_failure_is_one_sentence_with_the_host_and_without_the_key(chat, caplog, model, words):
    caplog.set_level(logging.DEBUG)
    said = fail(chat, model)
    assert words in said and f"127.0.0.1:{chat.server_port}" in said and said.count(". ") == 0
    assert KEY not in said and KEY not in caplog.text and "<" not in said


def test_without_a_key_the_reader_is_asked_for_one(chat):
    assert "asks for a key; type yours" in fail(chat, "e401", key="")


def test_no_redirect_is_followed(chat):
    before = len(chat.seen)
    assert "another address, which is never followed" in fail(chat, "redirect")
    assert len(chat.seen) == before + 1


def test_silence_ends_in_a_sentence(chat, monkeypatch):
    monkeypatch.setattr(endpoint, "SILENCE", 1.0)
    assert "has sent nothing for 1 s" in fail(chat, "silent")


def test_an_answer_without_end_is_ended(chat, monkeypatch):
    monkeypatch.setattr(endpoint, "LONGEST", 0.7)
    monkeypatch.setattr(endpoint, "MOST_BYTES", 10**9)
    assert "still writing after" in fail(chat, "endless")


def test_nobody_there():
    with serve_chat() as gone:
        pass
    assert "cannot be reached" in fail(gone, "stream")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", "x" * 600])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(chat, key):
    before = len(chat.seen)
    said = fail(chat, "stream", key)
    assert "copy it again" in said and key not in said and len(chat.seen) == before


def test_closing_the_answer_closes_the_connection_at_once(chat, monkeypatch):
    monkeypatch.setattr(endpoint, "MOST_BYTES", 10**9)
    chat.left.clear()
    answer = ask(Server(chat.url, "endless"), [PICTURE], "what?", 32)
    assert "on and" in next(piece for piece in answer if piece)
    answer.close()
    assert chat.left.wait(5)


def test_a_reader_who_waits_gets_empty_pieces_and_can_leave(chat):
    answer = ask(Server(chat.url, "silent"), [PICTURE], "what?", 32)
    assert next(answer) == ""
    answer.close()
    end = time.monotonic() + 5
    while any(thread.name.startswith("ask ") for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(thread.name.startswith("ask ") for thread in threading.enumerate())


def test_a_key_is_never_printed():
    assert KEY not in repr(Server("http://localhost", "m", KEY))
