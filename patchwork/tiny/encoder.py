"""Stage 0: the vision encoder, a small CLIP that is also asked, patch by patch, what it looks at."""

from __future__ import annotations

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from patchwork.tiny.data import ATTRIBUTES
from patchwork.tiny.questions import clip_caption, is_true, spoil
from patchwork.tiny.world import invent_scene

WIDTH, LAYERS, HEADS = 192, 5, 3
VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "image_size": 128,
    "patch_size": 16,
}


def build_encoder(vocabulary: int) -> CLIPModel:
    """Eager attention: at these sizes it trains faster on a CPU than the fused kernel."""
    text = {
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 512,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "max_position_embeddings": 77,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    config = CLIPConfig(vision_config=VISION, text_config=text, projection_dim=WIDTH)
    return CLIPModel._from_config(config, attn_implementation="eager")


def normalise(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [n, side, side, 3] → float [n, 3, side, side] in −1…1, as the shipped image processor does."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


class DenseHeads(nn.Module):
    """Reads kind, colour, size, texture and box of its object from each patch. Dropped after training."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256), nn.GELU())
        self.names = nn.ModuleList(nn.Linear(256, len(names) + 1) for names in ATTRIBUTES)  # one more: background
        self.box = nn.Linear(256, 4)

    def forward(self, hidden: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        x = self.trunk(hidden)  # [B, N, 256]
        return [head(x) for head in self.names], self.box(x).sigmoid()


def dense_loss(
    heads: DenseHeads, hidden: torch.Tensor, owners: torch.Tensor, objects: torch.Tensor
) -> tuple[torch.Tensor, dict[str, float]]:
    """`hidden` [B, N, D] against each patch's object. Background is 85 % of the patches but a fifth of the loss."""
    logits, boxes = heads(hidden)
    covered = owners >= 0  # [B, N]
    target = objects.gather(1, owners.clamp(min=0)[..., None].expand(-1, -1, 8))  # [B, N, 8]
    loss, seen = 0.0, {}
    for k, (name, weight) in enumerate((("kind", 1.0), ("colour", 0.7), ("size", 0.4), ("texture", 0.5))):
        classes = len(ATTRIBUTES[k])
        truth = torch.where(covered, target[..., k].long(), classes)
        error = F.cross_entropy(logits[k].flatten(0, 1), truth.flatten(), reduction="none").view_as(truth)
        loss = loss + weight * (0.8 * error[covered].mean() + 0.2 * error[~covered].mean())
        seen[name] = (logits[k][covered][:, :classes].argmax(-1) == truth[covered]).float().mean().item()
    box = F.smooth_l1_loss(boxes[covered], target[covered][:, 4:], beta=0.03)
    return loss + 8 * box, seen | {"box": box.item()}


def embed(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Unit-length text embeddings [n, D]."""
    tokens = tokenizer(texts, padding=True, return_tensors="pt").to(model.device)
    pooled = model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
    return F.normalize(model.text_projection(pooled).float(), dim=-1)


def write_captions(seeds: np.ndarray, rng: random.Random):
    """Per scene a true caption and up to two near misses: (scenes, captions, near misses, whose near miss)."""
    scenes = [invent_scene(int(seed)) for seed in seeds]
    captions = [clip_caption(scene, rng) for scene in scenes]
    misses, whose = [], []
    for b, (scene, (caption, _)) in enumerate(zip(scenes, captions, strict=True)):
        for how in rng.sample(["attribute", "attribute", "relation", "object"], 2):
            text = spoil(scene, caption, how, rng)
            if text:
                misses.append(text)
                whose.append(b)
    return scenes, captions, misses, whose


def contrastive_loss(model, tokenizer, output, owners, seeds, rng) -> tuple[torch.Tensor, dict[str, float]]:
    """Pictures against captions, against their own near misses, and patches against the phrase of their object."""
    scenes, captions, misses, whose = write_captions(seeds, rng)
    phrases = [rng.choice((thing.phrase, thing.name)) for scene in scenes for thing in scene.things]
    places = [(b, j) for b, scene in enumerate(scenes) for j in range(len(scene.things))]
    batch = len(scenes)
    image = F.normalize(model.visual_projection(output.pooler_output).float(), dim=-1)  # [B, D]
    texts = embed(model, tokenizer, [text for _, text in captions] + misses + phrases)
    caption, miss, phrase = texts.split([batch, len(misses), len(phrases)])
    scale = model.logit_scale.exp().clamp(max=100)

    also_true = torch.tensor(
        [[i != j and is_true(scenes[i], *captions[j][0][:2]) for j in range(batch)] for i in range(batch)]
    )
    others = torch.tensor(whose)[None] != torch.arange(batch)[:, None]  # a near miss competes with its own picture
    logits = (image @ torch.cat([caption, miss]).T * scale).masked_fill(torch.cat([also_true, others], 1), -1e4)
    target = torch.arange(batch)
    pair = 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits[:, :batch].T, target))
    near = torch.stack([(image[whose] * caption[whose]).sum(-1), (image[whose] * miss).sum(-1)], -1) * scale
    hard = F.cross_entropy(near, torch.zeros(len(whose), dtype=torch.long))

    patches = model.visual_projection(model.vision_model.post_layernorm(output.last_hidden_state[:, 1:])).float()
    patches = F.normalize(patches, dim=-1)  # [B, N, D]
    member = torch.stack([owners[b] == j for b, j in places]).float()  # [objects, N]
    pooled = torch.einsum("on,ond->od", member, patches[[b for b, _ in places]])
    same = torch.tensor([[i != j and x == y for j, y in enumerate(phrases)] for i, x in enumerate(phrases)])
    point = (F.normalize(pooled, dim=-1) @ phrase.T * scale).masked_fill(same, -1e4)
    pointing = F.cross_entropy(point, torch.arange(len(phrases)))
    seen = {"pair": pair.item(), "near": hard.item(), "pointing": pointing.item()}
    return 0.5 * (pair + hard + pointing), seen
