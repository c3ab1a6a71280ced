"""`from_pretrained` as every family calls it: precision, device, safe weight files, no remote code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import try_to_load_from_cache

from patchwork.quantize import (
    keep_copy,
    large_pieces_apart,
    loading_options,
    place_copy,
    spare_odd_layers,
)

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.plan import Plan


def load_weights(model_class: Any, card: Card, plan: Plan, **options: Any) -> torch.nn.Module:
    """The checkpoint in eval mode on `plan.device`, in `plan.precision`.

    Files come from the local cache or the shipped folder only: fetching is `hub.fetch`'s work, so that it can be
    shown and stopped. `.bin` files are read by transformers with `weights_only=True`. On a CPU, 8 and 4 bits come
    from a copy that is made the first time: it loads in a moment and never holds the 16-bit weights.
    """
    copy = place_copy(card, plan.precision, plan.device)
    if copy is None:
        return read_weights(model_class, card, plan, **options)
    if not copy.is_dir():
        with large_pieces_apart():
            model = read_weights(model_class, card, plan, **options)
        if not keep_copy(model, copy):
            spare_odd_layers(model)
            return model
        del model
    dtype = loading_options(plan.precision, plan.device)["dtype"]
    where = {"device_map": {"": plan.device}, "local_files_only": True}
    model = model_class.from_pretrained(copy, dtype=dtype, **where, **options).eval()
    spare_odd_layers(model)
    return model


def read_weights(model_class: Any, card: Card, plan: Plan, **options: Any) -> torch.nn.Module:
    """From the checkpoint's own files, quantized on the way where the plan says so."""
    settings = loading_options(plan.precision, plan.device) | options
    model = model_class.from_pretrained(
        card.location,
        revision=card.revision,
        use_safetensors=holds_safetensors(card),
        local_files_only=True,
        **settings,
    )
    if "device_map" not in settings:
        model.to(plan.device)
    return model.eval()


def holds_safetensors(card: Card) -> bool:
    """What lies here decides, not what the card expects; `.bin` only where there is nothing else."""
    names = ("model.safetensors", "model.safetensors.index.json")
    if Path(card.location).is_dir():
        return any((Path(card.location) / name).exists() for name in names)
    return any(isinstance(try_to_load_from_cache(card.repo, name, revision=card.revision), str) for name in names)


def load_processor(processor_class: Any, card: Card) -> Any:
    return processor_class.from_pretrained(card.location, revision=card.revision, local_files_only=True)


def count_bytes(model: torch.nn.Module) -> int:
    """Bytes of parameters and buffers, shared tensors counted once."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
