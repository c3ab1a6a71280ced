"""LLaVA-NeXT (Liu et al. 2024): LLaVA whose picture is an overview and up to four tiles, without their padding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.tiles import View, choose_canvas, cut_canvas, see_whole, shrink_for_canvas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "read_document", "trace"})


class LlavaNext(ChatModel):
    """The list of canvases belongs to the checkpoint, so a limit of tiles is kept by shrinking the picture until it
    chooses a small enough one; the smallest of LLaVA-NeXT has two tiles."""

    capabilities = CAPABILITIES
    reads = frozenset({"question"})

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> dict:
        return super().prepare([image.resize(self.shrink(image.size, max_tiles)) for image in images], prompt)

    def grids(self) -> list[tuple[int, int]]:
        return self.processor.image_processor.image_grid_pinpoints

    def tile(self) -> int:
        return self.model.config.vision_config.image_size

    def shrink(self, size: tuple[int, int], max_tiles: int | None) -> tuple[int, int]:
        return size if max_tiles is None else shrink_for_canvas(size, self.grids(), max_tiles * self.tile() ** 2)

    def count_side(self) -> int:
        """Patches along a tile."""
        return self.tile() // self.model.config.vision_config.patch_size

    def limit_patches(self) -> int | None:
        """Most patches of all tiles together, where the checkpoint has such a limit."""
        return None

    def cut(self, size: tuple[int, int], max_tiles: int | None) -> tuple[list[View], int]:
        """The overview, then the tiles; and the rows that end with a newline token."""
        shown, side = self.shrink(size, max_tiles), self.count_side()
        canvas = choose_canvas(shown, self.grids())
        tiles, rows = cut_canvas(shown, canvas, self.tile(), side, self.limit_patches())
        scale = (size[0] / shown[0], size[1] / shown[1])
        overview = see_whole(size, (self.tile(),) * 2, side**2)
        return [overview, *(view.stretch(*scale) for view in tiles)], rows

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        return self.cut(image.size, max_tiles)[0]

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        views, newlines = self.cut(image.size, max_tiles)
        return sum(view.tokens for view in views) + newlines


def load(card: Card, plan: Plan, report: Report) -> LlavaNext:
    from transformers import AutoProcessor, LlavaNextForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(LlavaNextForConditionalGeneration, card, plan)
    return LlavaNext(card, plan, weights, load_processor(AutoProcessor, card))
