"""BLIP-2 (Li et al. 2023): a Q-Former asks the frozen encoder 32 questions, and the decoder reads the answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from patchwork.errors import Problem
from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat"})


class Blip2(ChatModel):
    """The form of a question as on its model page (huggingface.co/Salesforce/blip2-opt-2.7b); no chat template."""

    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "trace": "Its 32 picture tokens come from a Q-Former, so none of them belongs to one place of the picture.",
    }

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> dict:
        if len(images) != 1:
            raise Problem(f"{self.card.title} answers about one picture at a time; give it one.")
        return super().prepare(images, prompt)

    def write_prompt(self, pictures: int, prompt: str) -> str:
        return prompt

    def chat(
        self,
        images: Sequence[Image.Image],
        prompt: str,
        max_new_tokens: int = 128,
        stop: threading.Event | None = None,
        max_tiles: int | None = None,
    ) -> Iterator[str]:
        yield from super().chat(images, f"Question: {prompt} Answer:", max_new_tokens, stop)

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return self.model.config.num_query_tokens


def load(card: Card, plan: Plan, report: Report) -> Blip2:
    from transformers import AutoProcessor, Blip2ForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(Blip2ForConditionalGeneration, card, plan)
    return Blip2(card, plan, weights, load_processor(AutoProcessor, card))
