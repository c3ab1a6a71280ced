"""Stage 0: the vision encoder, a small CLIP that is also asked, patch by patch, what it looks at."""

from __future__ import annotations

import random
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from patchwork.tiny.captions import Caption, is_true, mention, spoil, write_caption
from patchwork.tiny.data import ATTRIBUTES, COLUMNS
from patchwork.tiny.tokenizer import BOS, EOS, PAD
from patchwork.tiny.world import Scene

WIDTH, LAYERS, HEADS = 192, 6, 6
VISION = {
    "hidden_size": WIDTH,
    "intermediate_size": 512,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "image_size": 128,
    "patch_size": 16,
}
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}
SHARES = {"kind": 1.0, "colour": 0.7, "size": 0.4, "texture": 0.5, "word": 1.2, "tens": 0.8, "ones": 0.8}
"""How much each attribute counts in the dense loss."""
CAPTIONS, HOWS = 3, ("attribute", "relation", "object")
"""Captions written for each picture at each step, and the near misses of each."""


def build_encoder(vocabulary: int) -> CLIPModel:
    """Eager attention: at these sizes it trains faster on a CPU than the fused kernel."""
    config = CLIPConfig(
        vision_config=VISION,
        text_config=TEXT | {"vocab_size": vocabulary},
        projection_dim=WIDTH,
        logit_scale_init_value=3.0,
    )
    return CLIPModel._from_config(config, attn_implementation="eager")


def normalise(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [n, side, side, 3] → float [n, 3, side, side] in −1…1, as the shipped image processor does."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


class DenseHeads(nn.Module):
    """Reads the attributes and the box of its object from each patch. Dropped after training."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 256), nn.GELU())
        self.names = nn.ModuleList(nn.Linear(256, len(names) + 1) for names in ATTRIBUTES.values())  # + background
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
    target = objects.gather(1, owners.clamp(min=0)[..., None].expand(-1, -1, COLUMNS))  # [B, N, COLUMNS]
    loss, seen = 0.0, {}
    for k, (name, weight) in enumerate(SHARES.items()):
        classes = len(ATTRIBUTES[name])
        known = covered & (target[..., k] >= 0)
        if not known.any():
            continue
        truth = torch.where(known, target[..., k].long(), classes)
        error = F.cross_entropy(logits[k].float().flatten(0, 1), truth.flatten(), reduction="none").view_as(truth)
        counted = known & (truth != ATTRIBUTES["word"].index("no text")) if name == "word" else known
        rest = ~known if name != "word" else ~counted  # most objects carry no text
        loss = loss + weight * (0.8 * mean(error[counted]) + 0.2 * mean(error[rest]))
        if counted.any():
            guesses = logits[k][counted][:, :classes].argmax(-1)
            seen[name] = (guesses == truth[counted]).float().mean().item()
    box = F.smooth_l1_loss(boxes[covered].float(), target[covered][:, -4:], beta=0.03)
    return loss + 8 * box, seen | {"box": box.item()}


def mean(values: torch.Tensor) -> torch.Tensor:
    """0 of nothing."""
    return values.sum() / max(1, values.numel())


def embed(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Unit-length text embeddings [n, D]."""
    tokens = tokenizer(texts, padding=True, return_tensors="pt").to(model.device)
    pooled = model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
    return F.normalize(model.text_projection(pooled).float(), dim=-1)


def write_captions(scenes: list[Scene], rng: random.Random) -> tuple[list[Caption], list[str], list[int]]:
    """Per scene a true caption and near misses of it: (captions, near misses, whose)."""
    captions, misses, whose = [write_caption(scene, rng) for scene in scenes], [], []
    for number, (scene, caption) in enumerate(zip(scenes, captions, strict=True)):
        spoilt = {str(missed) for how in HOWS if (missed := spoil(scene, caption, how, rng))}
        misses += sorted(spoilt)
        whose += [number] * len(spoilt)
    return captions, misses, whose


def contrastive_loss(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    output,
    owners: torch.Tensor,
    scenes: list[Scene],
    rng: random.Random,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Pictures against captions, against their own near misses, and patches against the phrase of their object."""
    rounds = [write_captions(scenes, rng) for _ in range(CAPTIONS)]
    places = [(b, rng.randrange(len(scene.things))) for b, scene in enumerate(scenes)]
    phrases = [str(mention(scenes[b].things[j], rng)) for b, j in places]
    groups = [phrases, *([*map(str, captions), *misses] for captions, misses, _ in rounds)]
    phrase, *texts = embed(model, tokenizer, list(chain(*groups))).split([len(group) for group in groups])
    image = F.normalize(model.visual_projection(output.pooler_output).float(), dim=-1)  # [B, D]
    scale = model.logit_scale.exp().clamp(max=100)
    pointing = match_phrases(model, output, owners, places, phrases, phrase, scale)
    loss, seen = 0.5 * pointing, {"pointing": pointing.item()}
    for (captions, _, whose), text in zip(rounds, texts, strict=True):
        caption, miss = text[: len(scenes)], text[len(scenes) :]
        pair, near, right = match_captions(image, caption, miss, torch.tensor(whose), scenes, captions, scale)
        loss = loss + (0.5 * pair + near) * 1.5 / CAPTIONS
        seen |= {"pair": pair.item(), "near right": right}
    return loss, seen


def match_captions(image, caption, miss, whose, scenes, captions, scale):
    """(loss against the captions of the batch, loss against a picture's own near misses, share right among those)."""
    batch = len(scenes)
    whose, target = whose.to(image.device), torch.arange(batch, device=image.device)
    also_true = torch.tensor(
        [[i != j and is_true(s, c, -0.02) for j, c in enumerate(captions)] for i, s in enumerate(scenes)]
    )
    logits = (image @ caption.T * scale).masked_fill(also_true.to(image.device), -1e4)  # [B, B]
    pair = 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
    own = (image[whose] * miss).sum(-1) * scale  # [misses]
    table = torch.full((batch, 1 + len(HOWS)), -1e4, device=image.device)
    column = torch.arange(len(whose), device=image.device) - torch.searchsorted(whose, target)[whose] + 1
    table[:, 0] = logits.diagonal()
    table = table.index_put((whose, column), own)
    right = (table.argmax(-1) == 0).float().mean().item()
    return pair, F.cross_entropy(table, torch.zeros_like(target)), right


def match_phrases(model, output, owners, places, phrases, phrase, scale) -> torch.Tensor:
    """The patches of each object, averaged, find its phrase among all phrases of the batch."""
    patches = model.visual_projection(model.vision_model.post_layernorm(output.last_hidden_state[:, 1:])).float()
    patches = F.normalize(patches, dim=-1)  # [B, N, D]
    rows = torch.tensor([b for b, _ in places], device=owners.device)
    objects = torch.tensor([j for _, j in places], device=owners.device)
    member = (owners[rows] == objects[:, None]).float()  # [objects, N]
    pooled = F.normalize(torch.einsum("on,ond->od", member, patches[rows]), dim=-1)
    same = torch.tensor([[i != j and x == y for j, y in enumerate(phrases)] for i, x in enumerate(phrases)])
    point = (pooled @ phrase.T * scale).masked_fill(same.to(pooled.device), -1e4)
    return F.cross_entropy(point, torch.arange(len(phrases), device=point.device))
