"""One app and one browser for all browser tests; every test gets a fresh page that may not leave this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from app import Options, build_app, launch_app
from patchwork.ui.chapter import CONTENTS
from tests.browser.chromium import FLAGS

expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    options = Options(offline=True, device="cpu")
    blocks = build_app(options)
    _, address, _ = launch_app(blocks, options, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield address
    blocks.close(verbose=False)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A 1280 × 800 page; at the end, no request may have left this machine and no script may have failed."""
    with open_page(browser, url) as page:
        yield page


@pytest.fixture
def phone(browser: Browser, url: str) -> Iterator[Page]:
    """The same at 390 × 844, with touch."""
    with open_page(browser, url, viewport={"width": 390, "height": 844}, has_touch=True) as page:
        yield page


@pytest.fixture
def open_chapter(url: str) -> Callable[..., None]:
    def open_one(page: Page, chapter: str = "", **parameters: str) -> None:
        query = {"chapter": chapter, **parameters} if chapter else parameters
        page.goto(url + "?" + "&".join(f"{key}={value}" for key, value in query.items()))
        wait_until_open(page, chapter)

    return open_one


def wait_until_open(page: Page, chapter: str) -> None:
    """Gradio has started, and the chapter that the address names is the chosen tab: from here on nothing moves."""
    page.wait_for_function("window.PATCHWORK?.started === true")
    number = next((entry.number for entry in CONTENTS if entry.id == chapter), 0)
    expect(page.get_by_role("tab", selected=True)).to_have_text(f"{number} {CONTENTS[number].label}")
    expect(page.locator(f"#pw-chapter-{CONTENTS[number].id} .pw-title")).to_be_visible()


@contextmanager
def open_page(browser: Browser, url: str, **settings: object) -> Iterator[Page]:
    external: list[str] = []
    errors: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | settings)
    page = context.new_page()
    page.set_default_timeout(30_000)

    def note_if_outside(request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            external.append(request.url)

    page.on("request", note_if_outside)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert external == []
    assert errors == []
