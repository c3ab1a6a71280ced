"""`from_pretrained` as every family calls it: precision, device, safe weight files, no remote code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from patchwork.quantize import loading_options

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.plan import Plan


def load_weights(model_class: Any, card: Card, plan: Plan, **options: Any) -> torch.nn.Module:
    """The checkpoint in eval mode on `plan.device`, in `plan.precision`.

    Files come from the local cache or the shipped folder only: fetching is `hub.fetch`'s work, so that it can be
    shown and stopped. `.bin` files are read by transformers with `weights_only=True`.
    """
    settings = loading_options(plan.precision, plan.device) | options
    model = model_class.from_pretrained(
        card.location,
        revision=card.revision,
        use_safetensors=card.weights == "safetensors",
        local_files_only=True,
        **settings,
    )
    if "device_map" not in settings:
        model.to(plan.device)
    return model.eval()


def load_processor(processor_class: Any, card: Card) -> Any:
    return processor_class.from_pretrained(card.location, revision=card.revision, local_files_only=True)


def count_bytes(model: torch.nn.Module) -> int:
    """Bytes of parameters and buffers, shared tensors counted once."""
    tensors = {tensor.data_ptr(): tensor for tensor in (*model.parameters(), *model.buffers())}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
