"""The arena in a real browser: bundled models offline, a server on this machine, keys, and a blind vote.

The panel stands on a page of its own here, so that its operator's servers are no other test's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
import pytest
from playwright.sync_api import Page, expect

from app import Options, build_pool, launch_app
from demos import arena
from patchwork.ui.page import Page as Shared
from patchwork.ui.tray import build_tray
from tests.browser.conftest import open_page
from tests.chat_stand_in import WORDS, Chat

SLOW = 180_000  # a busy machine needs its time for the first model
SERVERS = ("stream", "slow", "key", "e401")
SAID = "".join(WORDS)


@contextmanager
def serve_panel(chat: Chat) -> Iterator[str]:
    """Tray and panel, offline, with a few servers of this machine."""
    options = Options(offline=True, device="cpu", endpoints=tuple(f"{one}={chat.url}#{one}" for one in SERVERS))
    pool = build_pool(options)
    with gr.Blocks(analytics_enabled=False) as blocks, gr.Row(elem_id="pw-stage"):
        picture, question = build_tray(servers=True)
        with gr.Column(elem_id="pw-main", min_width=0), gr.Column(elem_classes="pw-lesson"):
            arena.build(Shared(pool.catalog, pool.hardware, pool, picture, question, offline=True))
    blocks.queue(default_concurrency_limit=8)
    _, address, _ = launch_app(blocks, options, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield address
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def panel(chat) -> Iterator[str]:
    with serve_panel(chat) as address:
        yield address


@pytest.fixture
def visit(browser, panel) -> Iterator[Page]:
    with open_page(browser, panel) as page:
        page.goto(panel)
        yield page


def choose(page: Page, side: str, label: str) -> None:
    box = page.locator(f"#pw-arena-{side}-card input")
    box.click()
    page.get_by_role("option", name=label).click()
    expect(box).to_have_value(label)
    expect(page.get_by_role("listbox")).to_have_count(0)  # it fades out, and the other picker has the same options


def at(chat: Chat, name: str) -> str:
    return f"{name}: {name} — at 127.0.0.1:{chat.server_port}"


def find_sides(page: Page) -> list:
    return [page.locator("#pw-arena-left"), page.locator("#pw-arena-right")]


def test_two_bundled_models_answer_without_a_network(visit):
    expect(visit.locator("#pw-arena-notes")).to_contain_text("nothing leaves it")
    expect(visit.locator(".pw-privacy")).to_contain_text("to a server that you choose there")
    visit.locator("#pw-arena-run").click()
    for side, title in zip(find_sides(visit), ("Tiny LLaVA (bundled)", "Tiny LLaVA after stage 1"), strict=True):
        expect(side.locator(".pw-answerer")).to_contain_text(f"Answered by {title}", timeout=SLOW)
        expect(side.locator(".pw-answer")).not_to_be_empty()
    expect(visit.locator("#pw-arena-votes")).to_be_hidden()


def test_a_silent_server_keeps_nobody_waiting_and_can_be_stopped(visit, chat):
    choose(visit, "first", at(chat, "slow"))
    choose(visit, "second", at(chat, "stream"))
    expect(visit.locator("#pw-arena-notes")).to_contain_text(f"go to 127.0.0.1:{chat.server_port}, and to nobody else")
    visit.locator("#pw-arena-run").click()
    left, right = find_sides(visit)
    expect(right.locator(".pw-answer")).to_have_text(SAID, timeout=SLOW)
    expect(right.locator(".pw-answerer")).to_contain_text("precision not said")
    expect(left.locator(".pw-answer")).to_have_text("slow ")
    visit.locator("#pw-arena-stop").click()
    expect(left.locator(".pw-answerer")).to_have_count(0)


def test_two_readers_bring_their_own_keys(visit, browser, panel, chat):
    with open_page(browser, panel) as other:
        other.goto(panel)
        for page, key in ((visit, "reader-A"), (other, "reader-B")):
            choose(page, "first", at(chat, "key"))
            choose(page, "second", at(chat, "e401"))
            page.get_by_label("(key), if it asks for one").fill(key)
            page.get_by_label("(e401), if it asks for one").fill(key)
        for page in (visit, other):
            page.locator("#pw-arena-run").click()
        for page, letter in ((visit, "A"), (other, "B")):
            left, right = find_sides(page)
            expect(left.locator(".pw-answer")).to_have_text(letter, timeout=SLOW)
            expect(right.locator(".pw-problem")).to_contain_text("does not accept this key", timeout=SLOW)
            kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, location.href])")
            assert "reader-" not in kept + page.content()


def test_blind_the_names_come_after_the_vote_and_the_votes_add_up(visit, chat):
    choose(visit, "second", at(chat, "stream"))
    visit.get_by_label("Hide who is who").check()
    for round_ in (1, 2):
        visit.locator("#pw-arena-run").click()
        vote = visit.get_by_role("button", name="A tie")
        expect(vote).to_be_visible(timeout=SLOW)
        for side, letter in zip(find_sides(visit), "AB", strict=True):
            expect(side.locator("h4")).to_have_text(letter)
            expect(side.locator(".pw-answerer")).to_have_count(0)
        vote.click()
        expect(visit.locator("#pw-arena-said")).to_contain_text("You called it a tie. A was ")
        expect(visit.locator("#pw-arena-tally")).to_contain_text(f"a tie: {round_}")
        expect(visit.locator("#pw-arena-left .pw-answerer")).to_have_count(1)
        expect(vote).to_be_hidden()


def test_one_model_twice_is_a_sentence(visit):
    choose(visit, "second", "Tiny LLaVA (bundled)")
    visit.locator("#pw-arena-run").click()
    expect(visit.locator("#pw-arena-said .pw-problem")).to_contain_text("Both sides have the same model")
