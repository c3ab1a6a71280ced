"""Attention kept per call: only the layers and rows asked for, beside the fast kernel. Knows no family and no page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
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
Reduce = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Recorder:
    """`calls`: attention module → weights [batch, heads, rows, keys] of each of its forward passes, in order.

    Each row sums to 1, unless `reduce` made something smaller of it. With `keep_graph` all rows are kept and take
    part in the result, so that gradients reach them. `norms`: lengths [batch, tokens] of the vectors that a module
    given to `watch_norms` put out; with `keep_hidden` also these vectors [batch, tokens, width], as `hidden`.
    """

    modules: frozenset[int]
    rows: Any = field(default_factory=lambda: slice(None))
    keep_graph: bool = False
    reduce: Reduce | None = None
    calls: dict[nn.Module, list[torch.Tensor]] = field(default_factory=dict)
    norms: torch.Tensor | None = None
    keep_hidden: bool = False
    hidden: torch.Tensor | None = None

    @property
    def maps(self) -> dict[nn.Module, torch.Tensor]:
        """Each module's latest forward pass."""
        return {module: calls[-1] for module, calls in self.calls.items()}

    def wants(self, module: nn.Module) -> bool:
        return id(module) in self.modules

    def keep(self, module: nn.Module, weights: torch.Tensor) -> None:
        """`clone`: a view of one row would hold the whole matrix in memory."""
        if not self.keep_graph:
            weights = weights.detach()
            weights = self.reduce(weights) if self.reduce else weights
            weights = weights.clone()
        self.calls.setdefault(module, []).append(weights)

    def stored_bytes(self) -> int:
        return sum(weights.numel() * weights.element_size() for calls in self.calls.values() for weights in calls)


active: ContextVar[Recorder | None] = ContextVar("recorder", default=None)
"""Per context, so per thread: two readers on the same model never see each other's maps."""


@contextmanager
def record(
    modules: Iterable[nn.Module],
    rows: Any = slice(None),
    keep_graph: bool = False,
    reduce: Reduce | None = None,
    keep_hidden: bool = False,
) -> Iterator[Recorder]:
    """Keep the attention of these modules during the forward passes of this block, in this thread.

    The model must run with `set_attn_implementation("record_sdpa")`. `rows`: a slice or a list of query positions.
    `reduce`: applied to each map before it is kept.
    """
    recorder = Recorder(frozenset(map(id, modules)), rows, keep_graph, reduce, keep_hidden=keep_hidden)
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
    asked = recorder is not None and recorder.wants(module)
    if asked:
        causal = options.get("is_causal")
        causal = getattr(module, "is_causal", True) if causal is None else causal  # transformers' own default
        rows = slice(None) if recorder.keep_graph else recorder.rows
        weights = softmax_rows(query, key, attention_mask, scaling, causal, rows)
        recorder.keep(module, weights)
        if recorder.keep_graph:
            output = weights.to(value.dtype) @ repeat_heads(value, query.shape[1])
            return output.transpose(1, 2).contiguous(), None
    return sdpa_attention_forward(
        module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
    )


def softmax_rows(query, key, mask, scaling: float | None, causal: bool, rows: Any) -> torch.Tensor:
    """Attention weights [batch, heads, rows, keys] in float32, computed as the eager reference does.

    A forbidden key gets the lowest number, not -∞: a row of padding, where all are forbidden, stays a number.
    """
    key = repeat_heads(key, query.shape[1])
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = (query[:, :, rows] @ key.transpose(-2, -1) * scale).float()
    lowest = torch.finfo(scores.dtype).min
    if mask is not None:
        part = mask if mask.shape[-2] == 1 else mask[:, :, rows]
        part = part[..., : key.shape[-2]]
        scores = scores.masked_fill(~part, lowest) if part.dtype == torch.bool else scores + part
    elif causal and query.shape[-2] > 1:
        allowed = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
        scores = scores.masked_fill(~allowed[rows], lowest)
    return scores.softmax(-1)


def repeat_heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """Grouped-query attention: each key (or value) head serves several query heads."""
    return states if states.shape[1] == heads else states.repeat_interleave(heads // states.shape[1], dim=1)


AttentionInterface.register(NAME, record_sdpa)
AttentionMaskInterface.register(NAME, sdpa_mask)  # without it, a padded batch gets no mask and is silently wrong


def watch_norms(module: nn.Module) -> None:
    """From now on, a recorder that is active while this module runs gets the lengths of the vectors it puts out.

    Installed once, at load: a hook of one call on a shared module would also see other readers' calls.
    """

    def keep_norms(module: nn.Module, inputs: Any, output: Any) -> None:
        recorder = active.get()
        if recorder is not None:
            hidden = output[0] if isinstance(output, tuple) else output
            recorder.norms = hidden.detach().float().norm(dim=-1)
            if recorder.keep_hidden:
                recorder.hidden = hidden.detach()

    module.register_forward_hook(keep_norms)


def watch_weights(module: nn.Module) -> None:
    """For attention that calls no interface: `module` is the one through which its weights pass (timm's `attn_drop`).

    Ask the recorder for this module. Weights: [batch, heads, tokens, tokens].
    """

    def keep_weights(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        recorder = active.get()
        if recorder is not None and recorder.wants(module):
            recorder.keep(module, output if recorder.keep_graph else output[:, :, recorder.rows])

    module.register_forward_hook(keep_weights)


def watch_pooling(module: nn.MultiheadAttention) -> None:
    """The same for torch's own attention module: the weights [batch, heads, queries, keys] once more, by hand."""

    def keep_weights(module: nn.MultiheadAttention, inputs: Any, output: Any) -> Any:
        recorder = active.get()
        if recorder is None or not recorder.wants(module):
            return None
        states = [
            nn.functional.linear(*part).unflatten(-1, (module.num_heads, -1)).transpose(1, 2)
            for part in zip(inputs, module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3), strict=True)
        ]
        weights = softmax_rows(*states[:2], None, None, False, slice(None))
        recorder.keep(module, weights)
        if not recorder.keep_graph:
            return None
        pooled = (weights.to(states[2].dtype) @ states[2]).transpose(1, 2).flatten(-2)
        return module.out_proj(pooled), None

    module.register_forward_hook(keep_weights)


def roll_out(layers: Sequence[torch.Tensor]) -> torch.Tensor:
    """Attention [N, N] (mean over heads) of layers 0 … L → how much each token of layer L draws on each input [N, N].

    Half attention and half the residual path, multiplied through the layers; rows sum to 1 (Abnar and Zuidema 2020).
    """
    identity = torch.eye(layers[0].shape[-1])
    total = identity
    for weights in layers:
        total = (0.5 * weights + 0.5 * identity) @ total
    return total / total.sum(-1, keepdim=True)  # already 1, but for rounding in 16 bits


def take_positive(weights: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Positive part of attention × gradient, mean over heads: [heads, rows, keys] twice → [rows, keys]."""
    return (weights.float() * gradient.float()).clamp(min=0).mean(0)


def add_up_relevance(steps: Sequence[torch.Tensor]) -> torch.Tensor:
    """`take_positive` of layers 0 … L → relevance [N, N], added up along the layers (Chefer, Gur and Wolf 2021)."""
    total = torch.eye(steps[0].shape[-1])
    for step in steps:
        total = total + step @ total
    return total


def find_outliers(norms: torch.Tensor, cut: float = 6.0) -> list[int]:
    """Patches (lengths [N] of their vectors) that are more than `cut` robust deviations longer than the median.

    Darcet et al. 2024 ("Vision Transformers Need Registers") find such patches holding global information. They cut at
    a fixed norm, which differs between models; the median and its absolute deviation adapt to each (1.4826 times that
    deviation estimates the standard deviation of a normal distribution).
    """
    middle = norms.median()
    spread = 1.4826 * (norms - middle).abs().median()
    return torch.nonzero(norms - middle > cut * spread + 1e-3 * middle).flatten().tolist()
