"""Granite-Docling 258M and SmolDocling (Nassar et al. 2025): Idefics3's architecture, taught to write DocTags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.grounding import GroundingModel
from patchwork.families.idefics3 import Idefics3
from patchwork.families.loading import load_processor, load_weights
from patchwork.tiles import ALL_TILES

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "ground", "read_document", "trace"})


class GraniteDocling(Idefics3, GroundingModel):
    """Instructions as in its report, arXiv:2503.11576, appendix B, and on its model page. A tag and its place come
    before what stands there, so `ground` without a phrase is the layout of the page."""

    capabilities = CAPABILITIES
    reads = frozenset({"question", "page"})
    photo_tiles = ALL_TILES  # it was taught pages only
    page_prompt = "Convert this page to docling."
    coordinates = "doctags"
    prompts = {  # noqa: RUF012
        "ground_all": page_prompt,
        "describe_region": "OCR the text in a specific location: {box}",
    }


def load(card: Card, plan: Plan, report: Report) -> GraniteDocling:
    from transformers import AutoProcessor, Idefics3ForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(Idefics3ForConditionalGeneration, card, plan)
    return GraniteDocling(card, plan, weights, load_processor(AutoProcessor, card))
