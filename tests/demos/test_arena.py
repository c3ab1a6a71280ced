"""The arena: one run of a side, what is known of it, what is hidden from who judges, and where a key never is."""

import logging

import gradio as gr
from PIL import Image

from demos import arena
from patchwork import recording
from patchwork.demo import PartialText, Progress
from patchwork.live import run_live
from patchwork.ui import two_sides
from tests.chat_stand_in import WORDS, make_page

INPUTS = arena.Inputs(picture=Image.new("RGB", (8, 8)), question="why")
KEY = "sk-very-secret"
SAID = "a red star (why)"


def test_a_model_that_runs_here_counts_its_own_tokens(chat):
    *_, result = run_live(arena, INPUTS, make_page(chat).pool, "here")
    assert (result.text, result.pieces, result.picture_tokens) == (SAID, 4, 64)
    assert (result.prompt_tokens, result.answer_tokens, result.cut) == (None, None, False)


def test_a_server_counts_for_itself(chat):
    *_, result = run_live(arena, INPUTS, make_page(chat, "stream").pool, "stream")
    assert (result.text, result.picture_tokens) == ("".join(WORDS), None)
    assert (result.prompt_tokens, result.answer_tokens) == (70, 3)
    assert {metric.label for metric in arena.list_metrics(result)} == {"Prompt", "Answer", "First piece"}
    assert chat.seen[-1][1]["max_tokens"] == arena.MOST_TOKENS


def test_an_answer_that_was_stopped_says_so(chat):
    *_, result = run_live(arena, INPUTS, make_page(chat, "plain").pool, "plain")
    assert result.cut and "stopped at 160 tokens" in arena.render(result, INPUTS)


def test_a_server_that_waits_is_told_and_can_be_left(chat):
    run = run_live(arena, INPUTS, make_page(chat, "silent").pool, "silent")
    first, second = next(run), next(run)
    assert isinstance(first, Progress) and "has not begun to answer yet" in second.message
    run.close()


def test_events_and_inputs_survive_json(chat):
    for event in run_live(arena, INPUTS, make_page(chat).pool, "here"):
        again = recording.read_event(event.model_dump(mode="json"), arena)
        assert arena.render(again, INPUTS) == arena.render(event, INPUTS)
    assert arena.Inputs.model_validate_json(INPUTS.model_dump_json()).question == "why"


def test_the_readers_key_is_sent_and_is_nowhere_else(chat, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    page, mine, path = make_page(chat, "stream", "e401"), INPUTS.with_key(KEY), tmp_path / "one.json"
    events = list(recording.record(arena, mine, run_live(arena, mine, page.pool, "stream"), path, "stream"))
    assert chat.seen[-1][0]["Authorization"] == f"Bearer {KEY}"
    refused = list(two_sides.stream_side(arena, page, mine, page.catalog.get("e401")))
    printed = [str(events), repr(mine), mine.model_dump_json(), path.read_text(), caplog.text, str(refused)]
    assert not [one for one in printed if KEY in one]
    assert not any("key" in name for name in arena.Inputs.model_fields)


def test_words_are_escaped():
    evil = "<img src=x>"
    assert evil not in arena.render(PartialText(text=evil), INPUTS) + two_sides.frame(evil, "")


def test_the_endpoint_takes_no_key_and_asks_no_server_unless_told(chat):
    from patchwork.hardware import detect_cpu
    from patchwork.ui.page import Page
    from patchwork.ui.tray import build_tray

    pool = make_page(chat, "stream").pool
    with gr.Blocks(analytics_enabled=False) as blocks:
        arena.build(Page(pool.catalog, detect_cpu(), pool, *build_tray(), offline=True))
    (endpoint,) = blocks.get_api_info()["named_endpoints"].items()
    defaults = {one["parameter_name"]: one.get("parameter_default") for one in endpoint[1]["parameters"]}
    assert endpoint[0] == "/arena" and set(defaults) == {"picture", "question", "checkpoint"}
    assert defaults["checkpoint"] == "here"
    groups = {function.concurrency_id for function in blocks.fns.values() if function.concurrency_limit in (1, 4)}
    assert {"device", "servers"} <= groups
