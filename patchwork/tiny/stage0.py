"""Trains the vision tower: what does each patch show, on scenes, on the tiles of pages, on pages made small?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from patchwork.tiny import encoder
from patchwork.tiny.clock import Clock, Meter, load_checkpoint, save_checkpoint, warm_and_cool
from patchwork.tiny.data import CARDS, MOST, Curriculum, PageStore, SceneStore
from patchwork.tiny.optimizer import TwoOptimizers
from patchwork.tiny.precision import mix_precision

SCENES, TILES, OVERVIEWS = 28, 13, 7
"""Pictures of each kind in a batch."""


def gather(
    scenes: SceneStore, pages: PageStore, chooser: Curriculum, part: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch, or one part of so many: pictures, the object of each patch, the table of objects, padded to CARDS."""
    seeds = chooser.choose(SCENES // part, text=0.4)
    where = pages.choose_views(TILES // part, OVERVIEWS // part)
    padding = ((0, 0), (0, CARDS - MOST), (0, 0))
    tables = np.pad(scenes.objects[seeds], padding, constant_values=-1)
    return (
        np.concatenate([scenes.pictures[seeds], pages.pictures[where]]),
        np.concatenate([scenes.owners[seeds], pages.owners[where]]),
        np.concatenate([tables, pages.objects[where]]),
    )


def ask_patches(tower, heads: encoder.DenseHeads, batch: tuple[np.ndarray, ...]) -> tuple[torch.Tensor, dict]:
    """The loss of what `heads` read from each patch of a batch, and what was right."""
    pictures, owners, objects = batch
    with mix_precision(tower.device):
        hidden = tower(encoder.normalise(pictures).to(tower.device)).last_hidden_state[:, 1:]
        truth = torch.from_numpy(owners).long().to(hidden.device), torch.from_numpy(objects).to(hidden.device)
        return encoder.dense_loss(heads, hidden, *truth)


def train_tower(
    model, heads: encoder.DenseHeads, scenes: SceneStore, pages: PageStore, checkpoint: Path, minutes: float
):
    """Stage 0: the `CLIPModel` whose vision tower knows what each patch shows; nothing of it has seen a caption."""
    named = [*model.vision_model.named_parameters(prefix="vision_model"), *heads.named_parameters()]
    optimizer = TwoOptimizers([(name, p) for name, p in named if "post_layernorm" not in name], 1.5e-3)
    clock, meter, chooser = Clock(minutes), Meter("stage 0"), Curriculum(scenes, MOST, 1.0)
    load_checkpoint(checkpoint, clock, optimizer, model=model, heads=heads)
    for step, share in clock:
        loss, seen = ask_patches(model.vision_model, heads, gather(scenes, pages, chooser))
        optimizer.take_step(loss, warm_and_cool(step, share))
        meter.show(step, share, seen)
        if step % 200 == 199:
            save_checkpoint(checkpoint, clock, optimizer, model=model, heads=heads)
    save_checkpoint(checkpoint, clock, optimizer, model=model, heads=heads)
    return model
