"""“Show me the code” where a model may stand behind a server."""

from demos import arena, ask, measure
from patchwork.catalog import load_catalog, read_endpoint
from tests.chat_stand_in import WORDS


def test_here_it_is_the_program_of_ask_which_is_run_elsewhere():
    card = load_catalog().get("tiny-llava")
    tokens = [f"max_new_tokens={demo.MOST_TOKENS}" for demo in (arena, ask)]
    assert arena.snippet(card).replace(tokens[0], tokens[1]) == ask.snippet(card)


def test_a_server_is_asked(run_snippet, chat):
    assert run_snippet(arena, read_endpoint(f"mine={chat.url}#plain")) == "".join(WORDS)
    (turn,) = chat.seen[-1][1]["messages"]
    assert [part["type"] for part in turn["content"]] == ["image_url", "text"]


def test_a_server_is_measured(run_snippet, chat):
    *said, sum_line = run_snippet(measure, read_endpoint(f"mine={chat.url}#plain")).splitlines()
    assert said == 3 * ["".join(WORDS)] and sum_line.startswith("0 of 3 right: 0 % ±")
    asked = [body["messages"][0]["content"][1]["text"] for _, body in chat.seen[-3:]]
    assert asked[0] != asked[1] and "how many" in asked[2].lower()
