"""Trains the encoder: first on what each patch shows, then on captions and their near misses too."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer

from patchwork.tiny import encoder
from patchwork.tiny.clock import Clock, Meter, load_checkpoint, save_checkpoint, warm_and_cool
from patchwork.tiny.data import MOST, Curriculum, SceneStore
from patchwork.tiny.optimizer import TwoOptimizers
from patchwork.tiny.tokenizer import wrap_tokenizer
from patchwork.tiny.world import invent_scene

DENSE_ONLY = 0.25
"""Share of the time before captions begin: they need patches that already know what they show."""
GATE, ALL_FROM = 0.7, 0.5
"""Captions are of scenes with few objects until this share beats its near misses; then one object more. From the
second share of the time on they are of all scenes."""


def train_encoder(
    store: SceneStore, tokenizer: Tokenizer, folder: Path, minutes: float, device: torch.device, rng: random.Random
):
    """Stage 0: the trained `CLIPModel`; checkpoints go to `folder`."""
    words = wrap_tokenizer(tokenizer, clip=True)
    model, heads = encoder.build_encoder(len(words)).to(device), encoder.DenseHeads().to(device)
    optimizer = TwoOptimizers([*model.named_parameters(), *heads.named_parameters()], 1.5e-3)
    clock, meter, curriculum = Clock(minutes), Meter("stage 0"), Curriculum(store, 2, GATE)
    everything = Curriculum(store, MOST, 1.0)
    load_checkpoint(folder / "stage0.pt", clock, optimizer, model=model, heads=heads)
    for step, share in clock:
        captioned = share > DENSE_ONLY
        curriculum.most = MOST if share > ALL_FROM else curriculum.most
        seeds = curriculum.choose(48) if captioned else everything.choose(48, text=0.5)
        owners = torch.from_numpy(store.owners[seeds]).long().to(device)
        with torch.autocast(device.type, torch.bfloat16):
            output = model.vision_model(encoder.normalise(store.pictures[seeds]).to(device))
            objects = torch.from_numpy(store.objects[seeds]).to(device)
            loss, seen = encoder.dense_loss(heads, output.last_hidden_state[:, 1:], owners, objects)
            if captioned:
                scenes = [invent_scene(int(seed)) for seed in seeds]
                contrast, more = encoder.contrastive_loss(model, words, output, owners, scenes, rng)
                loss, seen = 0.5 * loss + contrast, seen | more | {"objects": curriculum.most}
                curriculum.learn(more["near right"])
        optimizer.take_step(loss, warm_and_cool(step, share))
        meter.show(step, share, seen)
        if step % 200 == 199:
            save_checkpoint(folder / "stage0.pt", clock, optimizer, model=model, heads=heads)
    save_checkpoint(folder / "stage0.pt", clock, optimizer, model=model, heads=heads)
    return model
