"""IDEFICS (Laurençon et al. 2023), the open Flamingo: a resampler, and cross-attention between frozen layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.families.chat import ChatModel
from patchwork.families.loading import load_processor, load_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image
    from transformers import BatchFeature

    from patchwork.catalog import Card
    from patchwork.families.protocol import Report
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat"})


class Idefics(ChatModel):
    """Prompts as on its model page (huggingface.co/HuggingFaceM4/idefics-9b-instruct); it has no chat template."""

    capabilities = CAPABILITIES
    without = {  # noqa: RUF012
        "trace": "The picture enters through cross-attention layers, so it has no places in the sequence.",
    }

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> BatchFeature:
        turns = ["User:", *images, f"{prompt}<end_of_utterance>", "\nAssistant:"]
        inputs = self.processor(text=[turns], add_end_of_utterance_token=False, return_tensors="pt")
        return inputs.to(self.model.device, self.model.dtype)

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        """Vectors that the cross-attention reads: the resampler's, or every patch and the CLS where there is none."""
        config, vision = self.model.config, self.model.config.vision_config
        if config.use_resampler:
            return config.perceiver_config.resampler_n_latents
        return (vision.image_size // vision.patch_size) ** 2 + 1


def load(card: Card, plan: Plan, report: Report) -> Idefics:
    from transformers import AutoProcessor, IdeficsForVisionText2Text

    report(f"Reading {card.title}", None)
    weights = load_weights(IdeficsForVisionText2Text, card, plan)
    return Idefics(card, plan, weights, load_processor(AutoProcessor, card))
