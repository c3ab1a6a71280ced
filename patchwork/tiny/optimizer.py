"""Muon for the matrices inside the layers, AdamW for everything else, behind one face. Knows no model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from patchwork.tiny.precision import is_half_fast

COEFFICIENTS = 3.4445, -4.775, 2.0315
"""Of the quintic that brings all singular values near 1 in few steps (Jordan 2024)."""
MUON = 4.0
"""Muon's rate as a multiple of AdamW's: its updates are a fifth as large per entry at the same rate."""


def is_inner_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Weights of the transformer layers; embeddings, heads, norms and biases are AdamW's."""
    return parameter.ndim == 2 and ".layers." in name


def orthogonalise(matrix: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Newton–Schulz: the matrix with the same directions and singular values of about 1, roughly 0.7–1.2."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=1e-7)
    for _ in range(steps):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * gram @ gram) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """Momentum, made orthogonal, scaled to AdamW's usual step. As torch's (since 2.9), which always works in bfloat16:
    three fifths of the training time where a processor only emulates that.
    """

    def __init__(self, matrices: list[torch.Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self.step_one(matrix, **{name: value for name, value in group.items() if name != "params"})

    def step_one(self, matrix: torch.Tensor, lr: float, weight_decay: float, momentum: float) -> None:
        if not self.state[matrix]:
            self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        buffer = self.state[matrix]["momentum_buffer"]
        buffer.lerp_(matrix.grad, 1 - momentum)
        update = matrix.grad.lerp(buffer, momentum)
        half = torch.bfloat16 if is_half_fast(matrix.device.type) else matrix.dtype
        matrix.mul_(1 - lr * weight_decay)
        matrix.add_(orthogonalise(update.to(half)), alpha=-0.2 * lr * max(matrix.shape) ** 0.5)


class TwoOptimizers:
    """Muon learns a small transformer from fewer samples than AdamW alone."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], rate: float, decay: float = 0.05) -> None:
        named = [(name, parameter) for name, parameter in named if parameter.requires_grad]
        inner = [parameter for name, parameter in named if is_inner_matrix(name, parameter)]
        outer = [parameter for name, parameter in named if not is_inner_matrix(name, parameter)]
        self.parameters = [*inner, *outer]
        self.members = [
            Muon(inner, lr=MUON * rate, weight_decay=decay),
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
