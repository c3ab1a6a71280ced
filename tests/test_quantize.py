"""Precision: what is asked of `from_pretrained` on each device, and the copy that a CPU quantizes once.

There is no GPU where these tests run: what they say about CUDA is what would be asked for, not what happened.
"""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from patchwork import quantize
from patchwork.families import get_family
from patchwork.families.loading import load_weights
from patchwork.quantize import count_unquantized, keep_copy, loading_options, place_copy
from tests.tiny_models import make_card, make_plan, shared_folder

PICTURE = Image.new("RGB", (40, 40), "red")


@pytest.fixture
def ampere(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (8, 6))


@pytest.fixture
def turing(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (7, 5))


def test_cuda_gets_its_weights_shard_by_shard(ampere):
    assert loading_options("bf16", "cuda") == {"dtype": torch.bfloat16, "device_map": {"": "cuda"}}
    options = loading_options("nf4", "cuda")
    assert options["device_map"] == {"": "cuda"} and options["dtype"] == torch.bfloat16
    config = options["quantization_config"]
    assert config.load_in_4bit and config.bnb_4bit_quant_type == "nf4" and config.bnb_4bit_use_double_quant
    assert config.bnb_4bit_compute_dtype == torch.bfloat16


def test_before_ampere_quantized_layers_compute_in_fp16(turing):
    assert loading_options("nf4", "cuda")["quantization_config"].bnb_4bit_compute_dtype == torch.float16
    assert loading_options("int8", "cuda")["dtype"] == torch.float16
    assert loading_options("int8", "cuda")["quantization_config"].load_in_8bit


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_elsewhere_no_map_is_needed(precision):
    assert set(loading_options(precision, "mps")) == {"dtype"}
    assert set(loading_options(precision, "cpu")) == {"dtype"}


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="unknown precision 'fp7'"):
        loading_options("fp7", "cpu")


def load(precision: str):
    card = make_card(shared_folder("llava"), "llava")
    return get_family("llava").load(card, make_plan(card, precision), lambda *_: None)


@pytest.mark.parametrize("precision", ["nf4", "int8"])
def test_a_cpu_quantizes_once_and_reads_the_copy_afterwards(tmp_path, monkeypatch, precision):
    monkeypatch.setenv("PATCHWORK_QUANTIZED", str(tmp_path))
    first = "".join(load(precision).chat([PICTURE], "what?", max_new_tokens=6))
    (copy,) = tmp_path.iterdir()
    assert (copy / "model.safetensors").exists()
    monkeypatch.setattr(quantize, "keep_copy", lambda *_: pytest.fail("quantized twice"))
    again = load(precision)
    assert "".join(again.chat([PICTURE], "what?", max_new_tokens=6)) == first
    linear = again.model.model.language_model.layers[0].mlp.up_proj
    assert linear.weight.dtype == (torch.uint8 if precision == "nf4" else torch.int8)


def test_a_copy_belongs_to_one_version_of_the_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("PATCHWORK_QUANTIZED", str(tmp_path / "copies"))
    (tmp_path / "model.safetensors").write_bytes(b"1")
    card = make_card(tmp_path, "llava")
    before = place_copy(card, "nf4", "cpu")
    assert before is not None and before.parent == tmp_path / "copies"
    import os

    os.utime(tmp_path / "model.safetensors", ns=(1, 1))
    assert place_copy(card, "nf4", "cpu") != before
    assert place_copy(card.in_precision("nf4"), "nf4", "cpu") == place_copy(card, "nf4", "cpu")
    assert place_copy(card, "nf4", "cuda") is None and place_copy(card, "bf16", "cpu") is None


def test_a_full_disk_leaves_no_half_copy_and_the_model_still_loads(tmp_path, monkeypatch):
    class Unwritable:
        def save_pretrained(self, folder):
            folder.mkdir(parents=True)
            (folder / "half").write_bytes(b"x")
            raise OSError(28, "No space left on device")

    assert not keep_copy(Unwritable(), tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("PATCHWORK_QUANTIZED", str(tmp_path))
    monkeypatch.setattr("patchwork.families.loading.keep_copy", lambda *_: False)
    from transformers import LlavaForConditionalGeneration

    card = make_card(shared_folder("llava"), "llava")
    assert load_weights(LlavaForConditionalGeneration, card, make_plan(card, "nf4")).config.model_type == "llava"


def test_what_stays_in_sixteen_bits():
    """Worked by hand: 10 × 4 words, a bias, and the layer that names words; the other linear layer is quantized."""
    model = torch.nn.ModuleDict(
        {"words": torch.nn.Embedding(10, 4), "inner": torch.nn.Linear(4, 4), "lm_head": torch.nn.Linear(4, 10)}
    )
    assert count_unquantized(model) == 10 * 4 + 4 + (4 * 10 + 10)
