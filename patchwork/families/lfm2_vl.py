"""LFM2-VL (Liquid AI 2025): SigLIP 2 in native shapes, tiles for large pictures, a decoder mostly of convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.tiles import View, arrange_tiles, cut_evenly, fit_qwen, see_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "read_document"})


class Lfm2VL(ChatModel):
    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "trace": "Most layers of its decoder are short convolutions, which have no attention to record.",
    }
    reads = frozenset({"question"})
    photo_tiles = 0

    def find_most(self, max_tiles: int | None) -> int:
        most = self.photo_tiles if max_tiles is None else max_tiles
        return min(most, self.processor.image_processor.max_tiles)

    def image_options(self, images: Sequence[Image.Image], max_tiles: int | None) -> dict[str, Any]:
        most = self.find_most(max_tiles)
        fewest = self.processor.image_processor.min_tiles
        return {"max_tiles": most} if most >= fewest else {"do_image_splitting": False}

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """Tiles row by row, then the overview; a picture of at most twice the overview's pixels is not cut."""
        settings = self.processor.image_processor
        side = settings.encoder_patch_size * settings.downsample_factor
        low, high = settings.min_image_tokens * side**2, settings.max_image_tokens * side**2
        width, height = fit_qwen(image.size, side, low, high, least=side)
        overview = see_whole(image.size, (width, height), width // side * (height // side))
        rounded = [max(settings.encoder_patch_size, round(length / side) * side) for length in image.size]
        large = rounded[0] * rounded[1] > high * settings.max_pixels_tolerance
        if not large or self.find_most(max_tiles) < settings.min_tiles:
            return [overview]
        tile = settings.tile_size
        columns, rows = arrange_tiles(image.size, tile, settings.min_tiles, self.find_most(max_tiles))
        return [*cut_evenly(image.size, columns, rows, (tile, tile), (tile // side) ** 2), overview]

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return sum(view.tokens for view in self.list_views(image, max_tiles))


def load(card: Card, plan: Plan, report: Report) -> Lfm2VL:
    from transformers import AutoProcessor, Lfm2VlForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(Lfm2VlForConditionalGeneration, card, plan)
    return Lfm2VL(card, plan, weights, load_processor(AutoProcessor, card))
