"""Chapters 5 and 6 count LLaVA's parts as the real architectures have them, built without memory on the meta device."""

import json

import pytest
import torch
from torch import nn
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from patchwork.catalog import load_catalog
from patchwork.families.parts import find_parts
from patchwork.tiny import WEIGHTS
from tests.node import ask_simulation

VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}
LANGUAGE = {
    "7b": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32},
    "13b": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
}


def build_config(name: str) -> LlavaConfig:
    """The published sizes; the bundled model's file as it is shipped."""
    if name == "tiny":
        return LlavaConfig(**json.loads((WEIGHTS / "llava" / "config.json").read_text()))
    text = LlamaConfig(vocab_size=32064, tie_word_embeddings=False, **LANGUAGE[name])
    return LlavaConfig(vision_config=CLIPVisionConfig(**VISION), text_config=text, tie_word_embeddings=False)


@pytest.fixture(scope="module", params=["7b", "13b", "tiny"])
def built(request):
    with torch.device("meta"):
        model = LlavaForConditionalGeneration(build_config(request.param))
        model.tie_weights()
    return request.param, model, find_parts(model)


def count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters())


def test_the_forward_pass_counts_the_real_parts(built):
    name, model, parts = built
    (known,) = ask_simulation("ch05_llava", states=[{"model": name, "question": "one two three"}])["facts"]
    vision = model.config.vision_config
    assert known["patches"] == (vision.image_size // vision.patch_size) ** 2
    assert known["row"] == known["patches"] + 3
    assert known["tower"] == count(parts.tower)
    assert known["projector"] == count(parts.projector)
    assert known["total"] == count(model)
    assert (known["width"], known["layers"]) == (parts.language.config.hidden_size, len(parts.layers))


def test_the_seven_billion_model_is_the_catalog_s():
    (known,) = ask_simulation("ch05_llava", states=[{"model": "7b", "question": "x"}])["facts"]
    assert known["total"] == load_catalog().get("llava-1.5-7b").parameters
    assert known["projector"] == 20_979_712  # 1024 × 4096 + 4096 + 4096 × 4096 + 4096


def count_adapters(language: nn.Module, rank: int) -> int:
    """Two thin matrices beside each matrix of the decoder's layers: rank × (in + out)."""
    matrices = [module for module in language.layers.modules() if isinstance(module, nn.Linear)]
    return sum(rank * (matrix.in_features + matrix.out_features) for matrix in matrices)


@pytest.mark.parametrize(
    ("stage", "method", "precision"),
    [(1, "full", "mixed"), (1, "lora", "fp32"), (2, "full", "mixed"), (2, "full", "fp32"), (2, "lora", "mixed")],
)
def test_the_stages_add_up_the_real_parts(built, stage, method, precision):
    """Bytes by hand: frozen 2 or 4; trainable weights 6 or 4, gradient 4, AdamW 8."""
    name, model, parts = built
    state = {"model": name, "stage": stage, "method": method, "precision": precision, "rank": 64}
    (known,) = ask_simulation("ch06_training", states=[state])["facts"]
    language = count(model) - count(parts.tower) - count(parts.projector)
    trainable, frozen = count(parts.projector), count(parts.tower) + language
    if stage == 2 and method == "full":
        trainable, frozen = trainable + language, frozen - language
    elif stage == 2:
        trainable += count_adapters(parts.language, 64)
    assert (known["trainable"], known["frozen"]) == (trainable, frozen)
    weights = {"mixed": 2 * frozen + 6 * trainable, "fp32": 4 * frozen + 4 * trainable}[precision]
    assert known["weightBytes"] == weights
    assert known["totalBytes"] == weights + 12 * trainable


def test_qlora_keeps_the_decoder_s_matrices_in_four_bits_and_a_little(built):
    """bitsandbytes' layout: 4 bits, one 8-bit constant for 64 weights, one 32-bit constant for 256 of those."""
    name, model, parts = built
    state = {"model": name, "stage": 2, "method": "qlora", "precision": "mixed", "rank": 64}
    (known,) = ask_simulation("ch06_training", states=[state])["facts"]
    linear = [module for module in parts.language.layers.modules() if isinstance(module, nn.Linear)]
    packed = sum(matrix.weight.numel() for matrix in linear)
    rest = count(model) - count(parts.projector) - packed
    trainable = count(parts.projector) + count_adapters(parts.language, 64)
    expected = packed / 2 + packed / 64 + 4 * packed / (64 * 256) + 2 * rest + 6 * trainable
    assert known["weightBytes"] == pytest.approx(expected)
