"""Attention kept per call: only the layers and rows asked for, beside the fast kernel. Knows no family and no page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

NAME = "record_sdpa"


@dataclass
class Recorder:
    """`maps`: attention module → weights [batch, heads, rows, keys], each row summing to 1.

    With `keep_graph` all rows are kept and take part in the result, so that gradients reach them.
    """

    modules: frozenset[int]
    rows: Any = field(default_factory=lambda: slice(None))
    keep_graph: bool = False
    maps: dict[nn.Module, torch.Tensor] = field(default_factory=dict)

    def stored_bytes(self) -> int:
        return sum(weights.numel() * weights.element_size() for weights in self.maps.values())


active: ContextVar[Recorder | None] = ContextVar("recorder", default=None)
"""Per context, so per thread: two readers on the same model never see each other's maps."""


@contextmanager
def record(modules: Iterable[nn.Module], rows: Any = slice(None), keep_graph: bool = False) -> Iterator[Recorder]:
    """Keep the attention of these modules during the forward passes of this block.

    The model must run with `set_attn_implementation("record_sdpa")`. `rows`: a slice or a list of query positions.
    """
    recorder = Recorder(frozenset(map(id, modules)), rows, keep_graph)
    token = active.set(recorder)
    try:
        yield recorder
    finally:
        active.reset(token)


def record_sdpa(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' SDPA, and for asked modules the softmax rows too. `query`: [batch, heads, tokens, width]."""
    recorder = active.get()
    if recorder is None or id(module) not in recorder.modules:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    causal = options.get("is_causal")
    causal = getattr(module, "is_causal", False) if causal is None else causal
    rows = slice(None) if recorder.keep_graph else recorder.rows
    weights = softmax_rows(query, key, attention_mask, scaling, causal, rows)
    if not recorder.keep_graph:
        recorder.maps[module] = weights.detach()
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    weights.retain_grad()
    recorder.maps[module] = weights
    output = weights.to(value.dtype) @ repeat_heads(value, query.shape[1])
    return output.transpose(1, 2).contiguous(), None


def softmax_rows(query, key, mask, scaling: float | None, causal: bool, rows: Any) -> torch.Tensor:
    """Attention weights [batch, heads, rows, keys] in float32, computed as the eager reference does."""
    key = repeat_heads(key, query.shape[1])
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query[:, :, rows] @ key.transpose(-2, -1) * scale).float()
    if mask is not None:
        part = mask if mask.shape[-2] == 1 else mask[:, :, rows]
        part = part[..., : key.shape[-2]]
        scores = scores.masked_fill(~part, float("-inf")) if part.dtype == torch.bool else scores + part
    elif causal and query.shape[-2] > 1:
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        scores = scores.masked_fill(~allowed[rows], float("-inf"))
    return scores.softmax(-1)


def repeat_heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """Grouped-query attention: each key (or value) head serves several query heads."""
    return states if states.shape[1] == heads else states.repeat_interleave(heads // states.shape[1], dim=1)


AttentionInterface.register(NAME, record_sdpa)
AttentionMaskInterface.register(NAME, sdpa_mask)  # without it, a padded batch gets no mask and is silently wrong


def roll_out(layers: Sequence[torch.Tensor]) -> torch.Tensor:
    """Attention [heads, N, N] of layers 0 … L → how much each output token draws on each input token [N, N].

    Mean over heads, half attention and half the residual path, multiplied through the layers (Abnar and Zuidema 2020).
    """
    total = torch.eye(layers[0].shape[-1])
    for weights in layers:
        mixed = 0.5 * weights.float().mean(0) + 0.5 * torch.eye(weights.shape[-1])
        total = mixed @ total
    return total


def weigh_by_gradient(layers: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor]) -> torch.Tensor:
    """Attention and its gradient, each [heads, N, N] per layer → relevance [N, N] (Chefer, Gur and Wolf 2021).

    Per layer the positive part of attention × gradient, mean over heads, added up along the layers.
    """
    total = torch.eye(layers[0].shape[-1])
    for weights, gradient in zip(layers, gradients, strict=True):
        step = (weights * gradient).clamp(min=0).float().mean(0)
        total = total + step @ total
    return total


def find_outliers(hidden: torch.Tensor, cut: float = 6.0) -> list[int]:
    """Patches [N, D] whose vectors are unusually long: more than `cut` robust deviations above the median norm.

    Darcet et al. 2024 ("Vision Transformers Need Registers") find such patches holding global information. They cut at
    a fixed norm, which differs between models; the median and its absolute deviation adapt to each.
    """
    norms = hidden.float().norm(dim=-1)
    middle = norms.median()
    spread = 1.4826 * (norms - middle).abs().median() + 1e-6
    return torch.nonzero((norms - middle) / spread > cut).flatten().tolist()
