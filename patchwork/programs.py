"""Stand-alone programs that ask one model about one picture: one that runs here, or one behind a server."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING

from patchwork.snippets import write_options, write_prompt

if TYPE_CHECKING:
    from patchwork.catalog import Card, EndpointCard


def write_chat(card: Card | EndpointCard, most_tokens: int) -> str:
    """One question, and its answer printed."""
    return write_ask(card, most_tokens) + '\n\nprint(ask("What is in the picture?"))\n'


def write_ask(card: Card | EndpointCard, most_tokens: int) -> str:
    """Up to a function `ask(question)` about picture.png, wherever the model runs."""
    return write_ask_there(card, most_tokens) if card.host else write_ask_here(card, most_tokens)


def write_ask_here(card: Card, most_tokens: int) -> str:
    """With transformers."""
    return f'''import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

MODEL = "{card.repo}"
model = AutoModelForImageTextToText.from_pretrained(MODEL, dtype=torch.float32).eval()
processor = AutoProcessor.from_pretrained(MODEL)
image = Image.open("picture.png").convert("RGB")


def ask(question):
{indent(write_prompt(card), 4 * " ")}
    inputs = processor(images=image, text=text, return_tensors="pt"{write_options(card)})
    with torch.inference_mode():
        tokens = model.generate(**inputs, max_new_tokens={most_tokens}, do_sample=False)
    return processor.decode(tokens[0, inputs["input_ids"].shape[1]:], skip_special_tokens=True).strip()
'''


def write_ask_there(card: EndpointCard, most_tokens: int) -> str:
    """With one request a question; whoever runs it brings a key of their own, if the server asks for one."""
    return f"""import base64
import os
from pathlib import Path

import httpx

MODEL = {card.repo!r}
headers = {{"Authorization": f"Bearer {{os.environ['API_KEY']}}"}} if "API_KEY" in os.environ else {{}}
picture = base64.b64encode(Path("picture.png").read_bytes()).decode()


def ask(question):
    content = [
        {{"type": "image_url", "image_url": {{"url": f"data:image/png;base64,{{picture}}"}}}},
        {{"type": "text", "text": question}},
    ]
    request = {{"model": MODEL, "messages": [{{"role": "user", "content": content}}], "max_tokens": {most_tokens}}}
    answer = httpx.post({card.url + "/chat/completions"!r}, json=request, headers=headers, timeout=60)
    return answer.raise_for_status().json()["choices"][0]["message"]["content"].strip()
"""
