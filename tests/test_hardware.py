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


@pytest.mark.parametrize(("capability", "best"), [((8, 0), "bf16"), ((9, 0), "bf16"), ((7, 5), "fp16")])
def test_a_described_gpu(monkeypatch, capability, best):
    """No GPU here: CUDA's answers are made up, the choice is not."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda *_: (7 * 10**9, 8 * 10**9))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "A GPU")
    found = hardware.detect_cuda()
    assert found.precisions == (best, "int8", "nf4", "fp32") and found.free_bytes == 7 * 10**9
    assert hardware.read_free("cuda") == 7 * 10**9


@pytest.mark.parametrize(("version", "best"), [("14.5", "bf16"), ("13.6", "fp16"), ("", "fp16")])
def test_a_described_mac(monkeypatch, version, best):
    monkeypatch.setattr(hardware.shutil, "which", lambda name: None)
    monkeypatch.setattr(hardware.Path, "exists", lambda path: False)
    monkeypatch.setattr(hardware.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(hardware.platform, "machine", lambda: "arm64")
    monkeypatch.setattr(hardware.platform, "mac_ver", lambda: (version, ("", "", ""), "arm64"))
    found = hardware.detect()
    assert found.device == "mps" and found.precisions[0] == best
