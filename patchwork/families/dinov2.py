"""DINOv2 (Oquab et al. 2024), with or without registers (Darcet et al. 2024): learnt from pictures, no text side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from patchwork.attention import NAME
from patchwork.families.encoders import EncoderModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"embed_image", "attention"})


class Dinov2(EncoderModel):
    capabilities = CAPABILITIES

    @property
    def prefix(self) -> int:
        return 1 + getattr(self.model.config, "num_register_tokens", 0)

    def find_attention(self) -> list[nn.Module]:
        """The modules that call the attention interface carry `is_causal`; their depth differs between versions."""
        self.model.set_attn_implementation(NAME)
        return [module for module in self.model.encoder.modules() if hasattr(module, "is_causal")]

    def find_last_layer(self) -> nn.Module:
        return self.model.encoder.layer[-1]

    def count_heads(self) -> int:
        return self.model.config.num_attention_heads

    def patch_size(self) -> int:
        return self.model.config.patch_size

    def features_of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.model(pixel_values=pixels).pooler_output.float(), dim=-1)


def load(card: Card, plan: Plan, report: Report) -> Dinov2:
    from transformers import AutoImageProcessor, AutoModel

    report(f"Reading {card.title}", None)
    return Dinov2(card, plan, load_weights(AutoModel, card, plan), load_processor(AutoImageProcessor, card))
