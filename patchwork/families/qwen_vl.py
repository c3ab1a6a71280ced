"""Qwen2-VL, 2.5-VL, 3-VL, 3.5 (Wang et al. 2024; Bai et al. 2025): one view near the picture's own resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from patchwork.families.grounding import GroundingModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.tiles import View, fit_qwen, see_whole

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "ground", "read_document", "several"})

COORDINATES = {"qwen2_vl": "thousandths", "qwen2_5_vl": "qwen25_pixels"}
"""Model type of the configuration → how it writes boxes; all later ones count thousandths in JSON."""

# The wording of Qwen's own cookbooks: spatial_understanding.ipynb (2.5) and 2d_grounding.ipynb (3).
LOCATE = "Locate the {phrase}, output its bbox coordinates using JSON format."
LOCATE_ALL = "Locate every object in the image and output the coordinates in JSON format."
# Qwen2-VL marks what it is asked for, as in section 2 of its report; no wording around the marks is published.
LOCATE_2 = "Find <|object_ref_start|>{phrase}<|object_ref_end|> in the picture."

TILE = 448
"""Pixels; it cuts no tiles, so a limit of n tiles means a view of at most n × 448² pixels."""


class QwenVL(GroundingModel):
    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "trace": "Its projector is the last layer of its picture encoder, which the trace cannot take apart.",
    }
    reads = frozenset({"question"})
    template_options = {"enable_thinking": False}  # noqa: RUF012 (an answer, not a page of thoughts before it)
    photo_tiles = 4
    one_at_a_time = True  # transformers keeps the offset of the text's positions (`rope_deltas`) on the model

    def convention(self) -> str:
        return self.card.coordinates or COORDINATES.get(self.model.config.model_type, "thousandths_json")

    @property
    def prompts(self) -> dict[str, str]:
        locate = LOCATE_2 if self.convention() == "thousandths" else LOCATE
        return {"ground": locate, "ground_all": LOCATE_ALL, "describe_region": "What is in the region {box}?"}

    def resized(self, image: Image.Image) -> tuple[int, int]:
        return self.list_views(image)[0].size

    def find_bounds(self, max_tiles: int | None) -> dict[str, int]:
        """Fewest and most pixels of a view, under the names that the processor gives them."""
        size = self.processor.image_processor.size
        most = max(1, self.photo_tiles if max_tiles is None else max_tiles) * TILE**2
        most = max(size["shortest_edge"], min(most, size["longest_edge"]))
        return {"shortest_edge": size["shortest_edge"], "longest_edge": most}

    def image_options(self, images: Sequence[Image.Image], max_tiles: int | None) -> dict[str, Any]:
        return {"size": self.find_bounds(max_tiles)}

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        bounds, settings = self.find_bounds(max_tiles), self.processor.image_processor
        side = settings.patch_size * settings.merge_size
        width, height = fit_qwen(image.size, side, bounds["shortest_edge"], bounds["longest_edge"])
        return [see_whole(image.size, (width, height), width // side * (height // side))]

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return self.list_views(image, max_tiles)[0].tokens


def load(card: Card, plan: Plan, report: Report) -> QwenVL:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    report(f"Reading {card.title}", None)
    weights = load_weights(AutoModelForImageTextToText, card, plan)
    return QwenVL(card, plan, weights, load_processor(AutoProcessor, card))
