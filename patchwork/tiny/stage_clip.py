"""Trains the CLIP: text tower, projections and the last layers of a vision tower that sees already."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import CLIPModel

from patchwork.tiny.clock import Clock, Meter, load_checkpoint, save_checkpoint, warm_and_cool
from patchwork.tiny.data import MOST, Curriculum, SceneStore
from patchwork.tiny.encoder import LAYERS, normalise
from patchwork.tiny.matching import NAMED, choose_own, find_names, matching_loss, write_choice
from patchwork.tiny.optimizer import TwoOptimizers
from patchwork.tiny.precision import mix_precision
from patchwork.tiny.teacher import Teachers
from patchwork.tiny.tokenizer import wrap_tokenizer
from patchwork.tiny.world import invent_scene

FROZEN = 3
"""Layers that stay as the patches' own questions left them; what they make of a picture is worked out once."""
TAUGHT, IMITATED, FREEDOM = 0.2, (0.35, 0.15), 0.6
"""The teachers' share of the time; of the rest, how long the CLIP only imitates them and over how long captions come
in; and what those then count, the teachers still holding on to the rest."""


FIRST = 10_000_000
"""First seed of the scenes that only the teachers learn from; nobody sees them."""


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


def train_teachers(width: int, checkpoint: Path, minutes: float, rng: random.Random, batch: int = 128) -> Teachers:
    """Trained by themselves, on the same choices as the CLIP later; kept in `checkpoint`."""
    teachers = Teachers(width)
    if checkpoint.exists():
        teachers.load_state_dict(torch.load(checkpoint, weights_only=True))
        return teachers
    optimizer = torch.optim.AdamW(teachers.parameters(), weight_decay=0.01, betas=(0.9, 0.98))
    meter, seed = Meter("teachers", every=100), FIRST
    for step, share in Clock(minutes):
        scenes, seed = [invent_scene(seed + i) for i in range(batch)], seed + batch
        choices = [write_choice(scene, rng, pair) for pair in (True, False) for scene in scenes]
        captions = teachers.embed_captions(NAMED + [caption for choice in choices for caption in choice.captions])
        bank, *texts = captions.split([len(NAMED), *(len(choice.captions) for choice in choices)])
        image, scale = teachers.embed_scenes(scenes), teachers.scale.exp().clamp(max=100)
        near, right = choose_own(image, texts[:batch], scale)
        other, _ = choose_own(image, texts[batch:], scale)
        named = find_names(image, bank, scenes, scale)
        optimizer.zero_grad()
        (1.5 * near + 0.7 * other + 0.7 * named).backward()
        nn.utils.clip_grad_norm_(teachers.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * warm_and_cool(step, share)
        optimizer.step()
        meter.show(step, share, {"right": right, "near": near.item(), "named": named.item(), "scale": scale.item()})
    torch.save(teachers.state_dict(), checkpoint)
    return teachers


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
    width = model.config.projection_dim
    teachers = train_teachers(width, checkpoint.with_name("teachers.pt"), TAUGHT * minutes, rng).to(model.device)
    words, cache = wrap_tokenizer(tokenizer, clip=True), HiddenCache(model, store)
    freeze_below(model)
    optimizer = TwoOptimizers(model.named_parameters(), 1.5e-3)
    clock, meter, everything = Clock((1 - TAUGHT) * minutes), Meter("clip"), Curriculum(store, MOST, 1.0)
    load_checkpoint(checkpoint, clock, optimizer, model=model)
    for step, share in clock:
        seeds, freedom = (
            everything.choose(batch, text=0.1),
            FREEDOM * min(1.0, max(0.0, share - IMITATED[0]) / IMITATED[1]),
        )
        owners = torch.from_numpy(store.owners[seeds]).long().to(model.device)
        with mix_precision(model.device):
            hidden = cache.take(seeds).float()
            for layer in model.vision_model.encoder.layers[FROZEN:LAYERS]:
                hidden = layer(hidden, attention_mask=None)
            scenes = [invent_scene(int(seed)) for seed in seeds]
            loss, seen = matching_loss(model, words, hidden, owners, scenes, rng, teachers, freedom)
        optimizer.take_step(loss, warm_and_cool(step, share))
        meter.show(step, share, seen)
        if step % 200 == 199:
            save_checkpoint(checkpoint, clock, optimizer, model=model)
    save_checkpoint(checkpoint, clock, optimizer, model=model)
    return model
