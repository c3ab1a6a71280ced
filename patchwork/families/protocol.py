"""What every family promises: capabilities as methods, plain data in and out. Knows no checkpoint and no page.

A family module has two names: `CAPABILITIES: frozenset[str]` and
`load(card, plan, report) -> Model`, where `report(message: str, fraction: float | None)` tells progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import TYPE_CHECKING, Literal

from PIL import Image

from patchwork.demo import Answerer

if TYPE_CHECKING:
    import torch

    from patchwork.catalog import Card
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"embed_image", "embed_text", "attention", "chat", "ground", "read_document", "trace"})
Report = Callable[[str, float | None], None]


@dataclass(frozen=True)
class PatchGrid:
    """How patches lie on the picture: `rows × columns`, covering `region` (x1, y1, x2, y2, original pixels)."""

    rows: int
    columns: int
    region: tuple[float, float, float, float]


@dataclass(frozen=True)
class AttentionRequest:
    """Which rows of which layers to keep. `query` is "cls", "pool" (attention pooling head), "mean" (average over
    all patch queries) or a patch index (row-major). `method` "raw" reads one layer; "rollout" multiplies layers
    0…layer; "relevance" weights them by the gradient of the match with `text`."""

    layer: int = -1
    head: int | None = None  # None = mean over heads
    query: Literal["cls", "pool", "mean"] | int = "cls"
    method: Literal["raw", "rollout", "relevance"] = "raw"
    text: str = ""


@dataclass(frozen=True)
class AttentionMap:
    """`values`: float tensor [rows, columns], each ≥ 0. `outliers`: row-major indices of high-norm sink patches."""

    values: torch.Tensor
    grid: PatchGrid
    layer: int
    heads: int
    layers: int
    stored_bytes: int
    outliers: list[int] = field(default_factory=list)
    share_on_patches: float = 1.0  # of the row's mass; the rest goes to CLS or registers


@dataclass(frozen=True)
class Similarity:
    """One picture against n texts. Each list has n floats. `rule` says what the checkpoint was trained with."""

    cosine: list[float]
    logits: list[float]
    softmax: list[float]
    sigmoid: list[float]
    rule: Literal["softmax", "sigmoid"]


class Model:
    """A loaded checkpoint. Methods a family does not declare raise `NotImplementedError`. No per-call state."""

    capabilities: frozenset[str] = frozenset()

    def __init__(self, card: Card, plan: Plan) -> None:
        self.card, self.plan = card, plan

    def answerer(self, start: float) -> Answerer:
        """Who answered, and the seconds since `start` (of `time.perf_counter`)."""
        return Answerer(
            model_id=self.card.id,
            title=self.card.title,
            device=self.plan.device,
            precision=self.plan.precision,
            seconds=round(time.perf_counter() - start, 4),
            bundled=self.card.bundled,
        )

    # embed_image / embed_text: unit-length float32 rows [n, width], on the CPU
    def embed_image(self, images: Sequence[Image.Image]) -> torch.Tensor:
        raise NotImplementedError

    def embed_text(self, texts: Sequence[str]) -> torch.Tensor:
        raise NotImplementedError

    def similarity(self, image: Image.Image, texts: Sequence[str]) -> Similarity:
        raise NotImplementedError

    # attention
    def describe_attention(self) -> tuple[int, int, tuple[str, ...]]:
        """(layers, heads, queries among "cls", "pool", "mean", "patch"); for the page's controls."""
        raise NotImplementedError

    def attend(self, image: Image.Image, request: AttentionRequest) -> AttentionMap:
        raise NotImplementedError

    # chat: yields text pieces; stops soon after `stop` is set. `count_image_tokens` needs no forward pass.
    def chat(
        self, images: Sequence[Image.Image], prompt: str, max_new_tokens: int = 128, stop: Flag | None = None
    ) -> Iterator[str]:
        raise NotImplementedError

    def count_image_tokens(self, image: Image.Image) -> int:
        raise NotImplementedError

    def memory_bytes(self) -> int:
        """Bytes of parameters and buffers."""
        raise NotImplementedError

    def close(self) -> None:
        """Give memory back; the pool calls it after the last lease ended."""
