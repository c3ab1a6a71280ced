"""CLIP (Radford et al. 2021): a CLS token sums the picture up; captions compete under a softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.encoders import ContrastiveModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"embed_image", "embed_text", "attention", "fusion"})


class Clip(ContrastiveModel):
    capabilities = CAPABILITIES


def load(card: Card, plan: Plan, report: Report) -> Clip:
    from transformers import AutoProcessor, CLIPModel

    report(f"Reading {card.title}", None)
    return Clip(card, plan, load_weights(CLIPModel, card, plan), load_processor(AutoProcessor, card))
