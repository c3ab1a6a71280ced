"""One chapter's page: prose, simulation, live demos, quiz, sources, the way on. It knows no chapter's contents."""

from __future__ import annotations

import base64
import html
import mimetypes
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import gradio as gr
from markdown_it import MarkdownIt

from patchwork.catalog import suggest
from patchwork.errors import Problem
from patchwork.lessons import CITATION, Block, Chapter, find_citations
from patchwork.ui.quiz import build_quiz
from patchwork.ui.simulation import build_simulation

if TYPE_CHECKING:
    from patchwork.demo import Demo
    from patchwork.ui.page import Page

FORMULA = [{"left": "$$", "right": "$$", "display": True}]
_MARKDOWN = MarkdownIt("commonmark", {"html": True, "typographer": True}).enable(["table", "smartquotes"])
_CITED = re.compile(r"(?<=\S) *" + CITATION.pattern)
"""The space before a citation goes, so that its number stays with the word it belongs to."""


class Entry(Protocol):
    """A line of the table of contents."""

    number: int
    id: str
    title: str


def build_chapter(chapter: Chapter, page: Page, demos: Mapping[str, Demo], contents: Sequence[Entry] = ()) -> None:
    """Lay out a chapter in the current `gr.Tab`. Raises `Problem` for a demo that does not exist."""
    with gr.Column(elem_classes="pw-lesson", elem_id=f"pw-lesson-{chapter.id}"):
        gr.HTML(draw_head(chapter, contents), padding=False)
        for block in chapter.blocks:
            build_block(block, chapter, page, demos)
        gr.HTML(
            draw_end(chapter, contents),
            js_on_load="Patchwork.mountLessonEnd(element);",
            padding=False,
        )


def build_block(block: Block, chapter: Chapter, page: Page, demos: Mapping[str, Demo]) -> None:
    if block.kind == "prose":
        gr.HTML(draw_prose(block, chapter), padding=False)
    elif block.kind == "formula":
        gr.Markdown(f"$$\n{block.text}\n$$", latex_delimiters=FORMULA, elem_classes="pw-formula")
    elif block.kind == "figure":
        gr.HTML(draw_figure(block, chapter), padding=False)
    elif block.kind == "simulation":
        build_simulation(chapter)
    elif block.kind == "quiz":
        build_quiz(chapter)
    elif block.text in demos:
        demos[block.text].build(page)
    else:
        where = f"lessons/{chapter.folder.name}/lesson.md:{block.line}"
        raise Problem(f"{where}: there is no live demo {block.text!r}{suggest(block.text, demos)}.")


def draw_prose(block: Block, chapter: Chapter) -> str:
    """Markdown → HTML; `[@key]` becomes a numbered link to the list of sources."""
    rendered = _MARKDOWN.render(_CITED.sub(partial(_draw_citation, chapter), block.text))
    rendered = rendered.replace("<table>", '<div class="pw-table" tabindex="0"><table>')
    return f'<div class="pw-prose">{rendered.replace("</table>", "</table></div>")}</div>'


def _draw_citation(chapter: Chapter, match: re.Match[str]) -> str:
    """Nothing is loaded from elsewhere: the link stays on the page, its title names the source."""
    links = []
    for key in find_citations(match[0]):
        source, number = chapter.source(key), chapter.cite(key)
        title = html.escape(f"{source.text} ({source.year})", quote=True)
        links.append(f'<a href="#{chapter.id}-source-{number}" title="{title}">{number}</a>')
    return f'<sup class="pw-cite">[{", ".join(links)}]</sup>'


def draw_figure(block: Block, chapter: Chapter) -> str:
    """SVG becomes part of the page, so that it takes the theme's colours; anything else is embedded."""
    path = chapter.folder / block.text
    alt = html.escape(block.alt, quote=True)
    if path.suffix == ".svg":
        picture = f'<div role="img" aria-label="{alt}">{path.read_text(encoding="utf-8")}</div>'
    else:
        kind = mimetypes.guess_type(path.name)[0] or "image/png"
        data = base64.b64encode(path.read_bytes()).decode()
        picture = f'<img src="data:{kind};base64,{data}" alt="{alt}">'
    return f'<figure class="pw-illustration">{picture}<figcaption>{html.escape(block.alt)}</figcaption></figure>'


def draw_head(chapter: Chapter, contents: Sequence[Entry]) -> str:
    dots = "".join(_draw_dot(entry, entry.id == chapter.id) for entry in contents)
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in chapter.notes)
    return (
        f'<p class="pw-goal">{html.escape(chapter.goal)} <span class="pw-minutes">{chapter.minutes} minutes</span></p>'
        f'<nav class="pw-progress-dots" aria-label="Chapters read">{dots}</nav>'
        f'<aside class="pw-notes" aria-label="Speaker notes"><ul>{notes}</ul></aside>'
    )


def _draw_dot(entry: Entry, here: bool) -> str:
    current = ' aria-current="page"' if here else ""
    title = html.escape(f"{entry.number} · {entry.title}", quote=True)
    return (
        f'<a href="?chapter={entry.id}" data-goto="{entry.number}" data-chapter="{entry.id}" '
        f'data-title="{title}"{current}></a>'
    )


def draw_end(chapter: Chapter, contents: Sequence[Entry]) -> str:
    """Sources in the order of their numbers, then the neighbouring chapters."""
    items = []
    for number, key in enumerate(chapter.cited(), start=1):
        source = chapter.source(key)
        address = html.escape(source.url, quote=True)
        items.append(
            f'<li id="{chapter.id}-source-{number}">{html.escape(source.text)}, {source.year}. '
            f'<a href="{address}" target="_blank" rel="noopener noreferrer">{address.removeprefix("https://")}</a></li>'
        )
    sources = f'<section class="pw-sources"><h2>Sources</h2><ol>{"".join(items)}</ol></section>' if items else ""
    way = "".join(_draw_way(entry, chapter.number) for entry in contents if abs(entry.number - chapter.number) == 1)
    return (
        f'{sources}<nav class="pw-way" data-chapter-end="{chapter.id}" aria-label="Neighbouring chapters">{way}</nav>'
    )


def _draw_way(entry: Entry, here: int) -> str:
    side, words = ("next", "Next") if entry.number > here else ("previous", "Previous")
    return (
        f'<a class="pw-way-{side}" href="?chapter={entry.id}" data-goto="{entry.number}">'
        f"<span>{words}</span> {entry.number} · {html.escape(entry.title)}</a>"
    )
