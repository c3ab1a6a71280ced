"""“Show me the code” of the arena, for a model that runs here and for one behind a server."""

from demos import arena, ask
from patchwork.catalog import load_catalog, read_endpoint
from tests.chat_stand_in import WORDS


def test_here_it_is_the_program_of_ask_which_is_run_elsewhere():
    card = load_catalog().get("tiny-llava")
    tokens = [f"max_new_tokens={demo.MOST_TOKENS}" for demo in (arena, ask)]
    assert arena.snippet(card).replace(tokens[0], tokens[1]) == ask.snippet(card)


def test_behind_a_server(run_snippet, chat):
    assert run_snippet(arena, read_endpoint(f"mine={chat.url}#plain")) == "".join(WORDS)
    (turn,) = chat.seen[-1][1]["messages"]
    assert [part["type"] for part in turn["content"]] == ["image_url", "text"]
