"""What stage 1 and the projector's second layer are worth: `python -m patchwork.tiny.ablations --run DIR --steps 700`.

Three language models behind the same frozen tower, from the same seed, each trained for the same number of steps on
scenes: with both stages, with stage 2 alone, and with a linear projector. DIR is the folder of a `patchwork train` run.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from patchwork.tiny import FRESH, encoder, invent_scene, language
from patchwork.tiny.clock import Steps
from patchwork.tiny.data import SceneStore
from patchwork.tiny.evaluate import collect, evaluate_questions
from patchwork.tiny.questions import WEIGHTS as TYPES
from patchwork.tiny.reader import Figure, Reader
from patchwork.tiny.save import save_vlm
from patchwork.tiny.stage12 import Features, see_pictures, train_language

FIRST_STAGE = 0.15
"""Stage 1's share of the steps, where there is one."""
RUNS = {"both stages, MLP projector": (True, "gelu"), "without stage 1": (False, "gelu"), "linear": (True, "linear")}
SHOWN = ("questions overall", "where: IoU ≥ 0.5", "describe: every object with its colour")


def load_tower(folder: Path) -> encoder.CLIPModel:
    """The tower as stage 0 left it."""
    saved = torch.load(folder / "stage0.pt", weights_only=True)["model"]
    vocabulary = len(saved["text_model.embeddings.token_embedding.weight"])
    model = encoder.build_encoder(vocabulary)
    model.load_state_dict(saved)
    return model


def train_one(folder: Path, store: SceneStore, steps: int, staged: bool, between: str, features: Features | None):
    """(the trained model, its tokenizer, the tower's features of pictures, which every run shares)."""
    torch.manual_seed(0)
    np.random.seed(0)
    tokenizer, rng = Tokenizer.from_file(str(folder / "chat.json")), random.Random(0)
    model = language.build_vlm(tokenizer.get_vocab_size(), between)
    language.copy_tower(model, load_tower(folder))
    features = features or see_pictures(model, store, None)
    first = round(FIRST_STAGE * steps) if staged else 0
    for stage, count in ((1, first), (2, steps - first)):
        if count:
            path = folder / f"ablation-{staged}-{between}-{stage}.pt"
            train_language(model, store, None, tokenizer, path, Steps(count), stage, rng, features)
    return model, tokenizer, features


def evaluate_one(folder: Path, scenes: int) -> list[Figure]:
    fresh = [invent_scene(FRESH + 1000 + i) for i in range(scenes)]
    asked = collect(fresh, [*TYPES, "describe"], 3 * scenes // 10, random.Random(0))
    return [figure for figure in evaluate_questions(Reader(folder), asked) if figure.skill in SHOWN]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of a finished `patchwork train`")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--scenes", type=int, default=1000)
    options = parser.parse_args()
    store, features, report = SceneStore(options.run, 80_000), None, []
    for name, (staged, between) in RUNS.items():
        model, tokenizer, features = train_one(options.run, store, options.steps, staged, between, features)
        folder = options.run / f"ablation-{staged}-{between}"
        save_vlm(model, tokenizer, folder)
        for figure in evaluate_one(folder, options.scenes):
            report.append(asdict(replace(figure, skill=f"{name}: {figure.skill}")))
            print(f"| {name}: {figure.skill} | {figure.value:.3f} ± {figure.error:.3f} |", flush=True)
    (options.run / "ablations.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
