"""Florence-2 (Xiao et al. 2023): DaViT encoder, BART, one task token for each thing it can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from patchwork.families.grounding import GroundingModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"ground", "read_document"})


class Florence2(GroundingModel):
    """Task tokens as on its model page (huggingface.co/microsoft/Florence-2-base); the processor spells them out."""

    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "chat": "Florence-2 does the tasks it has tokens for; it answers no free questions.",
        "attention": "Its picture encoder attends within windows and across channels, so no map covers the picture.",
        "trace": "Its answer reads the picture through cross-attention, so there is no one sequence to follow.",
    }
    reads = frozenset({"page"})
    page_prompt = "<OCR>"
    coordinates = "florence2"
    prompts = {  # noqa: RUF012
        "ground": "<CAPTION_TO_PHRASE_GROUNDING>{phrase}",
        "ground_all": "<OD>",
        "describe_region": "<REGION_TO_DESCRIPTION>{box}",
    }

    def write_prompt(self, pictures: int, prompt: str) -> str:
        return prompt

    def read_document(self, images: Sequence[Image.Image], *args, **options):
        """One page a call: it was trained with one picture."""
        for image in images:
            yield from super().read_document([image], *args, **options)


def load(card: Card, plan: Plan, report: Report) -> Florence2:
    from transformers import AutoProcessor, Florence2ForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(Florence2ForConditionalGeneration, card, plan)
    return Florence2(card, plan, weights, load_processor(AutoProcessor, card))
