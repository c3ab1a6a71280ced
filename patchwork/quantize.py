"""The only place that knows int8 and nf4: bitsandbytes configurations, and the copies that a CPU quantizes once."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from patchwork.catalog import Card

M_MMAP_THRESHOLD = -3  # of malloc.h
DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "", "nf4": ""}


def loading_options(precision: str, device: str) -> dict[str, Any]:
    """Keyword arguments of `from_pretrained` for this precision. Raises `ValueError` for an unknown one.

    On CUDA the weights go straight to the device, shard by shard, and never lie in main memory as a whole.
    """
    import torch

    if precision not in DTYPES:
        raise ValueError(f"unknown precision {precision!r}; one of {', '.join(DTYPES)}")
    if precision in ("int8", "nf4"):
        half = choose_half(device)
        return {"dtype": half, "quantization_config": quantization(precision, half), "device_map": {"": device}}
    options: dict[str, Any] = {"dtype": getattr(torch, DTYPES[precision])}
    return options | ({"device_map": {"": device}} if device == "cuda" else {})


def choose_half(device: str):
    """The 16-bit type in which quantized layers compute: bf16, but fp16 on an NVIDIA GPU before Ampere."""
    import torch

    old = device == "cuda" and torch.cuda.get_device_capability()[0] < 8
    return torch.float16 if old else torch.bfloat16


def quantization(precision: str, half: Any):
    """Dettmers et al. 2022 (LLM.int8) and 2023 (QLoRA's nf4, double quantization, computing in 16 bits)."""
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=half,
    )


def count_unquantized(model: Any) -> int:
    """Parameters that stay in 16 bits: all that are not a linear layer's weight, and the layer that names words."""
    import torch

    linear = {
        id(module.weight)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and not name.endswith("lm_head")
    }
    return sum(weight.numel() for weight in model.parameters() if id(weight) not in linear)


def place_copy(card: Card, precision: str, device: str) -> Path | None:
    """The folder in which the quantized copy of this checkpoint is kept, whether it is there or not.

    None where a copy gains nothing: a GPU quantizes while it loads, a CPU takes a minute a billion parameters.
    """
    if device != "cpu" or precision not in ("int8", "nf4"):
        return None
    version = find_version(card)
    return find_copies() / f"{card.checkpoint}-{precision}-{version}" if version else None


def find_copies() -> Path:
    """Beside the hub client's cache, or where PATCHWORK_QUANTIZED says."""
    from huggingface_hub import constants

    return Path(os.environ.get("PATCHWORK_QUANTIZED") or Path(constants.HF_HOME) / "patchwork" / "quantized")


def find_version(card: Card) -> str:
    """What the copy was made from: the cached commit, or when a local folder's weights were written."""
    from huggingface_hub import try_to_load_from_cache

    if Path(card.location).is_dir():
        weights = [*Path(card.location).glob("*.safetensors"), *Path(card.location).glob("*.bin")]
        return f"{max(path.stat().st_mtime_ns for path in weights):x}" if weights else ""
    found = try_to_load_from_cache(card.repo, "config.json", revision=card.revision)
    return Path(found).parent.name[:12] if isinstance(found, str) else ""


@contextlib.contextmanager
def large_pieces_apart() -> Iterator[None]:
    """While weights are quantized one by one, glibc would keep each freed 16-bit piece in its heap, between small
    ones that stay; a fixed threshold gives every large piece pages of its own, which go back at once. Linux only."""
    set_threshold(128 * 1024)
    try:
        yield
    finally:
        set_threshold(32 * 1024 * 1024)  # the largest that glibc's own adjustment reaches


def set_threshold(count: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, count)


def spare_odd_layers(model: Any) -> None:
    """On processors with AVX-512 bf16, bitsandbytes 0.50 packs a 4-bit layer anew at its first call, and fails where
    its widths are no multiples of 64 in and 32 out (SigLIP so400m: 4304). Such layers keep the plain path."""
    for module in model.modules():
        if getattr(module, "support_avx512bf16_for_cpu", False):
            module.support_avx512bf16_for_cpu = not (module.in_features % 64 or module.out_features % 32)


def keep_copy(model: Any, folder: Path) -> bool:
    """Write the quantized model; whole or not at all. False where the disk does not let it."""
    unfinished = folder.with_name(folder.name + f".{os.getpid()}")
    with contextlib.suppress(OSError):
        model.save_pretrained(unfinished)
        os.replace(unfinished, folder)
    shutil.rmtree(unfinished, ignore_errors=True)
    return folder.is_dir()
