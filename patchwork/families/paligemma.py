"""PaliGemma 1 and 2 (Beyer et al. 2024): SigLIP, one linear layer, Gemma; a task word begins every prompt."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from patchwork.families.grounding import GroundingModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.families.protocol import PatchGrid

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat", "ground", "read_document", "trace"})


class PaliGemma(GroundingModel):
    """Task words as in big_vision's configs/proj/paligemma/README.md; it has no chat template."""

    capabilities = CAPABILITIES
    coordinates = "paligemma"
    reads = frozenset({"question", "page"})
    prompts = {"ground": "detect {phrase}"}  # noqa: RUF012
    page_prompt = "ocr"

    def write_prompt(self, pictures: int, prompt: str) -> str:
        return "<image>" * pictures + prompt

    def ask_document(self, question: str) -> str:
        return f"answer en {question}" if question else super().ask_document(question)

    def chat(
        self,
        images: Sequence[Image.Image],
        prompt: str,
        max_new_tokens: int = 128,
        stop: threading.Event | None = None,
        max_tiles: int | None = None,
    ) -> Iterator[str]:
        yield from super().chat(images, f"answer en {prompt}", max_new_tokens, stop)

    def locate_tokens(self, image: Image.Image) -> PatchGrid | None:
        return self.locate_square(image)


def load(card: Card, plan: Plan, report: Report) -> PaliGemma:
    from transformers import AutoProcessor, PaliGemmaForConditionalGeneration

    report(f"Reading {card.title}", None)
    weights = load_weights(PaliGemmaForConditionalGeneration, card, plan)
    return PaliGemma(card, plan, weights, load_processor(AutoProcessor, card))
