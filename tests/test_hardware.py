"""Hardware: container limits clamp memory and cores; the processor's flags choose the precision."""

import psutil
import pytest

from patchwork import hardware


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    return tmp_path


def test_version_two_limits(cgroup):
    (cgroup / "memory.max").write_text("1000000000\n")
    (cgroup / "memory.current").write_text("400000000\n")
    (cgroup / "cpu.max").write_text("50000 100000\n")
    assert hardware.read_memory() == (1_000_000_000, 600_000_000)
    assert hardware.count_cores() == 1


def test_version_one_limits(cgroup):
    for folder, name, value in (("memory", "limit_in_bytes", 10**9), ("memory", "usage_in_bytes", 10**8)):
        (cgroup / folder).mkdir(exist_ok=True)
        (cgroup / folder / f"{folder}.{name}").write_text(str(value))
    assert hardware.read_memory() == (10**9, 9 * 10**8)


@pytest.mark.parametrize("limit", ["max", str(2**62)])
def test_no_limit_is_the_machine(cgroup, limit):
    (cgroup / "memory.max").write_text(limit)
    (cgroup / "cpu.max").write_text("max 100000")
    assert hardware.read_memory()[0] == psutil.virtual_memory().total
    assert hardware.count_cores() >= 1


@pytest.mark.parametrize(("flags", "best"), [("fma avx512_bf16", "bf16"), ("fma avx2", "fp32")])
def test_the_processor_decides(tmp_path, monkeypatch, flags, best):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(hardware, "CPUINFO", path)
    hardware.read_flags.cache_clear()
    assert hardware.detect_cpu().precisions[0] == best
    hardware.read_flags.cache_clear()
