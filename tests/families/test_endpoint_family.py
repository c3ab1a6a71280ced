"""A server as a model in the pool: whose key it is asked with, what it counted, who is said to have answered."""

import threading
import time

import pytest
from PIL import Image

from patchwork.catalog import Catalog, read_endpoint
from patchwork.pool import Lease, Pool
from tests.chat_stand_in import WORDS, serve_chat
from tests.fakes import MACHINE

PICTURE = Image.new("RGB", (8, 8))


@pytest.fixture(scope="module")
def chat():
    with serve_chat() as server:
        yield server


def borrow(chat, model: str, more: str = "") -> Lease:
    """Through the pool, as the page does; the budget is zero because nothing is loaded."""
    pool = Pool(Catalog([read_endpoint(f"mine={chat.url}#{model}{more}")]), MACHINE, budget_bytes=0, offline=True)
    *_, lease = pool.borrow("mine")
    return lease


def say(model, key: str = "") -> str:
    return "".join(model.with_key(key).chat([PICTURE], "what?"))


def test_it_answers_counts_and_says_who_it_was(chat):
    with borrow(chat, "stream") as model:
        mine = model.with_key("")
        assert "".join(mine.chat([PICTURE], "what?", max_new_tokens=9)) == "".join(WORDS)
        assert chat.seen[-1][1]["max_tokens"] == 9
        assert (mine.usage.answer_tokens, model.usage) == (3, None)
        who = mine.answerer(time.perf_counter())
    host = f"127.0.0.1:{chat.server_port}"
    assert (who.title, who.device, who.precision) == ("mine: stream", host, "precision not said")
    assert (who.note, who.bundled) == ("a server on this machine", False)


def test_a_remote_one_says_so():
    card = read_endpoint("far=https://api.example.com/v1#big")
    assert card.place == "remote: the picture and the question went there"


def test_the_operators_key_comes_from_the_variable_and_a_readers_goes_before_it(chat, monkeypatch):
    monkeypatch.setenv("A_KEY_FOR_TESTS", "operator-O\n")
    with borrow(chat, "key", ",key=A_KEY_FOR_TESTS") as model:
        assert (say(model), say(model, " reader-R "), say(model)) == ("O", "R", "O")


def test_two_readers_at_once_never_share_a_key(chat):
    said: dict[str, list[str]] = {"A": [], "B": [], "y": []}
    keys = {"A": "reader-A", "B": "reader-B", "y": ""}
    with borrow(chat, "key") as model:
        ask = [lambda one=one: said[one].append(say(model, keys[one])) for one in said for _ in range(3)]
        threads = [threading.Thread(target=one) for one in ask]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert said == {one: [one] * 3 for one in said}  # "nobody" ends in y


def test_a_stop_is_heard(chat):
    stop = threading.Event()
    with borrow(chat, "slow") as model:
        answer = model.chat([PICTURE], "what?", stop=stop)
        assert next(piece for piece in answer if piece) == "slow "
        stop.set()
        assert list(answer) == []
