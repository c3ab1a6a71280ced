"""A minute of stage 1, then a minute of stage 2, on a copy in memory; the shipped files are only read. Knows no page.

Stage 1 gives the model a new, random projector and trains nothing else, on captions. Stage 2 trains projector and
language model on every kind of question. The tower stays frozen throughout. Losses are those of the recipe.
"""

from __future__ import annotations

import copy
import hashlib
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from transformers import LlavaForConditionalGeneration

from patchwork.tiny import FRESH
from patchwork.tiny.data import find_owners
from patchwork.tiny.language import PREFIX, encode_pictures, pack, pointing_loss, run_packed
from patchwork.tiny.questions import Turn, make_turn, make_turns
from patchwork.tiny.world import Scene, invent_scene

BATCH = 16  # pictures a step
QUESTIONS = 6  # on each of them in stage 2
MOST_SCENES = 800  # kept while training: 25 kB of patch vectors each
RATES = {1: 4e-3, 2: 1e-3}
HELD_OUT = FRESH + 700  # first seed of the scenes that are only asked about
ASKED, SCORED = 5, 40
LONGEST = 40


@dataclass(frozen=True)
class Component:
    """A part of the model. `before` and `now` are the first digits of its weights' SHA-256."""

    name: str
    parameters: int
    trainable: bool
    before: str
    now: str


@dataclass(frozen=True)
class Asked:
    """One held-out picture with its question: the true answer, what was said before training, what is said now."""

    seed: int
    question: str
    truth: str
    first: str
    now: str


@dataclass(frozen=True)
class Score:
    """Held-out scenes, measured at once for all: shares of captions and of other answers that are right word for
    word, and the mean loss of an answer's token."""

    when: str
    captions: float
    questions: float
    loss: float
    asked: int


@dataclass(frozen=True)
class State:
    """Everything there is to show. `losses`: (stage, seconds of that stage, loss of one step)."""

    stage: int
    share: float
    steps: int
    tokens_per_second: float
    losses: tuple[tuple[int, float, float], ...]
    components: tuple[Component, ...]
    asked: tuple[Asked, ...]
    scores: tuple[Score, ...]
    file_before: str
    file_now: str
    done: bool = False


@dataclass
class Scenes:
    """Scenes drawn as they are needed, with what the frozen tower makes of them; a full store is used again."""

    model: LlavaForConditionalGeneration
    rng: random.Random
    scenes: list[Scene] = field(default_factory=list)
    owners: list[np.ndarray] = field(default_factory=list)
    features: list[torch.Tensor] = field(default_factory=list)

    def take(self, count: int) -> tuple[list[Scene], list[np.ndarray], torch.Tensor]:
        if len(self.scenes) < MOST_SCENES:
            self.add([self.rng.randrange(FRESH) for _ in range(count)])
            chosen = range(len(self.scenes) - count, len(self.scenes))
        else:
            chosen = self.rng.sample(range(len(self.scenes)), count)
        patches = torch.stack([self.features[index] for index in chosen]).float()
        return [self.scenes[index] for index in chosen], [self.owners[index] for index in chosen], patches

    def add(self, seeds: list[int]) -> None:
        scenes = [invent_scene(seed) for seed in seeds]
        self.features += encode_pictures(self.model, draw_all(scenes, self.model)).unbind()
        self.scenes += scenes
        self.owners += [find_owners(scene) for scene in scenes]


def draw_all(scenes: list[Scene], model: LlavaForConditionalGeneration) -> np.ndarray:
    side = model.config.vision_config.image_size
    return np.stack([np.asarray(scene.draw(side)) for scene in scenes])


def train_minute(
    shipped: LlavaForConditionalGeneration,
    processor: Any,
    folder: Path,
    seconds: float = 60.0,
    most_steps: int = 100_000,
    every: float = 8.0,
    seed: int = 0,
) -> Iterator[State]:
    """States as the training goes on, the last with `done`; closing the iterator stops it between two steps.

    `shipped` is copied and not changed, nor is its file in `folder`. `seconds` (or `most_steps`, if they come first)
    is the time of each stage, answers and scores not counted; `every` so often the five questions are asked again.
    """
    model, processor = copy_model(shipped), copy.deepcopy(processor)
    rng = random.Random(seed)
    renew_projector(model, seed)
    freeze(model, 1)
    exam = Exam(model, processor)
    state = State(
        stage=0,
        share=0.0,
        steps=0,
        tokens_per_second=0.0,
        losses=(),
        components=list_components(model),
        asked=exam.ask(),
        scores=(exam.score("before"),),
        file_before=hash_file(folder),
        file_now=hash_file(folder),
    )
    yield state
    scenes = Scenes(model, rng)
    for stage in (1, 2):
        freeze(model, stage)
        budget = Budget(seconds, most_steps, every)
        for latest in run_stage(model, processor.tokenizer, scenes, rng, stage, budget, exam, state):
            state = latest
            yield state
        scored = exam.score(f"after stage {stage}")
        state = replace(
            state,
            components=list_components(model, state),
            asked=exam.ask(state.asked),
            scores=(*state.scores, scored),
            file_now=hash_file(folder),
            done=stage == 2,
        )
        yield state


def copy_model(shipped: LlavaForConditionalGeneration) -> LlavaForConditionalGeneration:
    """A copy to train, in 32 bits on the CPU. Loading it again would do, but not beside another thread that loads."""
    model = copy.deepcopy(shipped).to("cpu", torch.float32)
    model.set_attn_implementation("eager")
    return model


@dataclass(frozen=True)
class Budget:
    """What ends a stage: its seconds or its steps, whichever come first."""

    seconds: float
    steps: int
    every: float

    def share(self, seconds: float, steps: int) -> float:
        return min(1.0, max(seconds / self.seconds, steps / self.steps))


def run_stage(model, tokenizer, scenes, rng, stage, budget: Budget, exam, state) -> Iterator[State]:
    """One stage, a state about twice a second; time for asking the five questions does not count as training."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATES[stage], weight_decay=0.05, betas=(0.9, 0.98))
    spent, shown, asked, tokens, steps = 0.0, 0.0, 0.0, 0, 0
    losses = list(state.losses)
    while (share := budget.share(spent, steps)) < 1:
        start = time.perf_counter()
        set_rate(optimizer, RATES[stage], steps, share)
        loss, count = take_step(model, tokenizer, scenes, rng, stage, optimizer)
        spent += time.perf_counter() - start
        steps, tokens = steps + 1, tokens + count
        losses.append((stage, round(spent, 3), round(loss, 4)))
        if spent - shown < 0.5:
            continue
        shown = spent
        answers = state.asked
        if spent - asked >= budget.every:
            asked, answers = spent, exam.ask(state.asked)
        state = replace(
            state,
            stage=stage,
            share=budget.share(spent, steps),
            steps=steps,
            tokens_per_second=round(tokens / spent, 1),
            losses=tuple(losses),
            components=list_components(model, state),
            asked=answers,
        )
        yield state
    yield replace(state, stage=stage, share=1.0, steps=steps, losses=tuple(losses))


def take_step(model, tokenizer, scenes: Scenes, rng: random.Random, stage: int, optimizer) -> tuple[float, int]:
    """(loss of the answers' tokens, tokens that went through)."""
    drawn, owners, patches = scenes.take(BATCH)
    packed = pack(tokenizer, list(zip([choose(scene, rng, stage) for scene in drawn], owners, strict=True)))
    hidden, attentions = run_packed(model, patches, packed)
    loss = answer_loss(model, hidden, packed.labels).mean()
    optimizer.zero_grad()
    looking, _ = pointing_loss(attentions, packed.targets, packed.before)
    (loss + 0.5 * looking).backward()
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], 1.0)
    optimizer.step()
    return loss.item(), int((packed.segments >= 0).sum()) + BATCH * PREFIX


def choose(scene: Scene, rng: random.Random, stage: int) -> list[Turn]:
    """Stage 1: its caption, nothing else. Stage 2: its caption and other questions."""
    return [make_turn("describe", scene, rng)] if stage == 1 else make_turns(scene, rng, QUESTIONS)


def answer_loss(model, hidden: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each answer token [n]; the questions' tokens carry none."""
    kept = labels != -100
    return F.cross_entropy(model.lm_head(hidden[kept]).float(), labels[kept], reduction="none")


def set_rate(optimizer: torch.optim.Optimizer, rate: float, step: int, share: float) -> None:
    """A short warm-up, then half a cosine down to a twentieth."""
    for group in optimizer.param_groups:
        group["lr"] = rate * min(1.0, (step + 1) / 20) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))


# ---------------------------------------------------------------- parts


def list_parts(model: LlavaForConditionalGeneration) -> dict[str, list[nn.Parameter]]:
    """Every weight once. Word table and head are one tensor."""
    inner = model.model
    language = {id(weight): weight for part in (inner.language_model, model.lm_head) for weight in part.parameters()}
    return {
        "Vision tower": list(inner.vision_tower.parameters()),
        "Projector": list(inner.multi_modal_projector.parameters()),
        "Language model": list(language.values()),
    }


def freeze(model: LlavaForConditionalGeneration, stage: int) -> None:
    for name, weights in list_parts(model).items():
        for weight in weights:
            weight.requires_grad_(name == "Projector" or (stage == 2 and name == "Language model"))


def renew_projector(model: LlavaForConditionalGeneration, seed: int) -> None:
    """Random weights as a new linear layer has them, from a generator of its own."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in (model.model.multi_modal_projector.linear_1, model.model.multi_modal_projector.linear_2):
            reach = layer.in_features**-0.5
            for weight in layer.parameters():
                weight.uniform_(-reach, reach, generator=generator)


def list_components(model: LlavaForConditionalGeneration, before: State | None = None) -> tuple[Component, ...]:
    """Frozen or trainable as `requires_grad` says now; hashes against those of `before`."""
    old = {component.name: component.before for component in before.components} if before else {}
    found = []
    for name, weights in list_parts(model).items():
        now = hash_weights(weights)
        found.append(
            Component(
                name=name,
                parameters=sum(weight.numel() for weight in weights),
                trainable=any(weight.requires_grad for weight in weights),
                before=old.get(name, now),
                now=now,
            )
        )
    return tuple(found)


def hash_weights(weights: list[nn.Parameter]) -> str:
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(weight.detach().numpy().tobytes())
    return digest.hexdigest()[:12]


def hash_file(folder: Path) -> str:
    return hashlib.sha256((Path(folder) / "model.safetensors").read_bytes()).hexdigest()[:12]


# ---------------------------------------------------------------- what is measured


class Exam:
    """Held-out scenes: five that are shown with their answers, and forty that are scored."""

    def __init__(self, model: LlavaForConditionalGeneration, processor: Any) -> None:
        self.model, self.processor = model, processor
        rng = random.Random(HELD_OUT)
        scenes = [invent_scene(HELD_OUT + number) for number in range(ASKED + SCORED)]
        pictures = draw_all(scenes, model)
        self.shown = [pick_question(scene, number, rng) for number, scene in enumerate(scenes[:ASKED])]
        self.pictures = pictures[:ASKED]
        self.features = encode_pictures(model, pictures[ASKED:]).float()
        turns = [make_turns(scene, rng, QUESTIONS) for scene in scenes[ASKED:]]
        self.turns = [turn for many in turns for turn in many]
        self.packed = pack(processor.tokenizer, [(many, None) for many in turns])

    @torch.inference_mode()
    def ask(self, before: tuple[Asked, ...] = ()) -> tuple[Asked, ...]:
        """Greedy answers to the five questions."""
        said = [self.answer(picture, turn.question) for picture, turn in zip(self.pictures, self.shown, strict=True)]
        return tuple(
            Asked(
                seed=HELD_OUT + number,
                question=turn.question,
                truth=turn.answer,
                first=before[number].first if before else said[number],
                now=said[number],
            )
            for number, turn in enumerate(self.shown)
        )

    def answer(self, picture: np.ndarray, question: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        text = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = self.processor(images=[picture], text=text, return_tensors="pt")
        tokens = self.model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)
        return self.processor.decode(tokens[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()

    @torch.inference_mode()
    def score(self, when: str) -> Score:
        """Word for word: every token of the true answer is the likeliest, given those before it. Greedy decoding then
        writes exactly this answer, so nothing has to be generated."""
        hidden, _ = run_packed(self.model, self.features, self.packed)
        labels = self.packed.labels
        losses = answer_loss(self.model, hidden, labels)
        right = torch.ones_like(labels, dtype=torch.bool)
        kept = labels != -100
        right[kept] = self.model.lm_head(hidden[kept]).argmax(-1) == labels[kept]
        exact = [
            bool(right[row][self.packed.segments[row] == number].all())
            for row in range(len(labels))
            for number in range(1, int(self.packed.segments[row].max()) + 1)
        ]
        captions = [one for one, turn in zip(exact, self.turns, strict=True) if turn.type == "describe"]
        others = [one for one, turn in zip(exact, self.turns, strict=True) if turn.type != "describe"]
        return Score(
            when=when,
            captions=sum(captions) / len(captions),
            questions=sum(others) / len(others),
            loss=round(losses.mean().item(), 4),
            asked=len(exact),
        )


def pick_question(scene: Scene, number: int, rng: random.Random) -> Turn:
    """A description of every second scene, another question about the rest."""
    turns = make_turns(scene, rng, 4)
    return turns[0] if number % 2 == 0 else turns[1 + number % 3]
