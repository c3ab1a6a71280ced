"""Changes to a running model that belong to one call: a silent bridge, shuffled patches, a tower without places.

The shared weights are never touched: hooks installed once per model ask what the current call wants, so that two
readers on the same model never see each other's changes. Knows no page and no demo.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import torch
from torch import nn

from patchwork.errors import Problem
from patchwork.families.parts import Parts


@dataclass
class Change:
    """What one call asks for, and what passed through its bridge.

    `zeroed`: the bridge hands over zeros. `order` [N]: place i of the bridge's output gets the vector of patch
    `order[i]`. `unplaced`: the tower's position embeddings are zeros. `taken` [N, vision width] and `given`
    [N, language width]: input and output of the bridge, as the language model got them.
    """

    zeroed: bool = False
    order: torch.Tensor | None = None
    unplaced: bool = False
    taken: torch.Tensor | None = None
    given: torch.Tensor | None = None


active: ContextVar[Change | None] = ContextVar("change", default=None)
"""Per context, so per thread, like the recorder of attention."""

_watched: WeakSet[nn.Module] = WeakSet()
_lock = threading.Lock()


@contextmanager
def change(parts: Parts, wanted: Change) -> Iterator[Change]:
    """`wanted` holds for what this thread runs (and threads started in its context) during this block."""
    watch(parts)
    token = active.set(wanted)
    try:
        yield wanted
    finally:
        active.reset(token)


def watch(parts: Parts) -> None:
    """Once per model: its bridge and its position embedding ask for the current call's wishes from now on."""
    with _lock:
        if parts.projector in _watched:
            return
        parts.projector.register_forward_hook(change_bridge)
        for embedding in find_places(parts.tower):
            embedding.register_forward_hook(change_places)
        _watched.add(parts.projector)


def find_places(tower: nn.Module) -> list[nn.Module]:
    """The modules that add a vector per place; none where places are rotations inside attention."""
    return [module for name, module in tower.named_modules() if name.endswith("position_embedding")]


def check_places(parts: Parts) -> None:
    """Raises `Problem` for a tower whose places cannot be taken away this way."""
    if not find_places(parts.tower):
        raise Problem("This encoder has no separate position embedding, so it cannot be switched off; untick that one.")


def change_bridge(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
    """`output` [pictures, N, D]; None leaves it as it is."""
    wanted = active.get()
    if wanted is None:
        return None
    if wanted.zeroed:
        output = torch.zeros_like(output)
    if wanted.order is not None:
        output = output[:, wanted.order.to(output.device)]
    wanted.taken, wanted.given = inputs[0].detach().flatten(0, -2), output.detach().flatten(0, -2)
    return output


def change_places(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
    wanted = active.get()
    return torch.zeros_like(output) if wanted is not None and wanted.unplaced else None
