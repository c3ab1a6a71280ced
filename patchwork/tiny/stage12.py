"""Trains projector and language model behind a frozen tower: stage 1 on captions, stage 2 on every question.

At the end of stage 2 the tower's upper layers learn too, from the answers and from what stage 0 asked them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from patchwork.tiny import language, page_examples
from patchwork.tiny.clock import Clock, Meter, load_checkpoint, save_checkpoint, warm_and_cool
from patchwork.tiny.data import MOST, Curriculum, PageStore, SceneStore
from patchwork.tiny.encoder import DenseHeads
from patchwork.tiny.optimizer import TwoOptimizers
from patchwork.tiny.outside import draw_outside
from patchwork.tiny.precision import mix_precision
from patchwork.tiny.questions import REFUSAL, Turn, make_turn, make_turns
from patchwork.tiny.stage0 import ask_patches, gather
from patchwork.tiny.tokenizer import wrap_tokenizer
from patchwork.tiny.world import Scene, invent_scene

OUTSIDERS = 3000  # pictures that are no drawn scene, one in each batch
QUESTIONS, DESCRIBED = 8, 0.85
"""In stage 2: on each picture, and in how many of them one question asks for a description."""
GATE = 0.8
"""Scenes get one object more when this share of answers begins right."""
PATCH_QUESTIONS, PART = 0.3, 3
"""Weight of stage 0's questions where the tower learns too, and into how many its batch is cut."""


def choose_turns(scene: Scene, rng: random.Random, stage: int) -> list[Turn]:
    """Stage 1 sees captions only; stage 2 every type, worded freely, the caption in most of the pictures."""
    if stage == 1:
        return [make_turn("describe", scene, rng)]
    turns = make_turns(scene, rng, QUESTIONS + 1, noisy=True)
    return turns[:-1] if rng.random() < DESCRIBED else turns[1:]


def refuse(rng: random.Random, stage: int) -> list[Turn]:
    """Questions about a drawn scene, asked of a picture that is none."""
    turns = choose_turns(invent_scene(rng.randrange(10**6)), rng, stage)
    return [Turn(turn.type, turn.question, REFUSAL) for turn in turns]


def draw_outsiders(seeds: np.ndarray) -> np.ndarray:
    return np.stack([draw_outside(int(seed)) for seed in seeds])


@dataclass
class Features:
    """What the tower makes of pictures: the store's, those that are none, and views of pages."""

    inside: language.FeatureCache | language.LiveFeatures
    outside: language.FeatureCache | language.LiveFeatures
    pages: language.FeatureCache | language.LiveFeatures | None


def see_pictures(model, store: SceneStore, pages: PageStore | None, kind: type = language.FeatureCache) -> Features:
    inside = kind(model, lambda seeds: store.pictures[seeds], store.count)
    outside = kind(model, draw_outsiders, OUTSIDERS)
    return Features(inside, outside, page_examples.see_pages(model, pages, kind) if pages else None)


def pack_scenes(words, store: SceneStore, features: Features, seeds: np.ndarray, rng: random.Random, stage: int):
    """(packed turns, patches) of these scenes and of one picture that is none."""
    strange = np.random.randint(0, OUTSIDERS, 1)
    examples = [(choose_turns(invent_scene(int(seed)), rng, stage), store.owners[seed]) for seed in seeds]
    packed = language.pack(words, [*examples, (refuse(rng, stage), None)])
    return packed, torch.cat([features.inside.take(seeds), features.outside.take(strange)])


def pack_pages(words, pages: PageStore, features: Features, rng: random.Random):
    """(packed turns, patches of all views one after the other) of a few pages."""
    chosen = page_examples.choose_pages(pages, rng)
    turns = page_examples.ask_pages(chosen, rng)
    owners = [page_examples.join_owners(pages, *one) for one in chosen]
    ids = page_examples.list_views(chosen)
    patches = features.pages.take(ids.ravel()).reshape(len(ids), -1, language.WIDTH)
    return language.pack(words, list(zip(turns, owners, strict=True)), patches.shape[1]), patches


def learn_answers(model, packed: language.Packed, patches: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss of answers and of where they look, and what was right."""
    packed, patches = packed.to(model.device), patches.to(model.device).float()
    with mix_precision(model.device):
        hidden, attentions = language.run_packed(model, patches, packed)
        loss, seen = language.answer_loss(model, hidden, packed)
        pointing, looked = language.pointing_loss(attentions, packed.targets, packed.before)
        comparing, compared = language.comparing_loss(attentions, packed.names)
    return loss + 0.5 * pointing + 0.3 * comparing, seen | {"looked": looked, "compared": compared}


def train_language(
    model,
    store: SceneStore,
    pages: PageStore | None,
    tokenizer: Tokenizer,
    checkpoint: Path,
    clock: Clock,
    stage: int,
    rng: random.Random,
    features: Features,
    batch: int = 16,
):
    """Stage 1 or 2 on a model whose tower is frozen; stage 2 sees a few pages too, where there are any."""
    words = wrap_tokenizer(tokenizer)
    optimizer = TwoOptimizers(model.named_parameters(), 1.5e-3)
    meter = Meter(f"stage {stage}")
    curriculum = Curriculum(store, 2 if stage == 1 else 3, GATE)
    load_checkpoint(checkpoint, clock, optimizer, model=model)
    for step, share in clock:
        seeds = curriculum.choose(batch - 1)
        loss, seen = learn_answers(model, *pack_scenes(words, store, features, seeds, rng, stage))
        if stage == 2 and pages:
            more, read = learn_answers(model, *pack_pages(words, pages, features, rng))
            loss, seen = loss + more, {f"page {name}": value for name, value in read.items()} | seen
        optimizer.take_step(loss, warm_and_cool(step, share))
        curriculum.learn(seen["right"])
        meter.show(step, share, seen | {"objects": curriculum.most})
        if step % 200 == 199:
            save_checkpoint(checkpoint, clock, optimizer, model=model)
    save_checkpoint(checkpoint, clock, optimizer, model=model)
    return model


def train_together(
    model, heads: DenseHeads, store: SceneStore, pages: PageStore, tokenizer, checkpoint: Path, clock: Clock, rng
):
    """The end of stage 2: the tower's upper layers learn with the language model, on scenes of any size.

    What limits a language model that has learnt for long is what its tower tells apart; the answers alone would teach
    the tower the words of the questions and spoil what it knows of the rest.
    """
    language.free_upper_layers(model)
    words, features = wrap_tokenizer(tokenizer), see_pictures(model, store, pages, language.LiveFeatures)
    optimizer = TwoOptimizers([*model.named_parameters(), *heads.named_parameters(prefix="heads")], 5e-4)
    meter, curriculum = Meter("stage 2, with the tower"), Curriculum(store, MOST, 1.0)
    load_checkpoint(checkpoint, clock, optimizer, model=model, heads=heads)
    for step, share in clock:
        seeds = curriculum.choose(11)
        loss, seen = learn_answers(model, *pack_scenes(words, store, features, seeds, rng, 2))
        asked, told = ask_patches(model.model.vision_tower, heads, gather(store, pages, curriculum, PART))
        loss, seen = loss + PATCH_QUESTIONS * asked, seen | {f"patch {name}": value for name, value in told.items()}
        if step % 3 == 0:
            more, read = learn_answers(model, *pack_pages(words, pages, features, rng))
            loss, seen = loss + more, {f"page {name}": value for name, value in read.items()} | seen
        optimizer.take_step(loss, warm_and_cool(step, share, hold=0.15))
        meter.show(step, share, seen)
        if step % 200 == 199:
            save_checkpoint(checkpoint, clock, optimizer, model=model, heads=heads)
    save_checkpoint(checkpoint, clock, optimizer, model=model, heads=heads)
    return model
