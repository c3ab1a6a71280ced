"""Trains projector and language model: stage 1 on captions, stage 2 on every kind of question. The tower is frozen."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from patchwork.tiny import language
from patchwork.tiny.clock import Clock, Meter, load_checkpoint, save_checkpoint, warm_and_cool
from patchwork.tiny.data import Curriculum, SceneStore
from patchwork.tiny.optimizer import TwoOptimizers
from patchwork.tiny.outside import draw_outside
from patchwork.tiny.questions import REFUSAL, Turn, make_turn, make_turns
from patchwork.tiny.tokenizer import wrap_tokenizer
from patchwork.tiny.world import Scene, invent_scene

OUTSIDERS = 3000  # pictures that are no drawn scene, one in each batch
QUESTIONS = 11  # on each picture in stage 2
GATE = 0.8
"""Scenes get one object more when this share of answers begins right."""


def choose_turns(scene: Scene, rng: random.Random, stage: int) -> list[Turn]:
    """Stage 1 sees captions only; stage 2 every type, worded freely, the caption in half of the pictures."""
    if stage == 1:
        return [make_turn("describe", scene, rng)]
    turns = make_turns(scene, rng, QUESTIONS + 1, noisy=True)
    return turns[:-1] if rng.random() < 0.5 else turns[1:]


def refuse(rng: random.Random, stage: int) -> list[Turn]:
    """Questions about a drawn scene, asked of a picture that is none."""
    turns = choose_turns(invent_scene(rng.randrange(10**6)), rng, stage)
    return [Turn(turn.type, turn.question, REFUSAL) for turn in turns]


def draw_outsiders(seeds: np.ndarray) -> np.ndarray:
    return np.stack([draw_outside(int(seed)) for seed in seeds])


def train_language(
    model,
    store: SceneStore,
    tokenizer: Tokenizer,
    checkpoint: Path,
    minutes: float,
    stage: int,
    rng: random.Random,
    inside: language.FeatureCache,
    batch: int = 20,
):
    """Stage 1 or 2 on a model whose tower is frozen; `inside` keeps what the tower makes of the store's pictures."""
    outside = language.FeatureCache(model, draw_outsiders, OUTSIDERS)
    words = wrap_tokenizer(tokenizer)
    optimizer = TwoOptimizers(model.named_parameters(), 1.5e-3)
    clock, meter = Clock(minutes), Meter(f"stage {stage}")
    curriculum = Curriculum(store, 2 if stage == 1 else 3, GATE)
    load_checkpoint(checkpoint, clock, optimizer, model=model)
    for step, share in clock:
        seeds, strange = curriculum.choose(batch - 1), np.random.randint(0, OUTSIDERS, 1)
        examples = [(choose_turns(invent_scene(int(seed)), rng, stage), store.owners[seed]) for seed in seeds]
        packed = language.pack(words, [*examples, (refuse(rng, stage), None)]).to(model.device)
        patches = torch.cat([inside.take(seeds), outside.take(strange)]).to(model.device).float()
        with torch.autocast(model.device.type, torch.bfloat16):
            hidden, attentions = language.run_packed(model, patches, packed)
            loss, seen = language.answer_loss(model, hidden, packed)
            pointing, looked = language.pointing_loss(attentions, packed.targets)
            comparing, compared = language.comparing_loss(attentions, packed.names)
        optimizer.take_step(loss + 0.5 * pointing + 0.3 * comparing, warm_and_cool(step, share))
        curriculum.learn(seen["right"])
        meter.show(step, share, seen | {"looked": looked, "compared": compared, "objects": curriculum.most})
        if step % 200 == 199:
            save_checkpoint(checkpoint, clock, optimizer, model=model)
    save_checkpoint(checkpoint, clock, optimizer, model=model)
    return model
