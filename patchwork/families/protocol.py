"""What every family promises: capabilities as methods, plain data in and out. Knows no checkpoint and no page.

A family module has two names: `CAPABILITIES: frozenset[str]` and
`load(card, plan, report) -> Model`, where `report(message: str, fraction: float | None)` tells progress.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import TYPE_CHECKING, Literal

from PIL import Image

from patchwork.boxes import Box, Malformed
from patchwork.demo import Answerer
from patchwork.errors import Problem
from patchwork.tiles import ALL_TILES, View

if TYPE_CHECKING:
    import torch

    from patchwork.catalog import Card
    from patchwork.endpoint import Usage
    from patchwork.plan import Plan

CAPABILITIES = frozenset(
    {"embed_image", "embed_text", "attention", "chat", "ground", "read_document", "trace", "train", "fusion", "several"}
)
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


@dataclass(frozen=True)
class GroundedBox:
    """One thing that the model found. `box`: x1, y1, x2, y2 in pixels of the original picture.

    `label`: its name in the model's own words, else the phrase that was asked for. The spans are places in
    `Grounding.text`: of the box, and of the name where the model wrote one.
    """

    label: str
    box: Box
    span: tuple[int, int]
    label_span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Grounding:
    """`text`: all that the model wrote, location tokens included. `malformed`: parts of it that fail to be a box."""

    text: str
    boxes: tuple[GroundedBox, ...]
    malformed: tuple[Malformed, ...]


@dataclass(frozen=True)
class Ranking:
    """`scores`: how much each tile has to do with the question, 0–1, in page order; none where the page is not cut.

    `begun`: what was computed of the overview on the way, for the reading of the same page that goes on from there.
    """

    scores: list[float]
    begun: object = None


class Model:
    """A loaded checkpoint. Methods a family does not declare raise `NotImplementedError`. No per-call state."""

    capabilities: frozenset[str] = frozenset()
    without: Mapping[str, str] = {}
    """Why a capability that a reader may expect here is missing: capability → one sentence."""
    reads: frozenset[str] = frozenset()
    """What `read_document` takes: "question", "page" (an empty question: the whole page is written out)."""
    ranks: bool = False
    """Whether `rank_tiles` answers and `read_document` takes `keep` and `ranking`."""
    usage: Usage | None = None
    """What a server counted for the one call of a `with_key` model, after it."""

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

    def with_key(self, key: str) -> Model:
        """Itself; a model behind a server: one for a single call, asked with the reader's own key where it is given."""
        return self

    # embed_image / embed_text: unit-length float32 rows [n, width], on the CPU
    def embed_image(self, images: Sequence[Image.Image]) -> torch.Tensor:
        raise NotImplementedError

    def embed_text(self, texts: Sequence[str]) -> torch.Tensor:
        raise NotImplementedError

    def similarity(self, image: Image.Image, texts: Sequence[str]) -> Similarity:
        raise NotImplementedError

    def embed_patches(self, image: Image.Image) -> tuple[torch.Tensor, PatchGrid]:
        """Every patch in the space shared with texts, and how the patches lie on the picture."""
        raise NotImplementedError

    # attention
    def describe_attention(self) -> tuple[int, int, tuple[str, ...]]:
        """(layers, heads, queries among "cls", "pool", "mean", "patch"); for the page's controls."""
        raise NotImplementedError

    def attend(self, image: Image.Image, request: AttentionRequest) -> AttentionMap:
        raise NotImplementedError

    def read_patches(self, image: Image.Image) -> tuple[torch.Tensor, PatchGrid]:
        """The last layer's vector of every patch, float32 [N, width]."""
        raise NotImplementedError

    # controls: is a map more than a picture?
    def make_untrained(self, seed: int) -> Model:
        """The same architecture with fresh random weights."""
        raise NotImplementedError

    def score_without(self, image: Image.Image, hidden: Sequence[Sequence[int]], text: str = "") -> list[float]:
        """The match with a text (or with the whole picture's embedding) while patches are hidden."""
        raise NotImplementedError

    # chat: yields text pieces; stops soon after `stop` is set. Several pictures, in order, where "several" is declared.
    # `max_tiles`, here and below: at most so many tiles
    # beside the overview (0: the overview alone); None: as many as this family gives a photograph in `chat`. A family
    # that cuts no tiles takes it as a bound on the resolution (Qwen) or leaves it alone (one fixed view).
    def chat(
        self,
        images: Sequence[Image.Image],
        prompt: str,
        max_new_tokens: int = 128,
        stop: Flag | None = None,
        max_tiles: int | None = None,
    ) -> Iterator[str]:
        raise NotImplementedError

    # what the model really receives, exactly, before it runs and without a forward pass
    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        """Placeholders for this picture in the sequence; marks between views are not counted."""
        raise NotImplementedError

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """The views in the order in which they enter, as the family's own processor cuts them."""
        raise NotImplementedError

    # ground: pieces of the model's raw text as it writes, then exactly one `Grounding`, last. An empty phrase asks for
    # everything in the picture. `describe_region`: text pieces; `box` in pixels of the original picture. Both raise
    # `Problem` where the checkpoint was not trained to do that.
    def ground(
        self, image: Image.Image, phrase: str, max_new_tokens: int = 256, stop: Flag | None = None
    ) -> Iterator[str | Grounding]:
        raise NotImplementedError

    def describe_region(
        self, image: Image.Image, box: Box, max_new_tokens: int = 64, stop: Flag | None = None
    ) -> Iterator[str]:
        raise NotImplementedError

    # read_document: text pieces. `images`: pages, or crops of one. An empty question asks for the whole page as text or
    # markup; see `reads`. Raises `Problem` for what the checkpoint does not do.
    def read_document(
        self,
        images: Sequence[Image.Image],
        question: str = "",
        max_tiles: int | None = ALL_TILES,
        max_new_tokens: int = 512,
        stop: Flag | None = None,
    ) -> Iterator[str]:
        raise NotImplementedError

    # fewer, better tiles: one pass over the overview and the question tells which tiles matter. `read_document` with
    # `keep` (places of tiles in page order) then reads only these beside the overview, and with `ranking` the overview
    # not again.
    def rank_tiles(self, image: Image.Image, question: str, max_tiles: int | None = ALL_TILES) -> Ranking:
        raise Problem(f"{self.card.title} was not taught to point at what a question is about; it reads all tiles.")

    def memory_bytes(self) -> int:
        """Bytes of parameters and buffers."""
        raise NotImplementedError

    def close(self) -> None:
        """Give memory back; the pool calls it after the last lease ended."""
