"""LLaVA: CLIP or SigLIP tower, MLP projector, decoder (Liu et al. 2023). 1.5, interleave, and the bundled model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.cutting import CuttingModel
from patchwork.families.encoders import find_region
from patchwork.families.loading import load_processor, load_weights
from patchwork.families.protocol import PatchGrid
from patchwork.images import letterbox

if TYPE_CHECKING:
    from PIL import Image

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "ground", "read_document", "trace", "train", "several"})


class Llava(CuttingModel):
    """Whether and how a checkpoint grounds, and whether it reads pages, is its card's to say."""

    capabilities = CAPABILITIES

    def locate_tokens(self, image: Image.Image) -> PatchGrid:
        """Every patch of the tower is one token; what the processor crops away is seen by none."""
        vision = self.model.config.vision_config
        side = vision.image_size // vision.patch_size
        square, (left, top, *_) = letterbox(image) if self.card.letterbox else (image, (0.0, 0.0))
        seen = (side * vision.patch_size,) * 2
        x1, y1, x2, y2 = find_region(square.size, self.processor.image_processor.to_dict(), seen)
        return PatchGrid(side, side, (x1 + left, y1 + top, x2 + left, y2 + top))


def load(card: Card, plan: Plan, report: Report) -> Llava:
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    report(f"Reading {card.title}", None)
    return Llava(
        card, plan, load_weights(LlavaForConditionalGeneration, card, plan), load_processor(AutoProcessor, card)
    )
