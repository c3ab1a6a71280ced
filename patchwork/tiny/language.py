"""Stages 1 and 2: the language model behind the encoder. Many questions share one picture in a packed sequence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from patchwork.tiny.encoder import VISION, WIDTH, normalise
from patchwork.tiny.questions import Turn
from patchwork.tiny.tokenizer import ASSISTANT, BOS, EOS, IMAGE, PAD, USER

PATCHES = 64
PREFIX = 2 + PATCHES  # <s> <|user|> and the picture, seen by every question
POINTING_HEADS = ((1, 0), (1, 1), (2, 0), (2, 1))
"""(layer, head) pairs that are taught to look at the object spoken of."""


def build_vlm(vocabulary: int) -> LlavaForConditionalGeneration:
    text = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION),
        text_config=text,
        image_token_id=IMAGE,
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=PATCHES,
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration._from_config(config, attn_implementation="eager")


def copy_tower(model: LlavaForConditionalGeneration, encoder: torch.nn.Module) -> None:
    """Put the encoder's vision weights into the VLM and freeze them."""
    tower = model.model.vision_tower
    tower.load_state_dict(encoder.vision_model.state_dict())
    tower.requires_grad_(False)


@torch.inference_mode()
def encode_pictures(model: LlavaForConditionalGeneration, pictures: np.ndarray, size: int = 128) -> torch.Tensor:
    """The frozen tower's patches, once for all: bfloat16 [n, PATCHES, WIDTH]."""
    features = torch.empty(len(pictures), PATCHES, WIDTH, dtype=torch.bfloat16)
    for i in range(0, len(pictures), size):
        pixels = normalise(pictures[i : i + size]).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16):
            hidden = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1]
        features[i : i + size] = hidden[:, 1:].to("cpu", torch.bfloat16)
    return features


@dataclass
class Packed:
    """`ids`, `positions`, `segments`, `labels`: [B, T]; `targets`: bool [B, T, PATCHES], where to look."""

    ids: torch.Tensor
    positions: torch.Tensor
    segments: torch.Tensor
    labels: torch.Tensor
    targets: torch.Tensor


def encode_turn(tokenizer: PreTrainedTokenizerFast, turn: Turn) -> tuple[list[int], list[int], list[tuple[int, ...]]]:
    """Question ids, answer ids, and for each answer token the objects it speaks of."""
    question = [*tokenizer(turn.question).input_ids, ASSISTANT]
    encoded = tokenizer(turn.answer, return_offsets_mapping=True)
    spoken = []
    for start, end in encoded.offset_mapping:
        spoken.append(next((objects for a, b, objects in turn.spans if start < b and end > a and start >= a - 1), ()))
    return question, [*encoded.input_ids, EOS], [*spoken, ()]


def pack(tokenizer: PreTrainedTokenizerFast, examples: list[tuple[list[Turn], np.ndarray | None]]) -> Packed:
    """(turns, owners of the patches) per picture → one sequence a picture; each turn restarts its positions."""
    rows = []
    for turns, owners in examples:
        row = {"ids": [], "positions": [], "segments": [], "labels": [], "objects": []}
        for number, turn in enumerate(turns, start=1):
            question, answer, spoken = encode_turn(tokenizer, turn)
            length = len(question) + len(answer) - 1  # the last token is only predicted
            row["ids"] += (question + answer)[:-1]
            row["positions"] += range(PREFIX, PREFIX + length)
            row["segments"] += [number] * length
            row["labels"] += [-100] * (len(question) - 1) + answer
            row["objects"] += [()] * (len(question) - 1) + spoken
        rows.append((row, owners))
    width = max(len(row["ids"]) for row, _ in rows)
    shape = (len(rows), width)
    packed = Packed(
        torch.full(shape, PAD),
        torch.full(shape, PREFIX),
        torch.full(shape, -1),
        torch.full(shape, -100),
        torch.zeros(*shape, PATCHES, dtype=torch.bool),
    )
    for b, (row, owners) in enumerate(rows):
        for name in ("ids", "positions", "segments", "labels"):
            getattr(packed, name)[b, : len(row[name])] = torch.tensor(row[name])
        for t, objects in enumerate(row["objects"]):
            if objects and owners is not None:
                packed.targets[b, t] = torch.from_numpy(np.isin(owners, objects))
    return packed


def block_mask(segments: torch.Tensor) -> torch.Tensor:
    """[B, T] → additive [B, 1, PREFIX + T, PREFIX + T]: causal, and a turn sees the picture and itself only."""
    batch, length = segments.shape
    total = PREFIX + length
    blocks = torch.cat([torch.zeros(batch, PREFIX, dtype=torch.long, device=segments.device), segments], 1)
    allowed = (blocks[:, None, :] == 0) | (blocks[:, None, :] == blocks[:, :, None])
    allowed &= torch.ones(total, total, dtype=torch.bool, device=segments.device).tril()
    return torch.zeros(batch, 1, total, total, device=segments.device).masked_fill(~allowed[:, None], -1e9)


def run_packed(model: LlavaForConditionalGeneration, features: torch.Tensor, packed: Packed):
    """Hidden states of the turns [B, T, WIDTH] and every layer's attention [B, H, PREFIX + T, PREFIX + T]."""
    language = model.model.language_model
    words = language.embed_tokens(packed.ids)
    batch = len(words)
    picture = model.model.multi_modal_projector(features)
    start = language.embed_tokens(torch.tensor([[BOS, USER]], device=words.device)).expand(batch, -1, -1)
    inputs = torch.cat([start.to(picture.dtype), picture, words.to(picture.dtype)], 1)
    prefix = torch.arange(PREFIX, device=words.device)[None].expand(batch, -1)
    output = language(
        inputs_embeds=inputs,
        attention_mask=block_mask(packed.segments).to(inputs.dtype),
        position_ids=torch.cat([prefix, packed.positions], 1),
        output_attentions=True,
        use_cache=False,
    )
    return output.last_hidden_state[:, PREFIX:], output.attentions


def answer_loss(model, hidden: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Cross-entropy on answer tokens only, and the share of them predicted right."""
    kept = labels != -100
    logits = model.lm_head(hidden[kept]).float()
    return F.cross_entropy(logits, labels[kept]), (logits.argmax(-1) == labels[kept]).float().mean().item()


def pointing_loss(attentions, targets: torch.Tensor) -> tuple[torch.Tensor, float]:
    """−log of the attention that the pointing heads put on the object spoken of, and that attention's mean."""
    asked = targets.any(-1)
    if not asked.any():
        return torch.zeros((), device=targets.device), 0.0
    shares = torch.stack(
        [
            (attentions[layer][:, head, PREFIX:, 2:PREFIX].float() * targets).sum(-1)[asked]
            for layer, head in POINTING_HEADS
        ]
    )
    return -(shares + 1e-5).log().mean(), shares.mean().item()
