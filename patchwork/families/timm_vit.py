"""Vision towers that timm holds, such as EVA-CLIP (Sun et al. 2023). The picture side only: timm has no text towers."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from torch import nn

from patchwork.attention import watch_weights
from patchwork.errors import Problem
from patchwork.families.encoders import EncoderModel, Region, find_region
from patchwork.quantize import loading_options

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"embed_image", "attention"})


class TimmVit(EncoderModel):
    """`processor` is timm's data configuration: input_size, crop_pct, crop_mode, interpolation, mean, std."""

    capabilities = CAPABILITIES

    @property
    def prefix(self) -> int:
        return self.model.num_prefix_tokens

    def find_attention(self) -> list[nn.Module]:
        """The unfused path is chosen once, at load: a switch during a call would change other readers' runs."""
        for block in self.model.blocks:
            block.attn.fused_attn = False
            watch_weights(block.attn.attn_drop)
        return [block.attn.attn_drop for block in self.model.blocks]

    def find_last_layer(self) -> nn.Module:
        return self.model.blocks[-1]

    def count_heads(self) -> int:
        return self.model.blocks[0].attn.num_heads

    def patch_size(self) -> int:
        return self.model.patch_embed.patch_size[0]

    def build_untrained(self) -> nn.Module:
        """timm keeps no configuration to build from again: a copy whose every part draws its first weights anew."""
        fresh = deepcopy(self.model)
        for module in fresh.modules():
            module._forward_hooks.clear()  # this class installs its own again
            getattr(module, "reset_parameters", lambda: None)()
            for weights in module.parameters(recurse=False):
                if not hasattr(module, "reset_parameters"):
                    nn.init.normal_(weights, std=0.02)
        return fresh

    def find_region(self, size: tuple[int, int], seen: tuple[int, int]) -> Region:
        """timm's "center" mode: shorter edge to input ÷ crop_pct, then torchvision's centre crop (half to even)."""
        side = self.processor["input_size"][-1]
        settings = {
            "size": {"shortest_edge": int(side / self.processor["crop_pct"])},
            "do_center_crop": True,
            "crop_size": {"height": side, "width": side},
        }
        return find_region(size, settings, seen, halve=lambda space: round(space / 2))

    def make_pixels(self, image: Image.Image) -> torch.Tensor:
        from timm.data import create_transform

        return create_transform(**self.processor, is_training=False)(image)[None]

    def features_of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        return nn.functional.normalize(self.model(pixels).float(), dim=-1)


def find_folder(card: Card) -> str:
    """Where the checkpoint's files lie: a local folder, or the cache. Fetching is `hub.fetch`'s work."""
    if Path(card.location).is_dir():
        return card.location
    from huggingface_hub import snapshot_download

    return snapshot_download(card.repo, revision=card.revision, local_files_only=True)


def load(card: Card, plan: Plan, report: Report) -> TimmVit:
    """Raises `Problem` in 8 or 4 bits, which timm's models do not have."""
    import timm
    from timm.data import resolve_model_data_config

    if plan.precision in ("int8", "nf4"):
        raise Problem(f"{card.title} runs in 16 or 32 bits only; choose one of these precisions.")
    report(f"Reading {card.title}", None)
    model = timm.create_model(f"local-dir:{find_folder(card)}", pretrained=True)
    model = model.to(plan.device, loading_options(plan.precision, plan.device)["dtype"]).eval()
    settings = resolve_model_data_config(model)
    if settings["crop_mode"] != "center":
        raise Problem(f"{card.title} crops its pictures in a way that is not known here; choose another checkpoint.")
    return TimmVit(card, plan, model, settings)
