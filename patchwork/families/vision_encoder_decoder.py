"""Donut (Kim et al. 2022) and Nougat (Blecher et al. 2023): a Swin encoder sees the page, a decoder writes markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from patchwork.errors import Problem
from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights
from patchwork.tiles import View, fit_page

if TYPE_CHECKING:
    from transformers import BatchFeature

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"read_document"})


class VisionEncoderDecoder(ChatModel):
    """What a checkpoint does is its card's to say: `prompts` holds its own task tokens for a `page` or a `question`
    (as on the model pages of naver-clova-ix/donut-base-finetuned-docvqa and -cord-v2). Nougat needs none."""

    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "chat": "It writes out pages; it was never taught to talk.",
        "attention": "Its Swin encoder attends within windows, so no map of one layer covers the page.",
        "trace": "Its decoder reads the page through cross-attention, so there is no one sequence to follow.",
    }

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({"question", "page"} & set(self.card.prompts)) or frozenset({"page"})

    def ask_document(self, question: str) -> str:
        asked = super().ask_document(question)
        return self.card.prompts["question"].format(question=question) if question else asked

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> BatchFeature:
        if len(images) != 1:
            raise Problem(f"{self.card.title} reads one page at a time; give it one.")
        inputs = self.processor.image_processor(images[0], return_tensors="pt")
        if prompt:
            tokens = self.processor.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
            inputs["decoder_input_ids"] = tokens
        return inputs.to(self.model.device, self.model.dtype)

    def read_document(self, images: Sequence[Image.Image], *given, **named) -> Iterator[str]:
        for image in images:
            yield from super().read_document([image], *given, **named)

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """One view: the page, its empty margin cut off where the processor does so, on a canvas of fixed size."""
        settings = self.processor.image_processor
        cropped = getattr(settings, "do_crop_margin", False)
        left, top, right, bottom = find_ink(image) if cropped else (0, 0, *image.size)
        canvas = (settings.size["width"], settings.size["height"])
        region = fit_page((right - left, bottom - top), canvas)
        return [View(region, canvas, self.count_image_tokens(image), overview=True).shift(left, top)]

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        """Each of Swin's stages but the first halves the grid of patches."""
        encoder, size = self.model.config.encoder, self.processor.image_processor.size
        step = encoder.patch_size * 2 ** (len(encoder.depths) - 1)
        return (size["height"] // step) * (size["width"] // step)

    def find_places(self, inputs: dict) -> torch.Tensor:
        raise NotImplementedError("the picture is not in the decoder's sequence")


def find_ink(page: Image.Image, threshold: int = 200) -> tuple[int, int, int, int]:
    """What is darker than the threshold when the page's darkest is 0 and its lightest 255; all of an even page."""
    grey = np.asarray(page.convert("L")).astype(np.float32)
    if grey.max() == grey.min():
        return (0, 0, *page.size)
    dark = (grey - grey.min()) / (grey.max() - grey.min()) * 255 < threshold
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def load(card: Card, plan: Plan, report: Report) -> VisionEncoderDecoder:
    from transformers import AutoProcessor, VisionEncoderDecoderModel

    report(f"Reading {card.title}", None)
    weights = load_weights(VisionEncoderDecoderModel, card, plan)
    return VisionEncoderDecoder(card, plan, weights, load_processor(AutoProcessor, card))
