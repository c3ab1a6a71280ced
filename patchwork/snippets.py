"""Lines that the stand-alone programs of “Show me the code” share. Knows no demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patchwork.catalog import Card

TEMPLATE = """content = [{"type": "image"}, {"type": "text", "text": question}]
text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)"""

NO_TEMPLATE = {  # families whose model pages write the prompt out
    "blip2": 'text = f"Question: {question} Answer:"',
    "kosmos2": 'text = f"Question: {question} Answer:"',
    "paligemma": 'text = f"<image>answer en {question}"',
}
ONE_VIEW = ("idefics3", "smolvlm2")
"""Families that cut every picture into tiles unless they are told not to."""


def write_prompt(card: Card) -> str:
    """From a variable `question` to a variable `text`."""
    return NO_TEMPLATE.get(card.family, TEMPLATE)


def write_options(card: Card) -> str:
    """What else the processor is told, ready to follow other arguments."""
    return ", do_image_splitting=False" if card.family in ONE_VIEW else ""
