"""The frame of the page: header, the reader's tray, ten tabs, presenter bar. It knows no chapter's contents."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from patchwork.ui import chapter, presenter, tray
from patchwork.ui.page import Page

if TYPE_CHECKING:
    from patchwork.demo import Demo
    from patchwork.hardware import Hardware
    from patchwork.pool import Pool

TITLE = "Patchwork — understand vision-language models by running one"

_MARK = (
    '<svg class="pw-mark" viewBox="0 0 22 22" width="22" height="22" aria-hidden="true">'
    '<rect x="0" y="0" width="10" height="10" rx="2" fill="var(--pw-visual)"/>'
    '<rect x="12" y="0" width="10" height="10" rx="5" fill="var(--pw-text)"/>'
    '<rect x="0" y="12" width="10" height="10" rx="5" fill="var(--pw-frozen)"/>'
    '<rect x="12" y="12" width="10" height="10" rx="2" fill="var(--pw-output)"/></svg>'
)


def build_shell(pool: Pool, demos: Mapping[str, Demo], **settings: Any) -> None:
    """Lay out the whole page in the current `gr.Blocks`; `settings` are those of `Page`."""
    gr.HTML(_draw_header(pool.hardware, settings.get("offline", False)), elem_id="pw-header")
    with gr.Row(elem_id="pw-stage"):
        picture, question = tray.build_tray(servers=any(card.host for card in pool.catalog.cards))
        page = Page(pool.catalog, pool.hardware, pool, picture, question, **settings)
        with gr.Column(elem_id="pw-main", min_width=0):
            tabs = chapter.build_tabs(page, demos)
    presenter.build_presenter()
    chapter.follow_address(tabs)


def _draw_header(hardware: Hardware, offline: bool) -> str:
    status = [_name_device(hardware), "offline" if offline else ""]
    words = " · ".join(html.escape(word) for word in status if word)
    return (
        f'<header class="pw-bar">{_MARK}<h1>Patchwork</h1>'
        '<p class="pw-motto">understand vision-language models by running one</p>'
        f'<p class="pw-status">{words}</p>'
        '<button type="button" class="pw-present-button" title="Presenter mode (P)">Present</button></header>'
    )


def _name_device(hardware: Hardware) -> str:
    if hardware.device == "cpu":
        return f"CPU, {hardware.cores} cores"
    return hardware.name
