"""What every part of the page shares: the engine's objects and the reader's picture and question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gradio as gr

if TYPE_CHECKING:
    from patchwork.catalog import Catalog
    from patchwork.hardware import Hardware
    from patchwork.pool import Pool
    from patchwork.recording import Recording

ON_STAGE = """(_, ...values) => [document.documentElement.classList.contains('pw-presenting'), ...values]"""
"""For an event whose first input is a hidden checkbox: whether presenter mode is on, which only the browser knows."""


@dataclass(frozen=True)
class Page:
    """`picture` holds a path to the reader's file (read it only through `images.load_picture`). `training`: whether
    readers may train the bundled model here. `stand_ins`: by demo, what steps in on stage when a live run has shown
    nothing for `patience` seconds."""

    catalog: Catalog
    hardware: Hardware
    pool: Pool
    picture: gr.Image
    question: gr.Textbox
    offline: bool = False
    training: bool = True
    stand_ins: Mapping[str, Recording] = field(default_factory=dict)
    patience: float = 8.0
