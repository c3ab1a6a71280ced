"""The first screen: a finished, recorded run of the bundled model, and one button that runs it live.

It knows no model: it plays a recording, or a live run, through the demo's own `render`.
"""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from patchwork.ui.page import Page

RECORDINGS = Path(__file__).parents[2] / "demos" / "recordings"


def build_hero(page: Page) -> None:
    """What a vision-language model is, in one sentence, above one that has just answered."""
    gr.HTML(
        '<section class="pw-hero-words"><h2>A model that looks at a picture and answers in words.</h2>'
        "<p>Ten short chapters take one apart. Every number comes from a model that runs here, on your own picture."
        "</p></section>"
    )
