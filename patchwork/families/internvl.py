"""InternVL 2.5 and 3 (Chen et al. 2024; Zhu et al. 2025): InternViT, pixel shuffle, tiles of 448 and a thumbnail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from patchwork.families.grounding import GroundingModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.tiles import View, arrange_tiles, cut_evenly, see_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from patchwork.catalog import Card
    from patchwork.families.protocol import PatchGrid, Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "ground", "read_document", "trace", "several"})


class InternVL(GroundingModel):
    capabilities = CAPABILITIES
    reads = frozenset({"question"})
    coordinates = "internvl"
    prompts = {  # noqa: RUF012 (internvl.readthedocs.io, "How to evaluate on RefCOCO")
        "ground": "Please provide the bounding box coordinate of the region this sentence describes: "
        "<ref>{phrase}</ref>",
    }
    photo_tiles = 0
    """One view of a photograph: twelve tiles and a thumbnail are 3,328 tokens."""

    def find_most(self, max_tiles: int | None) -> int:
        most = self.photo_tiles if max_tiles is None else max_tiles
        return max(1, min(most, self.processor.image_processor.max_patches))

    def image_options(self, images: Sequence[Image.Image], max_tiles: int | None) -> dict[str, Any]:
        return {"crop_to_patches": True, "max_patches": self.find_most(max_tiles)}

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """Tiles row by row, then the thumbnail; one tile is the thumbnail itself."""
        settings, tokens = self.processor.image_processor, self.processor.image_seq_length
        tile = settings.size["height"]
        columns, rows = arrange_tiles(image.size, tile, settings.min_patches, self.find_most(max_tiles))
        tiles = cut_evenly(image.size, columns, rows, (tile, tile), tokens) if columns * rows > 1 else []
        return [*tiles, see_whole(image.size, (tile, tile), tokens)]

    def locate_tokens(self, image: Image.Image) -> PatchGrid | None:
        """The pixel shuffle keeps reading order."""
        return self.locate_square(image)

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return sum(view.tokens for view in self.list_views(image, max_tiles))


def load(card: Card, plan: Plan, report: Report) -> InternVL:
    from transformers import AutoProcessor, InternVLForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(InternVLForConditionalGeneration, card, plan)
    return InternVL(card, plan, weights, load_processor(AutoProcessor, card))
