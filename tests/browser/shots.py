"""Pictures of every tab to look at, light and dark, wide, narrow and on stage: `python -m tests.browser.shots OUT`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from app import Options, build_app, launch_app
from patchwork.ui.chapter import CONTENTS
from tests.browser.chromium import FLAGS

SIZES = {"1280": (1280, 800), "390": (390, 844)}


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    options = Options(offline=True, device="cpu")
    blocks = build_app(options)
    _, url, _ = launch_app(blocks, options, prevent_thread_lock=True, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        for width, (w, h) in SIZES.items():
            for theme in ("light", "dark"):
                page = browser.new_page(viewport={"width": w, "height": h})
                for entry in CONTENTS:
                    open_chapter(page, url, theme, entry.id)
                    page.screenshot(path=out / f"{entry.number}-{entry.id}-{width}-{theme}.png", full_page=True)
                page.close()
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        open_chapter(page, url, "light", CONTENTS[0].id)
        page.screenshot(path=out / "first-screen-1280.png")
        for entry in CONTENTS:
            open_chapter(page, url, "light", entry.id)
            page.keyboard.press("p")
            page.wait_for_timeout(300)
            page.screenshot(path=out / f"{entry.number}-{entry.id}-stage.png", full_page=True)
        browser.close()
    blocks.close()


def open_chapter(page: Page, url: str, theme: str, chapter: str) -> None:
    page.goto(f"{url}?__theme={theme}&chapter={chapter}")
    page.locator("#pw-chapters .pw-title:visible").wait_for()
    page.wait_for_timeout(700)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
