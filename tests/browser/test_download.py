"""From the picker to the answer: a checkpoint comes from a stand-in hub, with progress, stop and resume."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from app import Options, build_app, launch_app
from patchwork.catalog import DEFAULT
from tests.browser.conftest import open_page
from tests.hub_stand_in import StandIn, serve
from tests.tiny_models import shared_folder

CARD = {
    "id": "small-llava",
    "title": "Small LLaVA",
    "family": "llava",
    "repo": "someone/small-llava",
    "licence": "none",
    "parameters": 100_000,
    "download_bytes": 200_000,
    "capabilities": ["chat"],
    "recommended_for": ["ask"],
    "source": ["the stand-in"],
}


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    with serve({CARD["repo"]: shared_folder("llava")}) as hub:
        yield hub


@pytest.fixture(scope="module")
def address(stand_in: StandIn, tmp_path_factory) -> Iterator[str]:
    """An app of its own, whose list holds the bundled models and one checkpoint of the stand-in."""
    from huggingface_hub import constants

    folder = tmp_path_factory.mktemp("download")
    cards = [card for card in yaml.safe_load(DEFAULT.read_text()) if card["repo"].startswith("bundled:")]
    (folder / "models.yaml").write_text(yaml.safe_dump([*cards, CARD]))
    options = Options(models=folder / "models.yaml", device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", stand_in.url)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
        blocks = build_app(options)
        _, address, _ = launch_app(blocks, options, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
        yield address
        blocks.close(verbose=False)


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Page]:
    with open_page(browser, address) as page:
        page.goto(f"{address}?chapter=llava")
        page.locator("#pw-chapters .pw-title:visible").wait_for()
        yield page


def test_a_fault_of_the_hub_is_a_sentence_and_loses_nothing(visit: Page, stand_in: StandIn):
    stand_in.behave(status=429)
    output = visit.locator("#pw-ask-output")
    visit.locator("#pw-ask-run").click()
    expect(output.locator(".pw-answerer")).to_contain_text("Tiny LLaVA", timeout=60_000)
    visit.get_by_role("button", name=re.compile("Ask a real checkpoint: Small LLaVA")).click()
    expect(output.locator(".pw-problem")).to_contain_text("too many requests", timeout=30_000)
    expect(output.locator(".pw-answerer")).to_contain_text("Tiny LLaVA")


def test_offer_progress_stop_and_answer(visit: Page, stand_in: StandIn):
    behaviour = stand_in.behave(steps=threading.Semaphore(4))
    output = visit.locator("#pw-ask-output")
    offer = visit.get_by_role("button", name=re.compile("Ask a real checkpoint: Small LLaVA"))
    expect(offer).to_contain_text(re.compile(r"· fits here in (bf16|fp32)"))
    offer.click()
    expect(output.locator(".pw-progress")).to_contain_text("Downloading Small LLaVA", timeout=30_000)
    expect(output.locator(".pw-progress progress")).to_be_visible()
    visit.locator("#pw-ask-stop").click()
    behaviour.steps.release(10_000)
    visit.locator("#pw-ask-run").click()
    expect(output.locator(".pw-answerer")).to_contain_text("Small LLaVA", timeout=60_000)
    expect(output.locator(".pw-bundled")).to_have_count(0)
