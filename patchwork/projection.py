"""Points of many dimensions on their few main axes. Knows neither models nor pages."""

from __future__ import annotations

import torch


def find_main_axes(points: torch.Tensor, count: int) -> tuple[torch.Tensor, list[float]]:
    """[N, width] → where the points lie on their `count` main axes [N, count], and each axis's share of the variance.

    Principal component analysis: the axes along which the centred points spread most, at right angles to each other.
    Each axis points towards its largest entry, so that the same points always give the same picture.
    """
    centred = (points - points.mean(0)).double()
    _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
    axes = axes[:count] * axes[:count].gather(1, axes[:count].abs().argmax(1, keepdim=True)).sign()
    variance = lengths.square()
    shares = (variance[:count] / variance.sum().clamp(min=1e-12)).tolist()
    return (centred @ axes.T).float(), shares
