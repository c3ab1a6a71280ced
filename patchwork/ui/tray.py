"""The tray: the reader's picture and question, which stay beside all ten chapters.

It knows no chapter and no model; values live in components, so each reader has their own.
"""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder, is_in_or_equal
from PIL import Image

from patchwork.errors import Problem
from patchwork.images import example_pictures, load_picture

QUESTION = "What is in the picture?"
PRIVACY = "Your picture stays on the machine that runs this page and is deleted after your visit."
WITH_SERVERS = "Only the arena of the last chapter can send it on, to a server that you choose there."


def build_tray(servers: bool = False) -> tuple[gr.Image, gr.Textbox]:
    """Picture, question, examples, privacy line; returns what a `Page` shares with the chapters.

    `servers`: the operator has named some that a reader may ask.
    """
    groups = [("Drawn scenes", example_pictures("drawn")), ("Photographs", example_pictures("photograph"))]
    groups = [(title, pictures) for title, pictures in groups if pictures]
    paths = [path for _, pictures in groups for _, path in pictures]
    with gr.Column(elem_id="pw-tray", min_width=0):
        picture = gr.Image(
            read_picture(paths[0]) if paths else None,
            label="Your picture",
            show_label=False,
            interactive=True,
            type="filepath",
            image_mode=None,
            format="png",
            sources=["upload", "webcam", "clipboard"],
            buttons=["fullscreen"],
            elem_id="pw-picture",
            alt_text="The picture that every chapter uses",
        )
        question = gr.Textbox(
            QUESTION, label="Your question", lines=2, max_lines=4, interactive=True, elem_id="pw-question"
        )
        strip = gr.HTML(_draw_strip(groups), js_on_load=_PICK, elem_id="pw-examples")
        gr.HTML(f'<p class="pw-privacy">{PRIVACY}{f" {WITH_SERVERS}" if servers else ""}</p>')

    def pick_example(event: gr.EventData) -> Image.Image:
        index = event.index
        if not isinstance(index, int) or not 0 <= index < len(paths):
            raise gr.Error("There is no such example; choose one from the strip.", print_exception=False)
        return read_picture(paths[index])

    strip.pick(pick_example, None, picture, api_visibility="private", show_progress="hidden")
    picture.upload(check_picture, picture, picture, preprocess=False, api_visibility="private", show_progress="hidden")
    return picture, question


def read_picture(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def check_picture(upload: dict | None) -> dict | None:
    """Nothing changes for a good picture; a bad one is taken away with one sentence that says why."""
    try:
        path = (upload or {}).get("path") or ""
        if not is_in_or_equal(path, get_upload_folder()):
            raise Problem("That picture did not arrive; upload it again.")
        load_picture(path)
    except Problem as problem:
        gr.Warning(html.escape(str(problem)))
        return None
    return gr.skip()


_PICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-index]');
  if (button) trigger('pick', {index: Number(button.dataset.index)});
});
"""


def _draw_strip(groups: list[tuple[str, list[tuple[str, Path]]]]) -> str:
    index, parts = 0, []
    for title, pictures in groups:
        parts.append(f'<h3>{title}</h3><div class="pw-strip" role="group" aria-label="{title}">')
        for caption, path in pictures:
            caption = html.escape(caption, quote=True)
            parts.append(
                f'<button type="button" data-index="{index}" title="{caption}" aria-label="Use the example: {caption}">'
                f'<img src="{_thumbnail(path)}" alt="" width="56" height="56"></button>'
            )
            index += 1
        parts.append("</div>")
    return "".join(parts)


def _thumbnail(path: Path, side: int = 112) -> str:
    image = read_picture(path)
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    square = image.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    square.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
