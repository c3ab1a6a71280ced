"""The model card's table: `python -m patchwork.tiny.evaluate [--json] [--scenes N]`, on scenes never trained on.

Each figure stands beside what always giving the commonest answer would score, with its standard error.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoProcessor, CLIPModel, LlavaForConditionalGeneration

from patchwork.tiny import FRESH, WEIGHTS
from patchwork.tiny.questions import REFUSAL, Turn, clip_caption, make_turn, spoil
from patchwork.tiny.questions import WEIGHTS as TYPES
from patchwork.tiny.world import Scene, invent_scene

SWAPS = ["attribute"] * 8 + ["relation"] * 4 + ["object"] * 4


@dataclass(frozen=True)
class Figure:
    """`value` and `baseline` are shares (mean IoU for "where"); `error` is one standard error; `count` questions."""

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
    """The shipped VLM through plain transformers, several questions at a time."""

    def __init__(self, folder: Path) -> None:
        self.model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        self.processor = AutoProcessor.from_pretrained(folder)
        self.processor.tokenizer.padding_side = "left"

    @torch.inference_mode()
    def answer(self, pictures: list[Image.Image], questions: list[str], batch: int = 32) -> list[str]:
        answers = []
        for i in range(0, len(questions), batch):
            texts = [self.ask(question) for question in questions[i : i + batch]]
            inputs = self.processor(images=pictures[i : i + batch], text=texts, padding=True, return_tensors="pt")
            tokens = self.model.generate(**inputs, max_new_tokens=64, do_sample=False)
            new = tokens[:, inputs["input_ids"].shape[1] :]
            answers += [text.strip() for text in self.processor.batch_decode(new, skip_special_tokens=True)]
        return answers

    def ask(self, question: str) -> str:
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def read_box(text: str) -> tuple[float, ...] | None:
    """`[x1 y1 x2 y2]` → hundredths; None when the text is no box."""
    parts = text.strip("[].").split()
    return tuple(map(float, parts)) if len(parts) == 4 and all(part.isdigit() for part in parts) else None


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    inner = max(0.0, width) * max(0.0, height)
    total = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inner
    return inner / total if total > 0 else 0.0


def score_answer(turn: Turn, answer: str) -> float:
    """1 for the right answer; for boxes the IoU; a yes or no counts by its first word."""
    if turn.type == "where":
        found = read_box(answer)
        return overlap(found, read_box(turn.answer)) if found else 0.0
    if turn.type == "is there":
        return float(answer.split(",")[0] == turn.answer.split(",")[0])
    return float(answer == turn.answer)


def guess_baseline(turns: list[Turn]) -> float:
    """What the commonest answer of this type would score; for boxes, always the most central fixed box."""
    if turns[0].type == "where":
        return sum(overlap((25, 25, 75, 75), read_box(turn.answer)) for turn in turns) / len(turns)
    answers = Counter(turn.answer.split(",")[0] if turn.type == "is there" else turn.answer for turn in turns)
    return answers.most_common(1)[0][1] / len(turns)


def collect(
    scenes: list[Scene], types: list[str], each: int, rng: random.Random, focus: int | None = None
) -> list[Asked]:
    """Up to `each` questions of every type, spread over the scenes."""
    asked = []
    for type in types:
        found = [Asked(scene, turn) for scene in scenes if (turn := make_turn(type, scene, rng, focus))]
        asked += found[:each]
    return asked


def evaluate_questions(reader: Reader, asked: list[Asked]) -> list[Figure]:
    pictures = {id(one.scene): one.scene.draw(128) for one in asked}
    answers = reader.answer([pictures[id(one.scene)] for one in asked], [one.turn.question for one in asked])
    scores, turns = defaultdict(list), defaultdict(list)
    for one, answer in zip(asked, answers, strict=True):
        scores[one.turn.type].append(score_answer(one.turn, answer))
        turns[one.turn.type].append(one.turn)
    figures = [measure(type, scores[type], guess_baseline(turns[type])) for type in scores]
    if "where" in scores:
        hits = [float(score >= 0.5) for score in scores["where"]]
        boxes = [read_box(turn.answer) for turn in turns["where"]]
        figures.append(
            measure("where: IoU ≥ 0.5", hits, sum(overlap((25, 25, 75, 75), b) >= 0.5 for b in boxes) / len(boxes))
        )
    spoken = [figure for figure in figures if not figure.skill.startswith(("where", "describe"))]
    every = [score for figure in spoken for score in scores[figure.skill]]
    base = sum(figure.baseline * figure.count for figure in spoken) / sum(figure.count for figure in spoken)
    return [*figures, measure("questions overall", every, base)]


@torch.inference_mode()
def evaluate_captions(folder: Path, scenes: list[Scene], rng: random.Random) -> Figure:
    """The right caption among up to 16 near misses (attribute, relation and object swaps), by the CLIP's similarity."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(folder)
    scores, chance = [], []
    for scene in scenes:
        caption, text = clip_caption(scene, rng)
        misses = {spoil(scene, caption, how, rng) for how in SWAPS} - {None, text}
        texts = [text, *sorted(misses)]
        inputs = processor(images=scene.draw(128), text=texts, padding=True, return_tensors="pt")
        scores.append(float(model(**inputs).logits_per_image[0].argmax() == 0))
        chance.append(1 / len(texts))
    return measure("right caption among near misses (CLIP)", scores, sum(chance) / len(chance))


def evaluate_refusals(reader: Reader, scenes: list[Scene], photographs: list[Image.Image]) -> list[Figure]:
    """ "I only know drawn scenes": said of photographs, and wrongly said of drawn scenes."""
    question = "What is in the picture?"
    figures = []
    if photographs:
        said = reader.answer(photographs, [question] * len(photographs))
        figures.append(measure("photographs refused", [float(text == REFUSAL) for text in said], 0.0))
    said = reader.answer([scene.draw(128) for scene in scenes], [question] * len(scenes))
    figures.append(measure("drawn scenes wrongly refused", [float(text == REFUSAL) for text in said], 0.0))
    return figures


def load_photographs() -> list[Image.Image]:
    """The photographs that scikit-image ships, letterboxed as the app does; never used in training."""
    import importlib.util

    folder = Path(importlib.util.find_spec("skimage").origin).parent / "data"
    pictures = []
    for path in sorted(folder.glob("*.*")):
        if path.suffix in (".png", ".jpg", ".jpeg", ".tif") and path.stem in PHOTOGRAPHS:
            picture = Image.open(path).convert("RGB")
            square = Image.new("RGB", (max(picture.size),) * 2, (127, 127, 127))
            square.paste(picture, ((square.width - picture.width) // 2, (square.height - picture.height) // 2))
            pictures.append(square)
    return pictures


PHOTOGRAPHS = (
    "astronaut",
    "camera",
    "chelsea",
    "coffee",
    "rocket",
    "coins",
    "page",
    "text",
    "brick",
    "grass",
    "gravel",
)


def evaluate(weights: Path = WEIGHTS, scenes: int = 300, seed: int = 0) -> list[Figure]:
    """The whole table. Scene seeds start at FRESH, which training never reaches."""
    rng = random.Random(seed)
    fresh = [invent_scene(FRESH + 1000 + i) for i in range(scenes)]
    unseen = [invent_scene(FRESH + 500_000 + i, held_out=True) for i in range(scenes // 2)]
    reader = Reader(weights / "llava")
    types = [*TYPES, "describe"]
    figures = [evaluate_captions(weights / "clip", fresh, rng)]
    figures += evaluate_questions(reader, collect(fresh, types, scenes // 2, rng))
    held_out = evaluate_questions(
        reader, collect(unseen, ["colour", "kind", "where", "what is in"], scenes // 2, rng, focus=0)
    )
    figures += [Figure(f"held-out pairs: {one.skill}", *list(asdict(one).values())[1:]) for one in held_out]
    return figures + evaluate_refusals(reader, fresh, load_photographs())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = evaluate(options.weights, options.scenes)
    if options.json:
        print(json.dumps([asdict(figure) for figure in figures], indent=2))
        return
    print("| skill | measured | baseline | n |\n|---|---|---|---|")
    for figure in figures:
        print(f"| {figure.skill} | {figure.value:.3f} ± {figure.error:.3f} | {figure.baseline:.3f} | {figure.count} |")


if __name__ == "__main__":
    main()
