"""Pages as an overview and tiles, for a processor that cuts none; tiles ranked by a question. Knows no prompt."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from transformers import DynamicCache

from patchwork.attention import NAME, record
from patchwork.families.grounding import GroundingModel
from patchwork.families.parts import find_parts
from patchwork.families.protocol import Ranking
from patchwork.tiles import ALL_TILES, View, arrange_page, cut_evenly, find_owners


class CuttingModel(GroundingModel):
    """Several pictures in one prompt: the overview, then the tiles row by row, each as large as the tower takes it.

    How many tiles, and which heads point, is its card's to say: without `tiles` there is the overview alone.
    """

    reads = frozenset({"question"})

    @property
    def ranks(self) -> bool:
        return bool(self.card.pointing_heads)

    def arrange(self, size: tuple[int, int], max_tiles: int | None) -> tuple[int, int]:
        """(columns, rows) of tiles; (0, 0): the overview alone."""
        return arrange_page(size, min(max_tiles or 0, self.card.tiles))

    def cut(self, image: Image.Image, max_tiles: int | None, keep: Sequence[int] | None = None) -> list[Image.Image]:
        """The picture itself, which becomes the overview, and its tiles, or those of them that are to be kept."""
        columns, rows = self.arrange(image.size, max_tiles)
        if not columns:
            return [image]
        side = self.model.config.vision_config.image_size
        page = image.resize((columns * side, rows * side), Image.Resampling.BICUBIC)
        places = range(columns * rows) if keep is None else sorted(set(keep))
        corners = [(place % columns * side, place // columns * side) for place in places]
        return [image, *(page.crop((x, y, x + side, y + side)) for x, y in corners)]

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> dict:
        return super().prepare([view for image in images for view in self.cut(image, max_tiles)], prompt)

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """The overview, then tiles row by row."""
        (overview,) = super().list_views(image)
        grid = self.arrange(image.size, max_tiles)
        return [overview, *(cut_evenly(image.size, *grid, overview.size, overview.tokens) if grid[0] else [])]

    def read_document(
        self,
        images: Sequence[Image.Image],
        question: str = "",
        max_tiles: int | None = ALL_TILES,
        max_new_tokens: int = 512,
        stop: threading.Event | None = None,
        keep: Sequence[int] | None = None,
        ranking: Ranking | None = None,
    ) -> Iterator[str]:
        views = [view for image in images for view in self.cut(image, max_tiles, keep)]
        inputs = self.prepare(views, self.ask_document(question.strip()))
        yield from self.stream_inputs(go_on(inputs, ranking.begun) if ranking else inputs, max_new_tokens, stop)

    # ---- which tiles matter

    def rank_tiles(self, image: Image.Image, question: str, max_tiles: int | None = ALL_TILES) -> Ranking:
        """The most that one pointing head's attention puts on a tile's part of the overview, as the answer begins."""
        if not self.ranks:
            return super().rank_tiles(image, question, max_tiles)
        columns, rows = self.arrange(image.size, max_tiles)
        if not columns:
            return Ranking([])
        overview = self.locate_tokens(image)
        patches = (overview.columns, overview.rows)
        owners = torch.tensor(find_owners(patches, overview.region, image.size, (columns, rows)))
        weights, begun = self.read_pointing(image, question)
        shares = [weights[:, owners == tile].sum(1) for tile in range(columns * rows)]
        return Ranking([float(share.max()) for share in shares], begun)

    def read_pointing(self, image: Image.Image, question: str) -> tuple[torch.Tensor, Begun]:
        """One pass over overview and question: of each pointing head the last token's weights [heads, patches]."""
        if self.model.config._attn_implementation != NAME:
            self.model.set_attn_implementation(NAME)
        inputs = self.prepare([image], self.ask_document(question.strip()))
        layers, heads = find_parts(self.model).layers, self.card.pointing_heads
        modules = [layers[layer].self_attn for layer, _ in heads]
        with torch.inference_mode(), record(modules, rows=slice(-1, None)) as kept:
            output = self.model(**inputs, use_cache=True, logits_to_keep=1)
        patches = self.find_places(inputs)[0]
        rows = [kept.maps[module][0, head, -1] for module, (_, head) in zip(modules, heads, strict=True)]
        return torch.stack(rows)[:, patches].cpu(), keep_begun(inputs["input_ids"][0], patches, output)


# ---- one overview for two passes


@dataclass(frozen=True)
class Begun:
    """A prompt up to its picture's last patch: ids [T]; of each layer the keys and values [1, heads, T, width]."""

    ids: torch.Tensor
    layers: list[tuple[torch.Tensor, torch.Tensor]]
    name: str  # of a cache: `past_key_values` before transformers 5.24


def keep_begun(ids: torch.Tensor, patches: torch.Tensor, output: Any) -> Begun:
    """`patches`: bool [T], the places of the one picture in the prompt `ids` [T]."""
    length = int(patches.nonzero().max()) + 1
    name = next(name for name in ("cache", "past_key_values") if name in output)
    layers = [(layer.keys[:, :, :length].clone(), layer.values[:, :, :length].clone()) for layer in output[name].layers]
    return Begun(ids[:length], layers, name)


def go_on(inputs: dict, begun: Begun | None) -> dict:
    """Inputs without their first picture, which has been read, where the prompt begins as that one did."""
    if begun is None or not torch.equal(inputs["input_ids"][0, : len(begun.ids)], begun.ids):
        return inputs
    cache = DynamicCache()
    for number, (keys, values) in enumerate(begun.layers):
        cache.update(keys, values, number)
    return {**inputs, "pixel_values": inputs["pixel_values"][1:], begun.name: cache}
