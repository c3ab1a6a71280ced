"""The course as one Gradio page: `python app.py`. It knows how to start the page, not what is on it."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from patchwork.ui import shell, theme


@dataclass(frozen=True)
class Options:
    """What the command line, or PATCHWORK_… variables, may set."""

    host: str = "127.0.0.1"
    port: int | None = None
    share: bool = False
    offline: bool = False
    present: bool = False


def build_app(options: Options | None = None) -> gr.Blocks:
    """The whole page; no model is loaded and torch is not imported."""
    options = options or Options()
    with gr.Blocks(title=shell.TITLE, fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        shell.build_shell(*build_engine(options), offline=options.offline)
    return page.queue(default_concurrency_limit=8, max_size=64)


def build_engine(options: Options) -> tuple:
    from types import SimpleNamespace

    return SimpleNamespace(), SimpleNamespace(device="cpu", cores=2, name="CPU"), SimpleNamespace()


def launch_app(page: gr.Blocks, options: Options, **changes: object) -> tuple:
    """Start serving `page`; the reader's uploads are the only files that it can be asked for."""
    settings = {
        "server_name": options.host,
        "server_port": options.port,
        "share": options.share,
        "theme": theme.build_theme(),
        "css": theme.build_css(),
        "head": theme.build_head({"present": options.present}),
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": "20mb",
        "ssr_mode": False,
    }
    return page.launch(**settings | changes)


def parse_options(arguments: list[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=os.environ.get("PATCHWORK_HOST", "127.0.0.1"))
    options = parser.parse_args(arguments)
    return Options(host=options.host)


def main() -> None:
    options = parse_options()
    launch_app(build_app(options), options)


if __name__ == "__main__":
    main()
