"""What models write a page out in, Markdown or DocTags → safe HTML. Knows no model."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
"""A model's text is shown as text: no markup of its own, no picture and no link that would leave the page."""
DOCTAG = re.compile(r"<(/?)([a-z_]+)(?:_level_(\d))?>")
PLACES = re.compile(r"<loc_\d+>")


def render_markup(text: str) -> str:
    """Markdown, or DocTags as Docling's models write them, as safe HTML. Tables of DocTags keep rows and cells."""
    if "<doctag>" not in text and not PLACES.search(text):
        return MARKDOWN.render(text)
    plain = PLACES.sub("", text)
    for mark, sign in (("<nl>", "\n"), ("<fcel>", " | "), ("<ched>", " | "), ("<rhed>", " | "), ("<ecel>", " | ")):
        plain = plain.replace(mark, sign)
    lines = []
    for block in re.findall(r"<(\w+)>([^<]*)", plain):
        kind, words = block
        if words.strip():
            head = "#" * min(6, 1 + int(kind[-1])) + " " if kind.startswith("section_header") else ""
            lines.append(("# " if kind == "title" else head) + words.strip().replace("\n", "  \n"))
    return MARKDOWN.render("\n\n".join(lines))
