"""The recipe: `patchwork train --out DIR --minutes 150` draws the world, then trains and saves the bundled models.

Stage 0 asks a vision tower, patch by patch, what it sees: scenes, tiles of pages, pages made small. From there two
models grow. The CLIP learns to match captions, with the last layers of its tower. The language model learns, behind the
tower as it is, captions in stage 1 and every kind of question in stage 2; then the tower's upper layers learn with it.
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

from patchwork.tiny import encoder, language
from patchwork.tiny.clock import Clock
from patchwork.tiny.data import PageStore, SceneStore, draw_ahead
from patchwork.tiny.save import save_encoder, save_vlm
from patchwork.tiny.stage0 import train_tower
from patchwork.tiny.stage12 import see_pictures, train_language, train_together
from patchwork.tiny.stage_clip import train_clip
from patchwork.tiny.tokenizer import train_tokenizer, write_caption_samples, write_samples

SHARES = {"stage 0": 0.3, "clip": 0.3, "stage 1": 0.03, "stage 2": 0.27, "with the tower": 0.1}
"""How the minutes are divided."""
FIRST, FIRST_PAGES = 2000, 500
"""Scenes and pages drawn before training starts; the others are drawn while it runs."""


def find_tokenizer(path: Path, write: Callable[[], Iterator[str]]) -> Tokenizer:
    """Learnt once per run folder."""
    if not path.exists():
        train_tokenizer(write()).save(str(path))
    return Tokenizer.from_file(str(path))


def train(folder: Path, minutes: float, scenes: int, device: torch.device, seed: int, pages: int = 7000) -> None:
    """All stages; writes `clip/`, `llava_stage1/` and `llava/` into `folder`."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    rng, stores = random.Random(seed), (SceneStore(folder, scenes), PageStore(folder, pages))
    stores[0].draw(min(FIRST, scenes))
    stores[1].draw(min(FIRST_PAGES, pages))
    drawing = draw_ahead(*stores)
    captions = find_tokenizer(folder / "captions.json", write_caption_samples)
    chat = find_tokenizer(folder / "chat.json", write_samples)
    model = encoder.build_encoder(captions.get_vocab_size()).to(device)
    heads = encoder.DenseHeads().to(device)
    train_tower(model, heads, *stores, folder / "stage0.pt", SHARES["stage 0"] * minutes)
    train_chat(folder, model, heads, chat, *stores, minutes, device, rng)
    train_clip(model, stores[0], captions, folder / "clip.pt", SHARES["clip"] * minutes, rng)
    save_encoder(model, captions, folder / "clip")
    drawing.terminate()


def train_chat(folder, tower, heads, tokenizer, scenes: SceneStore, pages: PageStore, minutes, device, rng) -> None:
    """Stages 1 and 2 behind a trained tower, then with its upper layers."""
    model = language.build_vlm(tokenizer.get_vocab_size()).to(device)
    language.copy_tower(model, tower)
    features = see_pictures(model, scenes, pages)
    for stage in (1, 2):
        clock, checkpoint = Clock(SHARES[f"stage {stage}"] * minutes), folder / f"stage{stage}.pt"
        train_language(model, scenes, pages, tokenizer, checkpoint, clock, stage, rng, features)
        if stage == 1:
            save_vlm(model, tokenizer, folder / "llava_stage1")
    clock = Clock(SHARES["with the tower"] * minutes)
    train_together(model, heads, scenes, pages, tokenizer, folder / "together.pt", clock, rng)
    save_vlm(model, tokenizer, folder / "llava")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="patchwork train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for scenes, checkpoints and weights")
    parser.add_argument("--minutes", type=float, default=150, help="training time in all (default 150)")
    parser.add_argument("--scenes", type=int, default=80_000, help="how many scenes to draw (54 kB each)")
    parser.add_argument("--pages", type=int, default=7000, help="how many pages to draw (600 kB each)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="cores to use (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    train(options.out, options.minutes, options.scenes, torch.device(options.device), options.seed, options.pages)


if __name__ == "__main__":
    main()
