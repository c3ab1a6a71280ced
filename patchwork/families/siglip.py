"""SigLIP (Zhai et al. 2023): no CLS token but a pooling head; a sigmoid judges each caption alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from patchwork.attention import watch_pooling
from patchwork.families.encoders import ContrastiveModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"embed_image", "embed_text", "attention"})


class Siglip(ContrastiveModel):
    capabilities = CAPABILITIES
    prefix = 0
    queries = ("pool", "mean", "patch")
    rule = "sigmoid"

    def find_attention(self) -> list[nn.Module]:
        self.pooling = self.model.vision_model.head.attention
        watch_pooling(self.pooling)
        return super().find_attention()

    def project_patches(self, hidden: torch.Tensor) -> torch.Tensor:
        """As if the pooling head looked at each patch alone."""
        tower = self.model.vision_model
        return tower.head(tower.post_layernorm(hidden)[:, None])

    def text_tokens(self, texts: Sequence[str], padding: bool | str = "max_length") -> dict:
        """Padded to the full length, padding unmasked: SigLIP was trained so, and reads the last place."""
        return {"input_ids": super().text_tokens(texts, padding)["input_ids"]}


def load(card: Card, plan: Plan, report: Report) -> Siglip:
    from transformers import AutoProcessor, SiglipModel

    report(f"Reading {card.title}", None)
    return Siglip(card, plan, load_weights(SiglipModel, card, plan), load_processor(AutoProcessor, card))
