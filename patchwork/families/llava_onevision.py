"""LLaVA-OneVision (Li et al. 2024): SigLIP, Qwen2, a canvas of up to 6 × 6 tiles resampled to the patches of nine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.llava_next import LlavaNext
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = LlavaNext.capabilities | {"several"}


class LlavaOnevision(LlavaNext):
    capabilities = CAPABILITIES

    def limit_patches(self) -> int:
        """ "anyres_max_9": the patches of nine tiles."""
        return int(self.model.config.vision_aspect_ratio.removeprefix("anyres_max_")) * self.count_side() ** 2


def load(card: Card, plan: Plan, report: Report) -> LlavaOnevision:
    from transformers import AutoProcessor, LlavaOnevisionForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(LlavaOnevisionForConditionalGeneration, card, plan)
    return LlavaOnevision(card, plan, weights, load_processor(AutoProcessor, card))
