"""Presenter mode's bar; the keys live in `static/app.js`. It knows only that there are chapters with titles."""

from __future__ import annotations

import html

import gradio as gr

from patchwork.ui.chapter import CONTENTS

KEYS = [("P", "presenter mode"), ("← →", "chapters"), ("0–9", "jump"), ("R", "run"), ("Esc", "leave")]


def build_presenter() -> None:
    """A bar at the foot of the screen, shown only in presenter mode: chapter, keys, clock."""
    titles = "".join(
        f'<span data-chapter="{entry.number}" hidden>{entry.number} · {html.escape(entry.title)}</span>'
        for entry in CONTENTS
    )
    keys = "".join(f"<span><kbd>{key}</kbd> {meaning}</span>" for key, meaning in KEYS[1:])
    gr.HTML(
        f'<div class="pw-where">{titles}</div><div class="pw-keys">{keys}</div><time class="pw-clock"></time>',
        elem_id="pw-presenter",
    )
