"""The arena: one run of a side, what is known of it, what is hidden from who judges, and where a key never is."""

import logging
from types import SimpleNamespace

import pytest
from PIL import Image

from demos import arena
from patchwork import recording
from patchwork.catalog import Catalog, read_endpoint
from patchwork.demo import PartialText, Progress
from patchwork.duel import Round
from patchwork.live import run_live
from patchwork.pool import Pool
from tests.chat_stand_in import WORDS, serve_chat
from tests.fakes import MACHINE, Loader, make_card
from tests.fakes import make_catalog as make_local

INPUTS = arena.Inputs(picture=Image.new("RGB", (8, 8)), question="why")
KEY = "sk-very-secret"
SAID = "a red star (why)"


@pytest.fixture(scope="module")
def chat():
    with serve_chat() as server:
        yield server


def make_page(chat, *models: str) -> SimpleNamespace:
    """One local model, `here`, and one server's model for each name."""
    servers = [read_endpoint(f"{model}={chat.url}#{model}") for model in models]
    loader = Loader()
    local = make_card("here", capabilities=["chat"])
    pool = Pool(Catalog([local, *servers]), MACHINE, budget_bytes=10**9, load=lambda *args: pick(loader, *args))
    return SimpleNamespace(pool=pool, catalog=pool.catalog, stand_ins={}, patience=8.0)


def pick(loader: Loader, card, plan, report):
    from patchwork.pool import load_with_family

    return load_with_family(card, plan, report) if card.host else loader(card, plan, report)


def show(page, card_id: str, hidden: str = "", key: str = "") -> tuple[list[str], arena.End]:
    states = list(arena.stream_side(page, INPUTS.with_key(key), page.catalog.get(card_id), hidden))
    return [shown for shown, _ in states], states[-1][1]


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
    shown, end = show(page, "e401", key=KEY)
    printed = [str(events), repr(mine), mine.model_dump_json(), path.read_text(), caplog.text, end.html, *shown]
    assert not [one for one in printed if KEY in one]
    assert not any("key" in name for name in arena.Inputs.model_fields)


def test_a_side_that_fails_keeps_what_was_said_and_leaves_the_other_alone(chat):
    page = make_page(chat, "cut")
    shown, end = show(page, "cut")
    assert "broke off in the middle" in shown[-1] and "".join(WORDS) in shown[-1] and not end.answered
    assert show(page, "here")[1].answered


def test_hidden_shows_words_alone_until_the_end_is_revealed(chat):
    page = make_page(chat, "stream")
    for card_id, words in (("here", SAID), ("stream", "".join(WORDS))):
        shown, end = show(page, card_id, hidden="A")
        title = page.catalog.get(card_id).title
        assert all("<h4>A</h4>" in one and title not in one and "127.0.0.1" not in one for one in shown)
        assert words in shown[-1] and "pw-metrics" not in shown[-1] and "pw-answerer" not in shown[-1]
        assert title in end.html and "pw-answerer" in end.html


def test_hidden_a_failure_names_nobody(chat):
    shown, end = show(make_page(chat, "e503"), "e503", hidden="B")
    assert "could not answer" in shown[-1] and "127.0.0.1" not in shown[-1] and "fault of its own" in end.html


def test_on_stage_only_a_recording_of_this_model_steps_in(chat, tmp_path):
    page = make_page(chat)
    path = tmp_path / "arena.json"
    list(recording.record(arena, INPUTS, run_live(arena, INPUTS, page.pool, "here"), path, "here"))
    page.stand_ins, page.patience = {"arena": recording.load(path, arena)}, 0.0
    for card_id, expected in (("here", True), ("other", False)):
        card = page.catalog.get("here").model_copy(update={"id": card_id})
        assert (arena.find_recorded(page, card) is not None) is expected
    *_, (shown, end) = arena.stream_side(page, INPUTS, page.catalog.get("here"), on_stage=True)
    assert end.answered and SAID in shown


def test_what_leaves_is_said_before_it_does():
    far = read_endpoint("far=https://a.example/v1#m")
    assert "nothing leaves it" in arena.draw_privacy([make_card("one"), make_card("two")])
    said = arena.draw_privacy([make_card("one"), far])
    assert "at most 1024 pixels a side" in said and "go to a.example, and to nobody else" in said


def test_a_vote_reveals_who_was_who_and_is_counted_in_words():
    catalog = make_local("one", "two")
    assert "You preferred B. A was <b>Two</b>, B was <b>One</b>" in arena.draw_reveal(
        Round(("two", "one"), True), "right", catalog
    )
    assert "One: <b>2</b> · Two: <b>0</b> · a tie: <b>1</b>" in arena.draw_tally({("one", "two"): (2, 0, 1)}, catalog)


def test_the_first_choice_stays_on_this_machine(chat):
    page = make_page(chat, "stream")
    assert arena.choose_sides(page) == ("here", "here")  # nothing else runs here; the reader chooses a server
    pool = Pool(make_local("one", "tiny-llava-stage1"), MACHINE, load=Loader())
    assert arena.choose_sides(SimpleNamespace(pool=pool, catalog=pool.catalog)) == ("one", "tiny-llava-stage1")


def test_words_are_escaped():
    evil = "<img src=x>"
    assert evil not in arena.render(PartialText(text=evil), INPUTS) + arena.frame(evil, "")


BLIND, GOOD, BAD = Round(("two", "one"), True), arena.End("<p>good</p>", True), arena.End("<p>bad</p>", False)
PANEL = SimpleNamespace(page=SimpleNamespace(catalog=make_local("one", "two")))


def test_blind_with_a_failed_side_there_is_no_vote_and_nothing_hidden():
    said, left, right, voting = arena.Panel.settle(PANEL, BLIND, GOOD, BAD)
    assert "nothing to judge" in said and (left, right) == (GOOD.html, BAD.html) and not voting["visible"]
    assert arena.Panel.settle(PANEL, BLIND, GOOD, GOOD)[3]["visible"]


@pytest.mark.parametrize("state", [(BLIND, GOOD, None), (Round(("two", "one"), False), GOOD, GOOD), (None, GOOD, GOOD)])
def test_nothing_is_settled_early_or_in_the_open(state):
    assert all(one == arena.gr.skip() for one in arena.Panel.settle(PANEL, *state))


def test_a_vote_counts_once():
    dealt, _, left, right, _, tally, shown = arena.Panel.judge(PANEL, "left", BLIND, GOOD, GOOD, {})
    assert (dealt, left, right) == (None, GOOD.html, GOOD.html)
    assert tally == {("one", "two"): (0, 1, 0)} and "One question proves nothing" in shown
    assert arena.Panel.judge(PANEL, "left", dealt, GOOD, GOOD, tally)[5] == arena.gr.skip()


def test_the_endpoint_takes_no_key_and_asks_no_server_unless_told(chat):
    from patchwork.hardware import detect_cpu
    from patchwork.ui.page import Page
    from patchwork.ui.tray import build_tray

    pool = make_page(chat, "stream").pool
    with arena.gr.Blocks(analytics_enabled=False) as blocks:
        arena.build(Page(pool.catalog, detect_cpu(), pool, *build_tray(), offline=True))
    (endpoint,) = blocks.get_api_info()["named_endpoints"].items()
    defaults = {one["parameter_name"]: one.get("parameter_default") for one in endpoint[1]["parameters"]}
    assert endpoint[0] == "/arena" and set(defaults) == {"picture", "question", "checkpoint"}
    assert defaults["checkpoint"] == "here"
    groups = {function.concurrency_id for function in blocks.fns.values() if function.concurrency_limit in (1, 4)}
    assert {"device", "servers"} <= groups
