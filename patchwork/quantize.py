"""The only place that knows int8 and nf4: bitsandbytes configurations for `from_pretrained`."""

from __future__ import annotations

from typing import Any

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "bfloat16", "nf4": "bfloat16"}


def loading_options(precision: str, device: str) -> dict[str, Any]:
    """Keyword arguments of `from_pretrained` for this precision. Raises `ValueError` for an unknown one."""
    import torch

    if precision not in DTYPES:
        raise ValueError(f"unknown precision {precision!r}; one of {', '.join(DTYPES)}")
    options: dict[str, Any] = {"dtype": getattr(torch, DTYPES[precision])}
    if precision in ("int8", "nf4"):
        options["quantization_config"] = quantization(precision)
        options["device_map"] = {"": device}
    return options


def quantization(precision: str):
    """Dettmers et al. 2022 (LLM.int8) and 2023 (QLoRA's nf4, double quantization, computing in bf16)."""
    import torch
    from transformers import BitsAndBytesConfig

    if precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
