"""Two models side by side: what a side shows, what is hidden from who judges, what leaves, how votes are counted."""

import time
from types import SimpleNamespace

import gradio as gr
import pytest
from PIL import Image

from demos import arena
from patchwork import recording
from patchwork.catalog import read_endpoint
from patchwork.duel import Round
from patchwork.live import run_live
from patchwork.pool import Pool
from patchwork.ui import two_sides
from tests.chat_stand_in import WORDS, make_page
from tests.fakes import MACHINE, FakeModel, Loader, make_card
from tests.fakes import make_catalog as make_local

INPUTS = arena.Inputs(picture=Image.new("RGB", (8, 8)), question="why")
SAID = "a red star (why)"
MARK = "its own picture and question, not yours"
BLIND, GOOD, BAD = Round(("two", "one"), True), two_sides.End("<p>good</p>", True), two_sides.End("<p>bad</p>", False)
PANEL = SimpleNamespace(page=SimpleNamespace(catalog=make_local("one", "two")))


def show(page, card_id: str, hidden: str = "") -> tuple[list[str], two_sides.End]:
    states = list(two_sides.stream_side(arena, page, INPUTS, page.catalog.get(card_id), hidden))
    return [shown for shown, _ in states], states[-1][1]


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


def test_on_stage_only_a_recording_of_this_model_steps_in(chat, tmp_path, monkeypatch):
    page = make_page(chat, "stream")
    path = tmp_path / "arena.json"
    list(recording.record(arena, INPUTS, run_live(arena, INPUTS, page.pool, "here"), path, "here"))
    page.stand_ins, page.patience = {"arena": recording.load(path, arena)}, 0.05
    quick = FakeModel.chat
    monkeypatch.setattr(FakeModel, "chat", lambda *given, **named: time.sleep(0.5) or quick(*given, **named))

    def show_all(card_id: str, hidden: str = "") -> str:
        card = page.catalog.get(card_id)
        states = list(two_sides.stream_side(arena, page, INPUTS, card, hidden, on_stage=True))
        assert states[-1][1].answered
        return "".join(shown for shown, _ in states)

    assert MARK in show_all("here") and SAID in show_all("here")
    assert MARK not in show_all("stream"), "another model's answer is not this one's"
    assert MARK not in show_all("here", hidden="A"), "a mark would tell who it is"


def test_what_leaves_is_said_before_it_does():
    far = read_endpoint("far=https://a.example/v1#m")
    assert "nothing leaves it" in two_sides.draw_privacy([make_card("one"), make_card("two")])
    said = two_sides.draw_privacy([make_card("one"), far])
    assert "at most 1024 pixels a side" in said and "go to a.example, and to nobody else" in said


def test_a_vote_reveals_who_was_who_and_is_counted_in_words():
    catalog = make_local("one", "two")
    assert "You preferred B. A was <b>Two</b>, B was <b>One</b>" in two_sides.draw_reveal(
        Round(("two", "one"), True), "right", catalog
    )
    assert "One: <b>2</b> · Two: <b>0</b> · a tie: <b>1</b>" in two_sides.draw_tally(
        {("one", "two"): (2, 0, 1)}, catalog
    )


def test_the_first_choice_stays_on_this_machine(chat):
    page = make_page(chat, "stream")
    assert two_sides.choose_sides(arena, page) == (
        "here",
        "here",
    )  # nothing else runs here
    pool = Pool(make_local("one", "tiny-llava-stage1"), MACHINE, load=Loader())
    assert two_sides.choose_sides(arena, SimpleNamespace(pool=pool, catalog=pool.catalog)) == (
        "one",
        "tiny-llava-stage1",
    )


def test_blind_with_a_failed_side_there_is_no_vote_and_nothing_hidden():
    said, left, right, voting = two_sides.TwoSides.settle(PANEL, BLIND, GOOD, BAD)
    assert "nothing to judge" in said and (left, right) == (GOOD.html, BAD.html) and not voting["visible"]
    assert two_sides.TwoSides.settle(PANEL, BLIND, GOOD, GOOD)[3]["visible"]


@pytest.mark.parametrize("state", [(BLIND, GOOD, None), (Round(("two", "one"), False), GOOD, GOOD), (None, GOOD, GOOD)])
def test_nothing_is_settled_early_or_in_the_open(state):
    assert all(one == gr.skip() for one in two_sides.TwoSides.settle(PANEL, *state))


def test_a_vote_counts_once():
    dealt, _, left, right, _, tally, shown = two_sides.TwoSides.judge(PANEL, "left", BLIND, GOOD, GOOD, {})
    assert (dealt, left, right) == (None, GOOD.html, GOOD.html)
    assert tally == {("one", "two"): (0, 1, 0)} and "One question proves nothing" in shown
    assert two_sides.TwoSides.judge(PANEL, "left", dealt, GOOD, GOOD, tally)[5] == gr.skip()
