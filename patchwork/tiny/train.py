"""The recipe: `patchwork train --out DIR --minutes 100` draws the world, then trains and saves the bundled models.

Stage 0 trains the encoder, stage 1 the projector and the language model on captions, stage 2 on every kind of question.
Schedules follow the clock, so that the same command fits a laptop and a GPU; the same command again resumes a run that
was stopped.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from patchwork.tiny import language
from patchwork.tiny.data import SceneStore
from patchwork.tiny.save import save_encoder, save_vlm
from patchwork.tiny.stage0 import train_encoder
from patchwork.tiny.stage12 import train_language
from patchwork.tiny.tokenizer import train_tokenizer, write_caption_samples, write_samples

SHARES = {"stage 0": 0.52, "stage 1": 0.06, "stage 2": 0.42}
"""How the minutes are divided."""
FIRST = 2000
"""Scenes drawn before training starts; the others are drawn while it runs."""


def find_tokenizer(path: Path, write: Callable[[], Iterator[str]]) -> Tokenizer:
    """Learnt once per run folder."""
    if not path.exists():
        train_tokenizer(write()).save(str(path))
    return Tokenizer.from_file(str(path))


def train(folder: Path, minutes: float, scenes: int, device: torch.device, seed: int) -> None:
    """All stages; writes `clip/`, `llava_stage1/` and `llava/` into `folder`."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    rng, store = random.Random(seed), SceneStore(folder, scenes)
    store.draw(min(FIRST, scenes))
    drawing = store.draw_ahead()
    captions = find_tokenizer(folder / "captions.json", write_caption_samples)
    chat = find_tokenizer(folder / "chat.json", write_samples)
    encoder = train_encoder(store, captions, folder, SHARES["stage 0"] * minutes, device, rng)
    save_encoder(encoder, captions, folder / "clip")
    train_chat(folder, encoder, chat, store, minutes, device, rng)
    drawing.terminate()


def train_chat(folder, encoder, tokenizer, store, minutes, device, rng) -> None:
    """Stages 1 and 2 behind a trained encoder."""
    model = language.build_vlm(tokenizer.get_vocab_size()).to(device)
    language.copy_tower(model, encoder)
    inside = language.FeatureCache(model, lambda seeds: store.pictures[seeds], store.count)
    for stage, name in ((1, "llava_stage1"), (2, "llava")):
        checkpoint = folder / f"stage{stage}.pt"
        train_language(model, store, tokenizer, checkpoint, SHARES[f"stage {stage}"] * minutes, stage, rng, inside)
        save_vlm(model, tokenizer, folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="patchwork train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes, checkpoints and weights")
    parser.add_argument("--minutes", type=float, default=100, help="training time in all (default 100)")
    parser.add_argument("--scenes", type=int, default=80_000, help="how many scenes to draw (54 kB each)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    train(options.out, options.minutes, options.scenes, torch.device(options.device), options.seed)


if __name__ == "__main__":
    main()
