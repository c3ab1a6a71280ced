"""A chapter's simulation as one component; it runs in the browser alone and needs no model."""

from __future__ import annotations

import json

import gradio as gr

from patchwork.lessons import Chapter


def build_simulation(chapter: Chapter) -> None:
    """The chapter's own html, css and js; the drawing kit is in the page's head already."""
    simulation = chapter.simulation
    gr.HTML(
        f"<style>{simulation.css}</style>{simulation.html}",
        js_on_load=f"{simulation.js}\nPatchwork.mount({json.dumps(chapter.id)}, element);",
        elem_id=f"pw-simulation-{chapter.id}",
        elem_classes="pw-simulation",
        padding=False,
    )
