"""What looking at attention costs: one recorded row beside a plain forward pass and beside eager's stored maps."""

from __future__ import annotations

from bench.ratio import Ratio, compare, time_call


def build_tower():
    """CLIP ViT-B/16's vision tower at 224 px, full size, random weights: the weights do not change the cost."""
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, patch_size=16
    )
    return CLIPVisionModel(config).eval(), torch.randn(1, 3, 224, 224)


def measure(pairs: int = 15) -> list[Ratio]:
    import torch

    from patchwork.attention import record

    tower, pixels = build_tower()
    last = [list(attention_modules(tower))[-1]]

    def plain() -> float:
        tower.set_attn_implementation("sdpa")
        with torch.inference_mode():
            return time_call(lambda: tower(pixels))

    def recorded() -> float:
        tower.set_attn_implementation("record_sdpa")
        with torch.inference_mode(), record(last, rows=slice(0, 1)):
            return time_call(lambda: tower(pixels))

    with torch.inference_mode(), record(last, rows=slice(0, 1)) as recorder:
        tower.set_attn_implementation("record_sdpa")
        tower(pixels)
    kept = sum(weights.numel() * weights.element_size() for weights in recorder.maps.values())
    tower.set_attn_implementation("eager")
    with torch.inference_mode():
        eager = tower(pixels, output_attentions=True).attentions
    stored = sum(weights.numel() * weights.element_size() for weights in eager)
    plain(), recorded()
    return [
        compare("attention capture ÷ plain forward", recorded, plain, pairs, "CLS row of the last layer, ViT-B/16"),
        Ratio("bytes kept ÷ eager's maps", kept / stored, kept / stored, kept / stored, 1, f"{kept} of {stored} bytes"),
    ]


def attention_modules(tower):
    """Every attention module in layer order."""
    return (module for name, module in tower.named_modules() if name.endswith("self_attn"))
