"""The recipe: `python -m patchwork.tiny.train --out DIR --minutes 60` draws, trains and saves both models.

Stage 0 trains the encoder, stage 1 the projector and the language model on captions, stage 2 on every kind of question.
Schedules follow the clock, so that the same command fits a laptop and a GPU; a run can be stopped and resumed.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import nn

from patchwork.tiny import data, encoder, language
from patchwork.tiny.outside import draw_outside
from patchwork.tiny.questions import REFUSAL, Turn, make_turn, make_turns
from patchwork.tiny.save import save_encoder, save_vlm
from patchwork.tiny.tokenizer import train_tokenizer, wrap_tokenizer
from patchwork.tiny.world import invent_scene


@dataclass
class Run:
    """What a stage needs of its surroundings: where to write, how long to go on, on which device."""

    out: Path
    device: torch.device
    scenes: int
    tokenizer: Tokenizer
    rng: random.Random = field(default_factory=lambda: random.Random(0))


class Meter:
    """Running means of what is watched, printed every so often."""

    def __init__(self, stage: str, every: int = 50) -> None:
        self.stage, self.every, self.means, self.start = stage, every, {}, time.time()

    def show(self, step: int, share: float, seen: dict[str, float]) -> None:
        for name, value in seen.items():
            self.means[name] = 0.97 * self.means.get(name, value) + 0.03 * value
        if step % self.every == 0:
            figures = "  ".join(f"{name} {value:.3f}" for name, value in self.means.items())
            print(f"{self.stage}  step {step}  {share:4.0%}  {time.time() - self.start:5.0f} s  {figures}", flush=True)


def schedule(
    minutes: float, optimizer: torch.optim.Optimizer, rate: float, warm: int = 200, hold: float = 0.0
) -> Iterator[tuple[int, float]]:
    """(step, share of the time used) until the time is up; sets a warm-up, an optional plateau and a cosine fall."""
    start, step = time.time(), 0
    while (share := (time.time() - start) / (60 * minutes)) < 1:
        fall = max(0.0, share - hold) / (1 - hold)
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * fall)))
        step += 1
        yield step, share


def take_step(loss: torch.Tensor, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()


def save_checkpoint(path: Path, optimizer: torch.optim.Optimizer, **modules: nn.Module) -> None:
    """Written beside and moved into place, so that a stopped run never leaves half a file."""
    partial = path.with_suffix(".part")
    torch.save(
        {name: module.state_dict() for name, module in modules.items()} | {"optimizer": optimizer.state_dict()}, partial
    )
    partial.replace(path)


def load_checkpoint(path: Path, optimizer: torch.optim.Optimizer, **modules: nn.Module) -> bool:
    if not path.exists():
        return False
    saved = torch.load(path, weights_only=True)
    for name, module in modules.items():
        module.load_state_dict(saved[name])
    optimizer.load_state_dict(saved["optimizer"])
    return True


def train_encoder(run: Run, minutes: float, batch: int = 48):
    """Stage 0. The first half of the time on the dense heads alone (cheap steps), then with captions too."""
    pictures, owners, objects = data.draw_scenes(run.scenes, run.out)
    owners, objects = torch.from_numpy(owners).long(), torch.from_numpy(objects)
    tokenizer = wrap_tokenizer(run.tokenizer, clip=True)
    model, heads = encoder.build_encoder(len(tokenizer)).to(run.device), encoder.DenseHeads().to(run.device)
    parameters = [*model.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.05, betas=(0.9, 0.98))
    load_checkpoint(run.out / "stage0.pt", optimizer, model=model, heads=heads)
    meter = Meter("stage 0")
    for step, share in schedule(minutes, optimizer, 1e-3, hold=0.5):
        seeds = np.random.randint(0, run.scenes, batch)
        with torch.autocast(run.device.type, torch.bfloat16):
            output = model.vision_model(encoder.normalise(pictures[seeds]).to(run.device))
            owner, table = owners[seeds].to(run.device), objects[seeds].to(run.device)
            loss, seen = encoder.dense_loss(heads, output.last_hidden_state[:, 1:], owner, table)
            if share > 0.5:
                contrast, more = encoder.contrastive_loss(model, tokenizer, output, owner, seeds, run.rng)
                loss, seen = loss + contrast, seen | more
        take_step(loss, parameters, optimizer)
        meter.show(step, share, seen)
        if step % 500 == 0:
            save_checkpoint(run.out / "stage0.pt", optimizer, model=model, heads=heads)
    save_checkpoint(run.out / "stage0.pt", optimizer, model=model, heads=heads)
    save_encoder(model, run.tokenizer, run.out / "clip")
    return model


def choose_turns(scene, rng: random.Random, stage: int) -> list[Turn]:
    """Stage 1 sees captions only; stage 2 every type, the caption in two pictures of three."""
    if stage == 1:
        return [make_turn("describe", scene, rng) for _ in range(3)]
    turns = make_turns(scene, rng, 9)
    return turns if rng.random() < 0.65 else turns[1:]


def refuse(rng: random.Random) -> list[Turn]:
    """Questions about a drawn scene, asked of a picture that is none."""
    turns = make_turns(invent_scene(rng.randrange(10**6)), rng, 5)
    return [Turn(turn.type, turn.question, REFUSAL) for turn in turns]


def train_language(
    run: Run, model, features, owners, minutes: float, stage: int, batch: int = 24, rate: float = 1.5e-3
):
    """Stage 1 or 2: projector and language model; the tower stays frozen. `features` = (scenes', outsiders')."""
    inside, outside = features
    tokenizer = wrap_tokenizer(run.tokenizer)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.05, betas=(0.9, 0.98))
    checkpoint = run.out / f"stage{stage}.pt"
    load_checkpoint(checkpoint, optimizer, model=model)
    meter = Meter(f"stage {stage}")
    for step, share in schedule(minutes, optimizer, rate):
        seeds, strange = np.random.randint(0, len(inside), batch - 1), np.random.randint(0, len(outside), 1)
        examples = [(choose_turns(invent_scene(int(seed)), run.rng, stage), owners[seed]) for seed in seeds]
        packed = language.pack(tokenizer, [*examples, (refuse(run.rng), None)])
        patches = torch.cat([inside[seeds], outside[strange]]).to(run.device).float()
        with torch.autocast(run.device.type, torch.bfloat16):
            hidden, attentions = language.run_packed(model, patches, packed)
            loss, right = language.answer_loss(model, hidden, packed.labels)
            pointing, share_there = language.pointing_loss(attentions, packed.targets)
        take_step(loss + 0.5 * pointing, parameters, optimizer)
        meter.show(step, share, {"loss": loss.item(), "right": right, "pointing": share_there})
        if step % 500 == 0:
            save_checkpoint(checkpoint, optimizer, model=model)
    save_checkpoint(checkpoint, optimizer, model=model)
    return model


def train(run: Run, minutes: float) -> None:
    """All stages: 40 % of the time for the encoder, a twentieth for captions, the rest for questions."""
    model = language.build_vlm(run.tokenizer.get_vocab_size()).to(run.device)
    language.copy_tower(model, train_encoder(run, 0.4 * minutes))
    pictures, owners, _ = data.draw_scenes(run.scenes, run.out)
    outside = np.stack([draw_outside(seed) for seed in range(4000)])
    features = language.encode_pictures(model, pictures), language.encode_pictures(model, outside)
    train_language(run, model, features, owners, 0.05 * minutes, stage=1)
    save_vlm(model, run.tokenizer, run.out / "llava_stage1")
    train_language(run, model, features, owners, 0.55 * minutes, stage=2)
    save_vlm(model, run.tokenizer, run.out / "llava")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes, checkpoints and weights")
    parser.add_argument("--minutes", type=float, default=60, help="training time in all (default 60)")
    parser.add_argument("--scenes", type=int, default=48_000, help="how many scenes to draw (49 kB each)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    run = Run(options.out, torch.device(options.device), options.scenes, train_tokenizer(), random.Random(options.seed))
    train(run, options.minutes)


if __name__ == "__main__":
    main()
