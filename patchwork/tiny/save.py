"""Write the trained models as plain `transformers` folders: fp16 safetensors, processor, tokenizer, chat template."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import CLIPModel, CLIPProcessor, LlavaForConditionalGeneration, LlavaProcessor
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from patchwork.tiny.tokenizer import ASSISTANT, BOS, EOS, PAD, USER, wrap_tokenizer

HALF = [0.5, 0.5, 0.5]


def build_image_processor() -> CLIPImageProcessorPil:
    """To 128 × 128 without cropping, values −1…1. Callers letterbox first, so nothing is stretched."""
    return CLIPImageProcessorPil(
        size={"height": 128, "width": 128}, do_center_crop=False, image_mean=HALF, image_std=HALF, resample=3
    )


def save_encoder(model: CLIPModel, tokenizer: Tokenizer, folder: Path) -> None:
    copy = CLIPModel(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.float16).save_pretrained(folder)
    CLIPProcessor(build_image_processor(), wrap_tokenizer(tokenizer, clip=True)).save_pretrained(folder)


def save_vlm(model: LlavaForConditionalGeneration, tokenizer: Tokenizer, folder: Path) -> None:
    copy = LlavaForConditionalGeneration(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config.update(
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
        do_sample=False,
        max_new_tokens=96,
        suppress_tokens=[USER, ASSISTANT],
    )
    copy.to(torch.float16).save_pretrained(folder)
    fast = wrap_tokenizer(tokenizer)
    LlavaProcessor(
        build_image_processor(),
        fast,
        patch_size=16,
        vision_feature_select_strategy="default",
        chat_template=fast.chat_template,
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
