"""Train the four fusion modules on the toy world: `python -m patchwork.fusion_training [--steps N] [--out FOLDER]`.

The bundled encoder stays frozen and sees every scene once. Each module then takes the same number of steps on the same
questions, in the same order, from the same text model; what differs is only how the picture gets in.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from patchwork.fusion import END, FOLDER, KINDS, PAD, FusionModel, Shape, Words, save
from patchwork.fusion_questions import HELD_OUT, Asked, ask_scene, invent_scenes, list_questions
from patchwork.tiny import WEIGHTS, Scene
from patchwork.tiny.world import COLOURS
from patchwork.tiny.world import KINDS as THINGS


def collect_words() -> Words:
    answers = [*THINGS, *COLOURS, "top bottom left right", " ".join(map(str, range(10)))]
    return Words.collect([*list_questions(), *answers])


@torch.inference_mode()
def encode_scenes(tower: nn.Module, scenes: list[Scene], batch: int = 64) -> torch.Tensor:
    """The frozen tower's patches of drawn scenes, without its summary token: float16 [n, N, vision]."""
    side, found = tower.config.image_size, []
    for start in range(0, len(scenes), batch):
        drawn = np.stack([np.asarray(scene.draw(side)) for scene in scenes[start : start + batch]])
        pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1
        found.append(tower(pixels).last_hidden_state[:, 1:].to(torch.float16))
    return torch.cat(found)


class Questions:
    """Questions of many scenes, as tokens, sorted by length so that a batch needs no padding before its answers."""

    def __init__(self, scenes: list[Scene], words: Words) -> None:
        self.by_length: dict[tuple[str, int], list[tuple[int, list[int], list[int]]]] = defaultdict(list)
        for asked in (one for index, scene in enumerate(scenes) for one in ask_scene(index, scene)):
            question = words.encode(asked.question)
            answer = [*words.encode(asked.answer), END]
            self.by_length[asked.type, len(question)].append((asked.scene, question, answer))
        self.groups = list(self.by_length)
        self.shares = [self.weigh(type) * len(self.by_length[type, length]) for type, length in self.groups]

    def weigh(self, type: str) -> float:
        """Each type is asked equally often, whatever the number of its questions."""
        return 1 / sum(len(found) for group, found in self.by_length.items() if group[0] == type)

    def draw(self, rng: random.Random, batch: int) -> tuple[list[int], torch.Tensor, torch.Tensor, int]:
        """(scenes, tokens [B, T], labels [B, T], length of the question); −100 where nothing is learnt."""
        group = rng.choices(self.groups, self.shares)[0]
        chosen = rng.choices(self.by_length[group], k=batch)
        longest = max(len(answer) for _, _, answer in chosen)
        tokens = torch.full((batch, group[1] + longest - 1), PAD)
        labels = torch.full_like(tokens, -100)
        for row, (_, question, answer) in enumerate(chosen):
            whole = question + answer
            tokens[row, : len(whole) - 1] = torch.tensor(whole[:-1])
            labels[row, len(question) - 1 : len(whole) - 1] = torch.tensor(answer)
        return [scene for scene, _, _ in chosen], tokens, labels, group[1]


BATCH, RATE = 64, 2e-3


def train(kind: str, shape: Shape, features: torch.Tensor, questions: Questions, steps: int) -> FusionModel:
    """One module from nothing: the same seed gives all four the same text model and the same batches."""
    torch.manual_seed(0)
    rng, places, model = random.Random(0), random.Random(1), FusionModel(kind, shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02, betas=(0.9, 0.98))
    mean, start = 0.0, time.process_time()
    for step in range(steps):
        fall = 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 100) * (0.02 + 0.98 * fall)
        scenes, tokens, labels, length = questions.draw(rng, BATCH)
        at = places.randint(0, length) if kind == "interleaved" else 0
        logits = model(features[scenes].float(), tokens, at)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 0 or step == steps - 1:
            seconds = time.process_time() - start
            print(f"{kind:13} step {step:5} of {steps}  loss {mean:.3f}  {seconds:.0f} s", flush=True)
    return model.eval()


Score = dict[str, tuple[int, int]]
"""Type of question → (right answers, questions)."""


def measure(model: FusionModel, features: torch.Tensor, scenes: list[Scene], words: Words) -> Score:
    """Every question of these scenes asked once."""
    groups: dict[int, list[tuple[Asked, list[int]]]] = defaultdict(list)
    for asked in (one for index, scene in enumerate(scenes) for one in ask_scene(index, scene)):
        tokens = words.encode(asked.question)
        groups[len(tokens)].append((asked, tokens))
    right, total = Counter(), Counter()
    for found in groups.values():
        for start in range(0, len(found), 128):
            part = found[start : start + 128]
            seen = features[[asked.scene for asked, _ in part]].float()
            answers = model.answer(seen, torch.tensor([tokens for _, tokens in part]))
            for (asked, _), answer in zip(part, answers.tolist(), strict=True):
                total[asked.type] += 1
                right[asked.type] += words.decode(answer) == asked.answer
    return {type: (right[type], total[type]) for type in sorted(total)}


def guess(scenes: list[Scene]) -> Score:
    """The same figures for always giving each type's commonest answer."""
    answers: dict[str, Counter] = defaultdict(Counter)
    for index, scene in enumerate(scenes):
        for asked in ask_scene(index, scene):
            answers[asked.type][asked.answer] += 1
    return {type: (found.most_common(1)[0][1], found.total()) for type, found in sorted(answers.items())}


def load_tower(folder: Path) -> nn.Module:
    from transformers import CLIPModel

    return CLIPModel.from_pretrained(folder, dtype=torch.float32).eval().vision_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tower", type=Path, default=WEIGHTS / "clip", help="CLIP folder whose vision tower is used")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the four modules are written")
    parser.add_argument("--steps", type=int, default=1000, help="training steps of each module (default 1000)")
    parser.add_argument("--scenes", type=int, default=8000, help="how many scenes to draw for training")
    options = parser.parse_args()
    tower, words = load_tower(options.tower), collect_words()
    scenes, fresh = invent_scenes(0, options.scenes), invent_scenes(HELD_OUT, 300)
    features, held_out = encode_scenes(tower, scenes), encode_scenes(tower, fresh)
    print(f"{len(scenes)} scenes encoded in {time.process_time():.0f} CPU-seconds", flush=True)
    questions = Questions(scenes, words)
    shape = Shape(features.shape[-1], features.shape[1], len(words.words), longest=features.shape[1] + 32)
    models, report = {}, {"steps": options.steps, "batch": BATCH, "scenes": len(scenes), "seconds": {}, "right": {}}
    for kind in KINDS:
        start = time.process_time()
        models[kind] = train(kind, shape, features, questions, options.steps)
        report["seconds"][kind] = round(time.process_time() - start)
        report["right"][kind] = measure(models[kind], held_out, fresh, words)
        print(kind, report["right"][kind], flush=True)
    report["guessed"] = guess(fresh)
    save(options.out, models, words, tower, report)


if __name__ == "__main__":
    main()
