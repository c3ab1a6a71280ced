"""The CLIP's shape, and what its vision tower is asked first: patch by patch, what do you look at?"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPConfig, CLIPModel

from patchwork.tiny.data import ATTRIBUTES, COLUMNS
from patchwork.tiny.tokenizer import BOS, EOS, PAD

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
SHARES = {
    **{"kind": 1.0, "colour": 0.7, "size": 0.4, "texture": 0.5, "word": 1.2, "tens": 1.0, "ones": 1.0},
    **{"field": 0.8, "about kind": 0.6, "about colour": 0.5},
}
"""How much each attribute counts in the dense loss."""


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
    if lines := (covered & (target[..., READ[0]] >= 0)).sum().item():
        where = covered & (target[..., READ[0]] >= 0)
        right = [logits[k][where].argmax(-1) == target[where][:, k] for k in READ]
        seen["read"] = torch.stack(right).all(0).sum().item() / lines
    box = F.smooth_l1_loss(boxes[covered].float(), target[covered][:, -4:], beta=0.03)
    return loss + 8 * box, seen | {"box": box.item()}


READ = [list(ATTRIBUTES).index(name) for name in ("field", "tens", "ones")]
"""A printed line is read where these are right."""


def mean(values: torch.Tensor) -> torch.Tensor:
    """0 of nothing."""
    return values.sum() / max(1, values.numel())
