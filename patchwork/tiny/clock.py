"""A stage of training that follows the clock: shares of the time, running means, checkpoints. Knows no model."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from patchwork.tiny.optimizer import TwoOptimizers


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


class Clock:
    """Iterates (step, share of the time used) until `minutes` are used up, those of an interrupted run included."""

    def __init__(self, minutes: float, used: float = 0.0, step: int = 0) -> None:
        self.seconds, self.used, self.step, self.last = 60 * minutes, used, step, time.time()

    @property
    def share(self) -> float:
        return self.used / self.seconds

    def __iter__(self) -> Iterator[tuple[int, float]]:
        self.last = time.time()
        while self.share < 1:
            yield self.step, self.share
            now = time.time()
            self.used, self.last, self.step = self.used + now - self.last, now, self.step + 1


class Steps(Clock):
    """The same by the count: for comparisons in which every run is to learn equally long, whatever else runs."""

    def __init__(self, steps: int) -> None:
        super().__init__(0)
        self.steps = steps

    @property
    def share(self) -> float:
        return self.step / self.steps


def warm_and_cool(step: int, share: float, warm: int = 100, hold: float = 0.4) -> float:
    """The learning rate's share: a warm-up, a plateau until `hold` of the time, then a cosine fall to 1 %."""
    fall = max(0.0, share - hold) / (1 - hold)
    return min(1, (step + 1) / warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * fall)))


def save_checkpoint(path: Path, clock: Clock, optimizer: TwoOptimizers, **modules: nn.Module) -> None:
    """Written beside and moved into place, so that a stopped run never leaves half a file."""
    state = {name: module.state_dict() for name, module in modules.items()}
    partial = path.with_suffix(".part")
    torch.save(state | {"optimizer": optimizer.state_dict(), "used": clock.used, "step": clock.step}, partial)
    partial.replace(path)


def load_checkpoint(path: Path, clock: Clock, optimizer: TwoOptimizers, **modules: nn.Module) -> None:
    """Goes on where an interrupted run stopped; does nothing where there was none."""
    if not path.exists():
        return
    saved = torch.load(path, weights_only=True)
    for name, module in modules.items():
        module.load_state_dict(saved[name])
    optimizer.load_state_dict(saved["optimizer"])
    clock.used, clock.step = saved["used"], saved["step"]
