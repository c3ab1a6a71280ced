"""Vision towers that timm holds, such as EVA-CLIP (Sun et al. 2023). The picture side only: timm has no text towers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import nn

from patchwork.attention import active
from patchwork.families.encoders import EncoderModel
from patchwork.quantize import loading_options

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"embed_image", "attention"})


def keep_weights(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
    """Forward hook of an attention module's dropout, which passes the weights [batch, heads, tokens, tokens]."""
    recorder, owner = active.get(), module.owner[0]
    if recorder is not None and id(owner) in recorder.modules:
        recorder.maps[owner] = output if recorder.keep_graph else output[:, :, recorder.rows].detach()


class TimmVit(EncoderModel):
    capabilities = CAPABILITIES

    @property
    def prefix(self) -> int:
        return self.model.num_prefix_tokens

    def find_attention(self) -> list[nn.Module]:
        """The unfused path is chosen once, at load: a switch during a call would change other readers' runs."""
        modules = [block.attn for block in self.model.blocks]
        for attention in modules:
            attention.fused_attn = False
            attention.attn_drop.owner = [attention]  # a list, so that it is not registered as a submodule
            attention.attn_drop.register_forward_hook(keep_weights)
        return modules

    def count_heads(self) -> int:
        return self.attention[0].num_heads

    def patch_size(self) -> int:
        return self.model.patch_embed.patch_size[0]

    def processor_settings(self) -> dict[str, Any]:
        side = self.processor["input_size"][-1]
        return {
            "size": {"shortest_edge": int(side / self.processor["crop_pct"])},
            "do_center_crop": True,
            "crop_size": {"height": side, "width": side},
        }

    def make_pixels(self, image: Image.Image) -> torch.Tensor:
        import timm

        return timm.data.create_transform(**self.processor, is_training=False)(image)[None]

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.model.forward_features(pixels)

    def embed_image(self, images: Sequence[Image.Image]) -> torch.Tensor:
        with torch.inference_mode():
            rows = [self.model(self.preprocess(image)[0]).float() for image in images]
        return nn.functional.normalize(torch.cat(rows), dim=-1).cpu()


def load(card: Card, plan: Plan, report: Report) -> TimmVit:
    import timm

    report(f"Reading {card.title}", None)
    model = timm.create_model(f"hf-hub:{card.repo}", pretrained=True)
    model = model.to(plan.device, loading_options(plan.precision, plan.device)["dtype"]).eval()
    return TimmVit(card, plan, model, timm.data.resolve_model_data_config(model))
