"""SmolVLM2 (Marafioti et al. 2025): SmolVLM's tower, bridge and tiles, trained on video too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.idefics3 import Idefics3
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = Idefics3.capabilities


def load(card: Card, plan: Plan, report: Report) -> Idefics3:
    from transformers import AutoProcessor, SmolVLMForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(SmolVLMForConditionalGeneration, card, plan)
    return Idefics3(card, plan, weights, load_processor(AutoProcessor, card))
