"""bfloat16 where it is faster, single precision where it is not. Knows no model."""

from __future__ import annotations

from functools import cache

import torch

from patchwork.hardware import detect_cpu


@cache
def is_half_fast(device: str) -> bool:
    """Processors without instructions for bfloat16 emulate it, at a fiftieth of the speed of single precision."""
    return device != "cpu" or detect_cpu().precisions[0] == "bf16"


def mix_precision(device: torch.device) -> torch.autocast:
    """Within it, matrices are multiplied in bfloat16 if that is fast on this device."""
    return torch.autocast(device.type, torch.bfloat16, enabled=is_half_fast(device.type))
