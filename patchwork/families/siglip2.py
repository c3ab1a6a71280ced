"""SigLIP 2 with native shapes ("naflex", Tschannen et al. 2025): as many patches as the picture's shape asks for.

Its checkpoints of one fixed resolution are SigLIP's architecture, and load as that family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from patchwork.families.loading import load_processor, load_weights
from patchwork.families.siglip import Siglip

if TYPE_CHECKING:
    from PIL import Image

    from patchwork.catalog import Card
    from patchwork.families.encoders import Region
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = Siglip.capabilities


class Siglip2(Siglip):
    """Pixels stay a picture [1, 3, rows × patch, columns × patch] until the tower is called; padding is left out."""

    def make_pixels(self, image: Image.Image) -> torch.Tensor:
        found = self.image_processor()(images=image, return_tensors="pt")
        rows, columns = found["spatial_shapes"][0].tolist()
        patches = found["pixel_values"][0, : rows * columns]  # [N, patch × patch × 3]
        patch = self.patch_size()
        grid = patches.view(rows, columns, patch, patch, 3)
        return grid.permute(4, 0, 2, 1, 3).reshape(1, 3, rows * patch, columns * patch)

    def find_region(self, size: tuple[int, int], seen: tuple[int, int]) -> Region:
        """The whole picture, each side stretched a little to whole patches."""
        return (0.0, 0.0, float(size[0]), float(size[1]))

    def features_of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        patch = self.patch_size()
        rows, columns = pixels.shape[-2] // patch, pixels.shape[-1] // patch
        grid = pixels.view(-1, 3, rows, patch, columns, patch).permute(0, 2, 4, 3, 5, 1)
        found = self.model.get_image_features(
            pixel_values=grid.reshape(-1, rows * columns, patch * patch * 3),
            pixel_attention_mask=torch.ones(len(pixels), rows * columns, dtype=torch.long, device=pixels.device),
            spatial_shapes=torch.tensor([[rows, columns]] * len(pixels)),
        )
        return nn.functional.normalize(found.pooler_output.float(), dim=-1)


def load(card: Card, plan: Plan, report: Report) -> Siglip2:
    from transformers import AutoProcessor, Siglip2Model

    report(f"Reading {card.title}", None)
    return Siglip2(card, plan, load_weights(Siglip2Model, card, plan), load_processor(AutoProcessor, card))
