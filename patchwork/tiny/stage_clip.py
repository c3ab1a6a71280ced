"""Trains the CLIP on captions: text tower, projections and the last layers of a vision tower that sees already."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import CLIPModel

from patchwork.tiny.clock import Clock, Meter, load_checkpoint, save_checkpoint, warm_and_cool
from patchwork.tiny.data import Curriculum, SceneStore
from patchwork.tiny.encoder import LAYERS, normalise
from patchwork.tiny.matching import PlaceHead, matching_loss
from patchwork.tiny.optimizer import TwoOptimizers
from patchwork.tiny.tokenizer import wrap_tokenizer
from patchwork.tiny.world import invent_scene

FROZEN = 3
"""Layers that stay as the patches' own questions left them; what they make of a picture is worked out once."""
GATE = 0.6
"""Scenes get one object more when this share of captions beats all of its near misses."""


class HiddenCache:
    """What the frozen layers make of the store's pictures: bfloat16 [1 + N, D] each, kept when first asked for."""

    def __init__(self, model: CLIPModel, store: SceneStore) -> None:
        self.model, self.store = model, store
        config = model.config.vision_config
        tokens = 1 + (config.image_size // config.patch_size) ** 2
        self.hidden = torch.empty(store.count, tokens, config.hidden_size, dtype=torch.bfloat16)
        self.known = np.zeros(store.count, bool)

    @torch.no_grad()
    def take(self, seeds: np.ndarray) -> torch.Tensor:
        missing = np.unique(seeds[~self.known[seeds]])
        if len(missing):
            tower = self.model.vision_model
            hidden = tower.pre_layrnorm(tower.embeddings(normalise(self.store.pictures[missing]).to(self.model.device)))
            for layer in tower.encoder.layers[:FROZEN]:
                hidden = layer(hidden, attention_mask=None)
            self.hidden[missing] = hidden.to("cpu", torch.bfloat16)
            self.known[missing] = True
        return self.hidden[seeds].to(self.model.device)


def freeze_below(model: CLIPModel) -> None:
    tower = model.vision_model
    for part in (tower.embeddings, tower.pre_layrnorm, *tower.encoder.layers[:FROZEN]):
        part.requires_grad_(False)


def train_clip(
    model: CLIPModel,
    store: SceneStore,
    tokenizer: Tokenizer,
    checkpoint: Path,
    minutes: float,
    rng: random.Random,
    batch: int = 48,
) -> CLIPModel:
    """The model whose tower knows what each patch shows, after it has also learnt to match captions."""
    words, cache = wrap_tokenizer(tokenizer, clip=True), HiddenCache(model, store)
    freeze_below(model)
    places = PlaceHead(model.config.projection_dim).to(model.device)
    optimizer = TwoOptimizers([*model.named_parameters(), *places.named_parameters()], 1.5e-3)
    clock, meter, curriculum = Clock(minutes), Meter("clip"), Curriculum(store, 2, GATE)
    load_checkpoint(checkpoint, clock, optimizer, model=model, places=places)
    for step, share in clock:
        curriculum.most = max(curriculum.most, 3 + round(12 * share))
        seeds = curriculum.choose(batch, text=0.1)
        owners = torch.from_numpy(store.owners[seeds]).long().to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16):
            hidden = cache.take(seeds).float()
            for layer in model.vision_model.encoder.layers[FROZEN:LAYERS]:
                hidden = layer(hidden, attention_mask=None)
            scenes = [invent_scene(int(seed)) for seed in seeds]
            loss, seen = matching_loss(model, words, hidden, owners, scenes, rng, places)
        optimizer.take_step(loss, warm_and_cool(step, share))
        curriculum.learn(seen["right"])
        meter.show(step, share, seen | {"objects": curriculum.most})
        if step % 200 == 199:
            save_checkpoint(checkpoint, clock, optimizer, model=model, places=places)
    save_checkpoint(checkpoint, clock, optimizer, model=model, places=places)
    return model
