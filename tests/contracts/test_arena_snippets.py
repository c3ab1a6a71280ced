"""“Show me the code” of the arena, for a model that runs here and for one behind a server: each runs alone."""

from demos import arena, ask
from patchwork.catalog import read_endpoint
from tests.chat_stand_in import WORDS, serve_chat
from tests.contracts.test_snippets import CATALOG, run_snippet


def test_here_it_is_the_program_of_ask_which_is_run_elsewhere():
    card = CATALOG.get("tiny-llava")
    tokens = [f"max_new_tokens={demo.MOST_TOKENS}" for demo in (arena, ask)]
    assert arena.snippet(card).replace(tokens[0], tokens[1]) == ask.snippet(card)


def test_behind_a_server(tmp_path):
    with serve_chat() as chat:
        assert run_snippet(arena, read_endpoint(f"mine={chat.url}#plain"), tmp_path) == "".join(WORDS)
        (turn,) = chat.seen[-1][1]["messages"]
    assert [part["type"] for part in turn["content"]] == ["image_url", "text"]
