"""Muon for the matrices inside the layers, AdamW for everything else, behind one face. Knows no model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

MUON = 4.0
"""Muon's rate as a multiple of AdamW's: its updates are a fifth as large per entry at the same rate."""


def is_inner_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Weights of the transformer layers; embeddings, heads, norms and biases are AdamW's."""
    return parameter.ndim == 2 and ".layers." in name


class TwoOptimizers:
    """Muon (Jordan 2024, in torch since 2.9) learns a small transformer from fewer samples than AdamW alone."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], rate: float, decay: float = 0.05) -> None:
        named = [(name, parameter) for name, parameter in named if parameter.requires_grad]
        inner = [parameter for name, parameter in named if is_inner_matrix(name, parameter)]
        outer = [parameter for name, parameter in named if not is_inner_matrix(name, parameter)]
        self.parameters = [*inner, *outer]
        self.members = [
            torch.optim.Muon(inner, lr=MUON * rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(outer, lr=rate, weight_decay=decay, betas=(0.9, 0.98)),
        ]
        self.rate = rate

    def take_step(self, loss: torch.Tensor, share: float) -> None:
        """One step down the gradient at `share` (0–1) of the rate."""
        for optimizer in self.members:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = self.rate * share * (MUON if optimizer is self.members[0] else 1)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.members:
            optimizer.step()

    def state_dict(self) -> list[dict]:
        return [optimizer.state_dict() for optimizer in self.members]

    def load_state_dict(self, states: list[dict]) -> None:
        for optimizer, state in zip(self.members, states, strict=True):
            optimizer.load_state_dict(state)
