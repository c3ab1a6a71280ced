"""How long until the page answers, beside a Gradio app with one textbox."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from bench.ratio import Ratio, compare

ROOT = Path(__file__).resolve().parent.parent
BARE = """
import sys, gradio as gr
with gr.Blocks() as page:
    gr.Textbox()
page.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def seconds_to_first_page(command: list[str], port: int, limit: float = 120) -> float:
    """Start `command`, ask for the page until it answers, stop it. Seconds; `RuntimeError` past `limit`."""
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - start < limit and process.poll() is None:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).read()
                return time.perf_counter() - start
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        raise RuntimeError(f"{command[1]} did not answer within {limit:.0f} s")
    finally:
        process.terminate()
        process.wait(10)


def start_app() -> float:
    port = free_port()
    return seconds_to_first_page([sys.executable, "app.py", "--offline", "--port", str(port)], port)


def start_bare() -> float:
    port = free_port()
    return seconds_to_first_page([sys.executable, "-c", BARE, str(port)], port)


def measure(pairs: int = 5) -> list[Ratio]:
    start_app()  # the first start writes byte code and fills the disk cache
    return [compare("app start ÷ bare Gradio app", start_app, start_bare, pairs, "until the first page is served")]
