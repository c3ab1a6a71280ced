"""Idefics3 and SmolVLM v1: SigLIP tower, pixel shuffle, tiles (Laurençon et al. 2024; Marafioti et al. 2025)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.families.protocol import PatchGrid
from patchwork.tiles import View, count_idefics3_tiles, cut_evenly, limit_idefics3, see_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "read_document", "trace", "several"})


class Idefics3(ChatModel):
    capabilities = CAPABILITIES
    reads = frozenset({"question"})
    photo_tiles = 0
    """One view instead of up to seventeen: a photograph needs no more, and tiles take most of the time."""

    def image_options(self, images: Sequence[Image.Image], max_tiles: int | None) -> dict[str, Any]:
        """The processor knows no number of tiles but the longest side, which all pictures of a call share."""
        longest = min(self.find_longest(image.size, max_tiles) for image in images)
        return {"size": {"longest_edge": longest}} if longest else {"do_image_splitting": False}

    def find_longest(self, size: tuple[int, int], max_tiles: int | None) -> int:
        settings = self.processor.image_processor
        most = self.photo_tiles if max_tiles is None else max_tiles
        longest, tile = settings.size["longest_edge"], settings.max_image_size["longest_edge"]
        return limit_idefics3(size, longest, tile, most) if most else 0

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """Tiles row by row, then the overview."""
        tile = self.processor.image_processor.max_image_size["longest_edge"]
        longest, tokens = self.find_longest(image.size, max_tiles), self.processor.image_seq_len
        columns, rows = count_idefics3_tiles(image.size, longest, tile) if longest else (0, 0)
        tiles = cut_evenly(image.size, columns, rows, (tile, tile), tokens) if columns else []
        return [*tiles, see_whole(image.size, (tile, tile), tokens)]

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return sum(view.tokens for view in self.list_views(image, max_tiles))

    def locate_tokens(self, image: Image.Image) -> PatchGrid | None:
        """The pixel shuffle keeps reading order."""
        return self.locate_square(image)


def load(card: Card, plan: Plan, report: Report) -> Idefics3:
    from transformers import AutoProcessor, Idefics3ForConditionalGeneration

    report(f"Reading {card.title}", None)
    return Idefics3(
        card, plan, load_weights(Idefics3ForConditionalGeneration, card, plan), load_processor(AutoProcessor, card)
    )
