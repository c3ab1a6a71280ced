"""Asks the shipped VLM through plain transformers, many questions at a time, and scores what it says."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from patchwork.tiny.questions import Turn
from patchwork.tiny.shapes import KINDS
from patchwork.tiny.world import COLOURS, Scene

BOX = re.compile(r"\[(\d\d) (\d\d) (\d\d) (\d\d)\]")
NAMED = re.compile(rf"({'|'.join(COLOURS)}) ({'|'.join(KINDS)})")
MIDDLE = (25, 25, 75, 75)
"""The box that a model would answer that never looks."""


@dataclass(frozen=True)
class Figure:
    """`value` and `baseline` are shares (mean IoU for "where"); `error` is one standard error of `count` scores."""

    skill: str
    value: float
    error: float
    baseline: float
    count: int


@dataclass(frozen=True)
class Asked:
    """One question put to one scene."""

    scene: Scene
    turn: Turn


def measure(skill: str, scores: list[float], baseline: float) -> Figure:
    mean = sum(scores) / len(scores)
    spread = sum((score - mean) ** 2 for score in scores) / len(scores)
    return Figure(skill, round(mean, 3), round(math.sqrt(spread / len(scores)), 3), round(baseline, 3), len(scores))


class Reader:
    """A `LlavaForConditionalGeneration` folder, decoded greedily."""

    def __init__(self, folder: Path) -> None:
        self.model = LlavaForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        self.processor = AutoProcessor.from_pretrained(folder)
        self.processor.tokenizer.padding_side = "left"

    def write_inputs(self, pictures: list[Image.Image] | list[list[Image.Image]], questions: list[str]):
        """`pictures`: one for each question, or for each a list of views."""
        views = [len(picture) if isinstance(picture, list) else 1 for picture in pictures]
        texts = [self.write_prompt(question, count) for question, count in zip(questions, views, strict=True)]
        return self.processor(images=pictures, text=texts, padding=True, return_tensors="pt")

    def write_prompt(self, question: str, views: int = 1) -> str:
        content = [*({"type": "image"} for _ in range(views)), {"type": "text", "text": question}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)

    @torch.inference_mode()
    def answer(self, pictures: list, questions: list[str], batch: int = 64) -> list[str]:
        """Greedily, many at a time; `pictures` as `write_inputs` takes them."""
        answers = []
        for i in range(0, len(questions), batch):
            inputs = self.write_inputs(pictures[i : i + batch], questions[i : i + batch])
            tokens = self.model.generate(**inputs, max_new_tokens=72, do_sample=False)
            new = tokens[:, inputs["input_ids"].shape[1] :]
            answers += [text.strip() for text in self.processor.batch_decode(new, skip_special_tokens=True)]
        return answers

    def answer_all(self, asked: list[Asked]) -> list[str]:
        pictures = {id(one.scene): one.scene.draw(128) for one in asked}
        return self.answer([pictures[id(one.scene)] for one in asked], [one.turn.question for one in asked])


def read_box(text: str) -> tuple[float, ...] | None:
    """`[x1 y1 x2 y2]` → hundredths; None when the text holds no box."""
    found = BOX.search(text)
    return tuple(map(float, found.groups())) if found else None


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = max(0.0, width) * max(0.0, height)
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    return inner / total if total > 0 else 0.0


def shorten(turn: Turn, answer: str) -> str:
    """What decides: of "yes, there is a star." the yes."""
    return answer.split(",")[0] if turn.type == "is there" else answer


def score_answer(turn: Turn, answer: str) -> float:
    """1 for the right answer, letter by letter; for boxes the IoU; a yes or no counts by its first word."""
    if turn.type == "where":
        found = read_box(answer)
        return overlap(found, read_box(turn.answer)) if found else 0.0
    return float(shorten(turn, answer) == shorten(turn, turn.answer))


def score_caption(truth: str, answer: str) -> float:
    """1 when the caption names as many objects as the true one, and each is there in the colour it is given."""
    return float(Counter(NAMED.findall(truth)) == Counter(NAMED.findall(answer)))


def score_named(truth: str, answer: str) -> float:
    """1 when whatever the caption names is there in the colour it is given, whether or not it names everything."""
    named = Counter(NAMED.findall(answer))
    return float(bool(named) and not named - Counter(NAMED.findall(truth)))


def guess_baseline(turns: list[Turn]) -> float:
    """What the commonest answer of this type would score; for boxes, always the middle."""
    if turns[0].type == "where":
        return sum(overlap(MIDDLE, read_box(turn.answer)) for turn in turns) / len(turns)
    if turns[0].type == "unknown":
        return 0.0  # the one right answer is never right elsewhere
    answers = Counter(shorten(turn, turn.answer) for turn in turns)
    return answers.most_common(1)[0][1] / len(turns)
