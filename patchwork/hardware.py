"""Which device there is, how much memory, which precisions are fast on it. Knows no model."""

from __future__ import annotations

import os
import platform
import shutil
from functools import cache
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict

CGROUP = Path("/sys/fs/cgroup")
CPUINFO = Path("/proc/cpuinfo")
CPU_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # Intel and AMD; the last is Arm's


class Hardware(BaseModel):
    """`precisions` are those that run well here, best first. Memory in bytes, already clamped to container limits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Literal["cuda", "mps", "cpu"]
    name: str
    total_bytes: int
    free_bytes: int
    cores: int
    precisions: tuple[str, ...]


def detect() -> Hardware:
    """The best device of this machine. Torch is imported only where there is a GPU to ask."""
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists():
        found = detect_cuda()
        if found:
            return found
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        total, free = read_memory()
        return Hardware(
            device="mps",
            name="Apple GPU",
            total_bytes=total,
            free_bytes=free,
            cores=count_cores(),
            precisions=("bf16", "fp16", "fp32") if read_macos() >= 14 else ("fp16", "fp32"),
        )
    return detect_cpu()


def read_macos() -> int:
    """The major version; bf16 came to Apple's GPUs with macOS 14, and models trained in bf16 overflow in fp16."""
    major = platform.mac_ver()[0].split(".")[0]
    return int(major) if major.isdigit() else 0


def detect_cpu() -> Hardware:
    total, free = read_memory()
    fast = ("bf16", "fp32") if CPU_BF16 & read_flags() else ("fp32", "bf16")
    return Hardware(
        device="cpu",
        name="CPU",
        total_bytes=total,
        free_bytes=free,
        cores=count_cores(),
        precisions=(*fast, "nf4", "int8"),
    )


def detect_cuda() -> Hardware | None:
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    half = "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp16"  # bf16 units came with Ampere
    return Hardware(
        device="cuda",
        name=torch.cuda.get_device_name(),
        total_bytes=total,
        free_bytes=free,
        cores=count_cores(),
        precisions=(half, "int8", "nf4", "fp32"),
    )


@cache
def read_flags() -> frozenset[str]:
    """The processor's feature words; none where the system does not list them."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.lower().startswith(("flags", "features"))), ":")
    return frozenset(found.split(":", 1)[1].split())


def read_limit(*names: str) -> int | None:
    """The first number in these cgroup files (version 2, then 1); "max" and absent files are no limit."""
    for name in names:
        try:
            text = (CGROUP / name).read_text().split()[0]
        except (OSError, IndexError):
            continue
        if text.isdigit():
            return int(text)
    return None


def read_memory() -> tuple[int, int]:
    """(total, free) bytes, the smaller of the machine's and the container's."""
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limit = read_limit("memory.max", "memory/memory.limit_in_bytes")
    if limit and limit < total:
        used = read_limit("memory.current", "memory/memory.usage_in_bytes") or 0
        total, free = limit, min(free, max(0, limit - used))
    return total, free


def read_free(device: str) -> int:
    """Bytes free on this device now."""
    if device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    return read_memory()[1]


def count_cores() -> int:
    """Cores this process may use: its affinity, and the container's share of time rounded up."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, period = read_quota()
    return max(1, min(allowed, -(-quota // period))) if quota else allowed


def read_quota() -> tuple[int | None, int]:
    """(microseconds of processor per period or None, period)."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return (int(quota), int(period)) if quota.isdigit() else (None, 1)
    except (OSError, ValueError):
        quota = read_limit("cpu/cpu.cfs_quota_us")
        return quota, read_limit("cpu/cpu.cfs_period_us") or 100_000
