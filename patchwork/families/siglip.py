"""SigLIP (Zhai et al. 2023): no CLS token but a pooling head; a sigmoid judges each caption alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

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

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.vision()(pixel_values=pixels).last_hidden_state

    def pool_weights(self, hidden: torch.Tensor) -> torch.Tensor:
        """The pooling head's attention once more, with its weights this time: [heads, N]."""
        head = self.vision().head
        probe = head.probe.to(hidden.dtype)
        return head.attention(probe, hidden, hidden, need_weights=True, average_attn_weights=False)[1][0, :, 0]

    def text_tokens(self, texts: Sequence[str]) -> dict:
        """Padded to the full length: SigLIP was trained so, and its text tower reads the last place."""
        length = self.model.config.text_config.max_position_embeddings
        return self.processor.tokenizer(
            list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        ).to(self.model.device)


def load(card: Card, plan: Plan, report: Report) -> Siglip:
    from transformers import AutoProcessor, SiglipModel

    report(f"Reading {card.title}", None)
    return Siglip(card, plan, load_weights(SiglipModel, card, plan), load_processor(AutoProcessor, card))
