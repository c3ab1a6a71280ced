"""Bridges of real models, built from their published configurations on the meta device: shapes and parameters.

`python -m patchwork.bridges` prints them. Nothing is downloaded and no memory is used: a meta tensor has a shape and
no values, so each bridge runs on one to show what it takes and what it gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Counted:
    """`taken` and `given`: [vectors, width] of one picture (one tile) before and behind the bridge."""

    model: str
    kind: str
    taken: tuple[int, int]
    given: tuple[int, int]
    parameters: int


def build_llava() -> nn.Module:
    """Two linear layers with GELU between them."""
    from transformers import LlavaConfig
    from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

    vision = {"model_type": "clip_vision_model", "hidden_size": 1024, "num_attention_heads": 16}
    text = {"model_type": "llama", "hidden_size": 4096}
    return LlavaMultiModalProjector(LlavaConfig(vision_config=vision, text_config=text))


def build_internvl() -> nn.Module:
    """Four neighbours become one vector of four times the width; a norm and two linear layers follow."""
    from transformers import InternVLConfig
    from transformers.models.internvl.modeling_internvl import InternVLMultiModalProjector

    text = {"model_type": "qwen2", "hidden_size": 896, "num_attention_heads": 14}
    return InternVLMultiModalProjector(InternVLConfig(vision_config={"hidden_size": 1024}, text_config=text))


def build_qwen() -> nn.Module:
    """The same idea inside the tower: norm, four neighbours together, two linear layers."""
    from transformers.models.qwen2_vl.modeling_qwen2_vl import PatchMerger

    return PatchMerger(dim=1536, context_dim=1280, spatial_merge_size=2)


def build_smolvlm() -> nn.Module:
    """Sixteen neighbours become one vector; one matrix without a bias follows."""
    from transformers import Idefics3Config
    from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector

    text = {"model_type": "llama", "hidden_size": 576, "num_attention_heads": 9}
    return Idefics3Connector(Idefics3Config(vision_config={"hidden_size": 768}, text_config=text, scale_factor=4))


def build_idefics() -> nn.Module:
    """An open Flamingo's Perceiver resampler: 64 learned queries read the patches in six blocks."""
    from transformers import IdeficsConfig
    from transformers.models.idefics.perceiver import IdeficsPerceiverResampler

    config = IdeficsConfig(
        vision_config={"embed_dim": 1280}, perceiver_config={"use_resampler": True, "qk_layer_norms_perceiver": True}
    )
    return IdeficsPerceiverResampler(config, embed_dim=1280, depth=6, n_heads=16, head_dim=96, n_latents=64)


MODELS: tuple[tuple[str, str, Callable[[], nn.Module], tuple[int, ...]], ...] = (
    ("LLaVA-1.5-7B", "two-layer MLP", build_llava, (1, 576, 1024)),
    ("InternVL3-1B", "merge 2 × 2, two-layer MLP", build_internvl, (1, 256, 4 * 1024)),
    ("Qwen2-VL-2B", "merge 2 × 2, two-layer MLP", build_qwen, (1024, 1280)),
    ("SmolVLM-256M", "merge 4 × 4, one matrix", build_smolvlm, (1, 1024, 768)),
    ("IDEFICS-9B", "resampler, 64 queries", build_idefics, (1, 257, 1280)),
)
"""Model, kind of bridge, how to build it, and the shape that its encoder gives it for one picture or tile."""


def count_bridge(model: str, kind: str, build: Callable[[], nn.Module], shape: tuple[int, ...]) -> Counted:
    with torch.device("meta"):
        bridge = build().eval()
        given = bridge(torch.empty(shape))
    parameters = sum(weight.numel() for weight in bridge.parameters())
    return Counted(model, kind, shape[-2:], tuple(given.shape[-2:]), parameters)


def count_bridges() -> list[Counted]:
    return [count_bridge(*model) for model in MODELS]


if __name__ == "__main__":
    for one in count_bridges():
        print(f"{one.model:14} {one.kind:28} {one.taken!s:14} → {one.given!s:14} {one.parameters:>12,}")
