"""GOT-OCR 2 (Wei et al. 2024): a page of 1024 pixels in 256 tokens, written out as formatted text."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.tiles import View, arrange_tiles, cut_evenly, see_whole

if TYPE_CHECKING:
    from transformers import BatchFeature

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"read_document"})
END = "<|im_end|>"


class GotOcr2(ChatModel):
    """The processor writes the whole prompt, as on huggingface.co/stepfun-ai/GOT-OCR-2.0-hf; END is from there too."""

    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "chat": "It writes out pages; it was never taught to talk.",
        "trace": "It writes out pages, and the trace follows the answer to a question.",
    }
    reads = frozenset({"page"})

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> BatchFeature:
        crops = {"crop_to_patches": self.find_most(max_tiles) > 1, "max_patches": self.find_most(max_tiles)}
        tokens = self.count_view_tokens()
        page = self.processor(images[0], format=True, num_image_tokens=tokens, return_tensors="pt", **crops)
        return page.to(self.model.device, self.model.dtype)

    def generate_options(self) -> dict[str, Any]:
        return {"eos_token_id": self.processor.tokenizer.convert_tokens_to_ids(END)}

    def read_document(
        self,
        images: Sequence[Image.Image],
        question: str = "",
        max_tiles: int | None = None,
        max_new_tokens: int = 512,
        stop: threading.Event | None = None,
    ) -> Iterator[str]:
        """One view of 1024 pixels unless tiles are asked for: so it was trained, and so its page recommends."""
        for image in images:
            yield from super().read_document([image], question, max_tiles, max_new_tokens, stop)

    def find_most(self, max_tiles: int | None) -> int:
        return max(1, min(max_tiles or 0, self.processor.image_processor.max_patches))

    def count_view_tokens(self) -> int:
        """Two convolutions quarter the grid of patches along each side."""
        vision = self.model.config.vision_config
        return (vision.image_size // vision.patch_size // 4) ** 2

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """Tiles row by row, then the overview."""
        settings, tokens = self.processor.image_processor, self.count_view_tokens()
        tile = settings.size["height"]
        columns, rows = arrange_tiles(image.size, tile, settings.min_patches, self.find_most(max_tiles))
        tiles = cut_evenly(image.size, columns, rows, (tile, tile), tokens) if columns * rows > 1 else []
        return [*tiles, see_whole(image.size, (tile, tile), tokens)]

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return sum(view.tokens for view in self.list_views(image, max_tiles))


def load(card: Card, plan: Plan, report: Report) -> GotOcr2:
    from transformers import AutoProcessor, GotOcr2ForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(GotOcr2ForConditionalGeneration, card, plan)
    return GotOcr2(card, plan, weights, load_processor(AutoProcessor, card))
