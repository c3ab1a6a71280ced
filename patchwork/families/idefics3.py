"""Idefics3 and SmolVLM v1: SigLIP tower, pixel shuffle, tiles (Laurençon et al. 2024; Marafioti et al. 2025)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.families.protocol import PatchGrid

if TYPE_CHECKING:
    from PIL import Image

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "read_document", "trace"})


class Idefics3(ChatModel):
    def image_options(self, max_tiles: int | None = None) -> dict[str, Any]:
        """One view instead of up to seventeen tiles: a photograph needs no more, and tiles take most of the time."""
        return {"do_image_splitting": False}

    def locate_tokens(self, image: Image.Image) -> PatchGrid:
        """One view is the whole picture, stretched to a square; the pixel shuffle keeps reading order."""
        vision, factor = self.model.config.vision_config, self.model.config.scale_factor
        side = vision.image_size // vision.patch_size // factor
        return PatchGrid(side, side, (0.0, 0.0, float(image.width), float(image.height)))


def load(card: Card, plan: Plan, report: Report) -> Idefics3:
    from transformers import AutoProcessor, Idefics3ForConditionalGeneration

    report(f"Reading {card.title}", None)
    return Idefics3(
        card, plan, load_weights(Idefics3ForConditionalGeneration, card, plan), load_processor(AutoProcessor, card)
    )
