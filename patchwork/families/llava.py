"""LLaVA: CLIP or SigLIP tower, MLP projector, decoder (Liu et al. 2023). 1.5, interleave, and the bundled model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "ground", "trace"})


def load(card: Card, plan: Plan, report: Report) -> ChatModel:
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    report(f"Reading {card.title}", None)
    return ChatModel(
        card, plan, load_weights(LlavaForConditionalGeneration, card, plan), load_processor(AutoProcessor, card)
    )
