"""Kosmos-2 (Peng et al. 2023): CLIP, a resampler to 64 tokens, a decoder that writes places as patch numbers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from patchwork.errors import Problem
from patchwork.families.grounding import GroundingModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "ground"})


class Kosmos2(GroundingModel):
    """Prompts as on its model page (huggingface.co/microsoft/kosmos-2-patch14-224); it has no chat template."""

    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "trace": "Its 64 picture tokens come from a resampler, so none of them belongs to one place of the picture.",
    }
    coordinates = "kosmos2"
    prompts = {  # noqa: RUF012
        "ground": "<grounding><phrase> {phrase}</phrase>",
        "ground_all": "<grounding> An image of",
        "describe_region": "<grounding><phrase> It</phrase>{box} is",
    }

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> dict:
        if len(images) > 1:
            raise Problem(f"{self.card.title} reads one picture at a time; give it one.")
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
        """Its form of a question; without the mark `<grounding>` it answers in words alone."""
        yield from super().chat(images, f"Question: {prompt} Answer:", max_new_tokens, stop)

    def image_options(self, images: Sequence[Image.Image], max_tiles: int | None) -> dict[str, Any]:
        return {"num_image_tokens": self.model.config.latent_query_num}

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return self.model.config.latent_query_num

    def find_places(self, inputs: dict) -> torch.Tensor:
        return inputs["image_embeds_position_mask"].bool()


def load(card: Card, plan: Plan, report: Report) -> Kosmos2:
    from transformers import AutoProcessor, Kosmos2ForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(Kosmos2ForConditionalGeneration, card, plan)
    return Kosmos2(card, plan, weights, load_processor(AutoProcessor, card))
