"""The course's table of contents and the contents of one tab; it knows no model and no other part of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gradio as gr

from patchwork.lessons import load_chapters
from patchwork.ui.hero import build_hero
from patchwork.ui.lesson import build_chapter
from patchwork.ui.page import Page

if TYPE_CHECKING:
    from patchwork.demo import Demo
    from patchwork.lessons import Chapter


@dataclass(frozen=True)
class Entry:
    """One tab: `id` is what `?chapter=` says, `label` what the tab bar says."""

    number: int
    id: str
    label: str
    title: str


CONTENTS = tuple(
    Entry(number, *names)
    for number, names in enumerate(
        [
            ("modalities", "Modalities", "Two modalities, one model"),
            ("encoders", "Encoders", "Vision encoders"),
            ("bridge", "Bridge", "The projection bridge"),
            ("fusion", "Fusion", "Fusion strategies"),
            ("instruction", "Instruction", "Visual instruction tuning"),
            ("llava", "LLaVA", "The LLaVA architecture"),
            ("training", "Training", "The training pipeline"),
            ("grounding", "Grounding", "Grounding and spatial understanding"),
            ("documents", "Documents", "Document understanding"),
            ("frontier", "Frontier", "Frontier VLMs"),
        ]
    )
)


def build_tabs(page: Page, demos: Mapping[str, Demo]) -> gr.Tabs:
    """Ten tabs; the first screen's hero stands above the first chapter. Raises `Problem` for a mistake in a lesson."""
    lessons = load_chapters()
    with gr.Tabs(elem_id="pw-chapters", overflow_behavior="wrap") as tabs:
        for entry in CONTENTS:
            with gr.Tab(f"{entry.number} {entry.label}", id=entry.id, elem_id=f"pw-chapter-{entry.id}") as tab:
                if entry.number == 0:
                    build_hero(page, demos)
                fill_tab(entry, lessons[entry.id], page, demos)
            tab.select(fn=None, js=_write_address(entry.id), api_visibility="private")
    return tabs


def fill_tab(entry: Entry, lesson: Chapter, page: Page, demos: Mapping[str, Demo]) -> None:
    """The chapter's heading and its lesson."""
    gr.HTML(
        f'<header class="pw-title"><span class="pw-number">Chapter {entry.number}</span><h2>{entry.title}</h2></header>'
    )
    build_chapter(lesson, page, demos, CONTENTS)


def follow_address(tabs: gr.Tabs) -> None:
    """Open the chapter that the page's address names; an unknown one opens the first."""
    gr.context.Context.root_block.load(fn=None, outputs=tabs, js=_READ_ADDRESS, api_visibility="private", queue=False)


_READ_ADDRESS = """() => {
  const chapter = window.PATCHWORK.chapter;
  window.PATCHWORK.started = true;
  return chapter ? {__type__: 'update', selected: chapter} : {__type__: 'update'};
}"""


def _write_address(chapter: str) -> str:
    return f"""() => {{
  const address = new URL(location);
  address.searchParams.set('chapter', '{chapter}');
  history.replaceState({{}}, '', address);
}}"""
