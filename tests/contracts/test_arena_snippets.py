"""“Show me the code” of the arena, for a model that runs here and for one behind a server: each runs alone."""

import ast

from demos import arena
from patchwork.catalog import read_endpoint
from tests.chat_stand_in import WORDS, serve_chat
from tests.contracts.test_snippets import CATALOG, run_demo, run_snippet


def test_here(tmp_path):
    card = CATALOG.get("tiny-llava")
    assert run_snippet(arena, card, tmp_path) == run_demo(arena, card, question="What is in the picture?").text


def test_behind_a_server(tmp_path):
    with serve_chat() as chat:
        assert run_snippet(arena, read_endpoint(f"mine={chat.url}#plain"), tmp_path) == "".join(WORDS)
        (turn,) = chat.seen[-1][1]["messages"]
    assert [part["type"] for part in turn["content"]] == ["image_url", "text"]


def test_every_one_is_valid_python():
    for card in CATALOG.offering(arena.NEEDS):
        ast.parse(arena.snippet(card))
        assert "trust_remote_code" not in arena.snippet(card)
