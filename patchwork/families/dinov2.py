"""DINOv2 (Oquab et al. 2024), with or without registers (Darcet et al. 2024): learnt from pictures, no text side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from PIL import Image
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
        self.model.set_attn_implementation(NAME)
        return [module for name, module in self.model.named_modules() if name.endswith("attention.attention")]

    def count_heads(self) -> int:
        return self.model.config.num_attention_heads

    def patch_size(self) -> int:
        return self.model.config.patch_size

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=pixels).last_hidden_state

    def embed_image(self, images: Sequence[Image.Image]) -> torch.Tensor:
        with torch.inference_mode():
            rows = [self.encode(self.preprocess(image)[0])[:, 0].float() for image in images]
        return nn.functional.normalize(torch.cat(rows), dim=-1).cpu()


def load(card: Card, plan: Plan, report: Report) -> Dinov2:
    from transformers import AutoImageProcessor, AutoModel

    report(f"Reading {card.title}", None)
    return Dinov2(card, plan, load_weights(AutoModel, card, plan), load_processor(AutoImageProcessor, card))
