"""The model card's table: `patchwork evaluate [--json] [--scenes N]`, on scenes never trained on.

Each figure stands beside what chance, or always giving the commonest answer, would score, with its standard error.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path

from PIL import Image

from patchwork.tiny import FRESH, WEIGHTS
from patchwork.tiny.looking import (
    evaluate_captions,
    evaluate_claims,
    evaluate_encoder_pointing,
    evaluate_token_pointing,
)
from patchwork.tiny.paging import evaluate_pages
from patchwork.tiny.questions import REFUSAL, make_turn
from patchwork.tiny.questions import WEIGHTS as TYPES
from patchwork.tiny.reader import (
    MIDDLE,
    Asked,
    Figure,
    Reader,
    guess_baseline,
    measure,
    overlap,
    read_box,
    score_answer,
    score_caption,
    score_named,
)
from patchwork.tiny.world import Scene, invent_scene

FOCUSED = ("colour", "kind", "where", "what is in")
"""Types that can be asked of the one object whose colour and kind were never seen together."""
APART = ("where", "describe", "unknown")
"""Types that "questions overall" leaves out: they have rows of their own."""

CAPTION_SCORES = {
    "describe: every object with its colour": score_caption,
    "describe: every named object there in its colour": score_named,
}


def collect(
    scenes: list[Scene], types, each: int, rng: random.Random, focus: int | None = None, kept: bool = False
) -> list[Asked]:
    """Up to `each` questions of every type, one a scene, from all over the scenes."""
    asked = []
    for type in types:
        found = [Asked(scene, turn) for scene in scenes if (turn := make_turn(type, scene, rng, focus, kept))]
        asked += rng.sample(found, min(each, len(found)))
    return asked


def evaluate_questions(reader: Reader, asked: list[Asked]) -> list[Figure]:
    """A figure per type, boxes and captions by their own measures, and all short answers together."""
    answers = reader.answer_all(asked)
    scores, turns, said = defaultdict(list), defaultdict(list), defaultdict(list)
    for one, answer in zip(asked, answers, strict=True):
        scores[one.turn.type].append(score_answer(one.turn, answer))
        turns[one.turn.type].append(one.turn)
        said[one.turn.type].append(answer)
    figures = [measure(type, scores[type], guess_baseline(turns[type])) for type in scores]
    if "where" in scores:
        hits = [float(score >= 0.5) for score in scores["where"]]
        middle = [overlap(MIDDLE, read_box(turn.answer)) >= 0.5 for turn in turns["where"]]
        figures.append(measure("where: IoU ≥ 0.5", hits, sum(middle) / len(middle)))
    if "describe" in scores:
        truths = [turn.answer for turn in turns["describe"]]
        others = truths[1:] + truths[:1]
        for skill, score in CAPTION_SCORES.items():
            right = [score(truth, answer) for truth, answer in zip(truths, said["describe"], strict=True)]
            wrong = [score(truth, other) for truth, other in zip(truths, others, strict=True)]
            figures.append(measure(skill, right, sum(wrong) / len(wrong)))
    spoken = [figure for figure in figures if figure.skill in scores and figure.skill not in APART]
    every = [score for figure in spoken for score in scores[figure.skill]]
    base = sum(figure.baseline * figure.count for figure in spoken) / max(1, len(every))
    figures += [measure("questions overall", every, base)] if every else []
    return figures + evaluate_denials(asked, answers)


def evaluate_denials(asked: list[Asked], answers: list[str]) -> list[Figure]:
    """Said wrongly of what is there: that it is not, or that only drawn scenes are known."""
    present = [
        answer
        for one, answer in zip(asked, answers, strict=True)
        if one.turn.type not in ("absent", "unknown") and not one.turn.answer.startswith("no, there is no")
    ]
    if not present:
        return []
    denied = [float(answer.startswith(("there is no", "no, there is no"))) for answer in present]
    refused = [float(answer == REFUSAL) for answer in present]
    return [measure("wrongly “not there”", denied, 0.0), measure("wrongly refused", refused, 0.0)]


def evaluate_photographs(reader: Reader, photographs: list[Image.Image]) -> Figure:
    said = reader.answer(photographs, ["What is in the picture?"] * len(photographs))
    return measure("photographs refused", [float(text == REFUSAL) for text in said], 0.0)


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


def label(words: str, figures: list[Figure], skills: tuple[str, ...]) -> list[Figure]:
    """The figures of these skills, named as measured under other conditions."""
    return [replace(figure, skill=f"{words}: {figure.skill}") for figure in figures if figure.skill in skills]


def evaluate(weights: Path = WEIGHTS, scenes: int = 1000, seed: int = 0) -> list[Figure]:
    """The whole table. Scene seeds start at FRESH, which training never reaches."""
    rng, each = random.Random(seed), max(20, 3 * scenes // 10)
    fresh = [invent_scene(FRESH + 1000 + i) for i in range(scenes)]
    unseen = [invent_scene(FRESH + 500_000 + i, held_out=True) for i in range(scenes // 2)]
    reader = Reader(weights / "llava")
    figures = [evaluate_captions(weights / "clip", fresh, rng), evaluate_claims(reader, fresh[: scenes // 2], rng)]
    figures += evaluate_questions(reader, collect(fresh, [*TYPES, "describe"], each, rng))
    figures += evaluate_questions_elsewhere(reader, fresh, unseen, each // 3, rng)
    figures += evaluate_pages(reader, 6 * scenes // 10, rng)
    figures += [evaluate_photographs(reader, pictures)] if (pictures := load_photographs()) else []
    figures += [evaluate_encoder_pointing(weights / "clip", fresh[:each], rng)]
    figures += evaluate_token_pointing(reader, collect(fresh, ["colour"], each, rng))
    return figures + compare_stages(weights, fresh, each // 3, rng)


def evaluate_questions_elsewhere(reader: Reader, fresh, unseen, each: int, rng: random.Random) -> list[Figure]:
    """Colour–kind pairs and wordings that training never used, each beside the same types as trained."""
    known = evaluate_questions(reader, collect(fresh, FOCUSED, each, rng, focus=0))
    pairs = evaluate_questions(reader, collect(unseen, FOCUSED, each, rng, focus=0))
    worded = evaluate_questions(reader, collect(fresh, [*TYPES, "describe"], each, rng, kept=True))
    wanted = (*FOCUSED, "where: IoU ≥ 0.5", "questions overall")
    return [
        *label("trained pairs", known, ("questions overall",)),
        *label("held-out pairs", pairs, wanted),
        *label("held-out wordings", worded, (*TYPES, "describe", "where: IoU ≥ 0.5", "questions overall")),
    ]


def compare_stages(weights: Path, fresh: list[Scene], each: int, rng: random.Random) -> list[Figure]:
    """The same instructions other than "describe", the same decoding, after stage 1 and after stage 2."""
    if not (weights / "llava_stage1").exists():
        return []
    asked, wanted = collect(fresh, TYPES, each, rng), ("questions overall",)
    first = evaluate_questions(Reader(weights / "llava_stage1"), asked)
    second = evaluate_questions(Reader(weights / "llava"), asked)
    captions = evaluate_questions(Reader(weights / "llava_stage1"), collect(fresh, ["describe"], each, rng))
    named = ("describe: every object with its colour",)
    return [*label("stage 1", [*first, *captions], (*wanted, *named)), *label("stage 2", second, wanted)]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="patchwork evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--scenes", type=int, default=1000)
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
