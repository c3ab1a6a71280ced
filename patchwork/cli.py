"""`patchwork models | doctor | train | evaluate | bench`. Knows no page: the app itself is run from a clone."""

from __future__ import annotations

import argparse
import json
import platform
import runpy
import shutil
import sys
from importlib import metadata
from pathlib import Path

from patchwork.catalog import load_catalog
from patchwork.errors import Problem
from patchwork.hardware import Hardware, detect
from patchwork.hub import is_cached, is_reachable
from patchwork.plan import format_bytes, make_plan

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("torch", "torchvision", "transformers", "accelerate", "bitsandbytes", "gradio", "timm")
MODULES = {"train": "patchwork.tiny.train", "evaluate": "patchwork.tiny.evaluate", "bench": "bench"}
HELP = {
    "models": "every checkpoint, what it can do, and whether it fits this machine",
    "doctor": "what this machine has, and what to do about what it lacks",
    "train": "train the bundled models from nothing",
    "evaluate": "measure the bundled models on scenes never trained on",
    "bench": "speed as ratios against peers",
}


def main(arguments: list[str] | None = None) -> None:
    """Exit code 0: fine; 1: something is missing or wrong, said in one sentence; 2: a wrong command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in MODULES:
        sys.path.insert(0, str(ROOT))  # bench/ stands beside the package, in the clone
        sys.argv = [f"patchwork {arguments[0]}", *arguments[1:]]
        runpy.run_module(MODULES[arguments[0]], run_name="__main__")
        return
    options = parse(arguments)
    try:
        sys.exit({"models": show_models, "doctor": show_doctor}[options.command](options))
    except Problem as problem:
        sys.exit(str(problem))


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="patchwork", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, words in HELP.items():
        command = commands.add_parser(name, help=words, description=words)
        if name not in MODULES:
            command.add_argument("--json", action="store_true", help="print JSON")
        if name == "models":
            command.add_argument("--models", type=Path, help="a list of checkpoints other than models.yaml")
    return parser.parse_args(arguments)


def show_models(options: argparse.Namespace) -> int:
    hardware = detect()
    plans = [(card, make_plan(card, hardware, cached=is_cached(card))) for card in load_catalog(options.models).cards]
    if options.json:
        print(json.dumps([plan.model_dump() | {"repo": card.repo} for card, plan in plans], indent=2))
        return 0
    for card, plan in plans:
        place = "bundled" if card.bundled else "here" if plan.cached else format_bytes(plan.download_bytes)
        fit = f"{plan.precision}, {format_bytes(plan.memory_bytes)}" if plan.fits else "does not fit"
        print(f"{card.id:30} {place:14} {fit:16} {', '.join(sorted(card.capabilities))}")
    return 0


def show_doctor(options: argparse.Namespace) -> int:
    hardware = detect()
    findings = examine(hardware)
    if options.json:
        print(
            json.dumps({"hardware": hardware.model_dump(), "versions": read_versions(), "findings": findings}, indent=2)
        )
    else:
        print(
            f"{hardware.name}: {hardware.cores} cores, {format_bytes(hardware.free_bytes)} of "
            f"{format_bytes(hardware.total_bytes)} free; best precision {hardware.precisions[0]}"
        )
        print(f"Python {platform.python_version()}; " + ", ".join(f"{k} {v}" for k, v in read_versions().items()))
        print("\n".join(f"- {finding}" for finding in findings) or "Nothing is missing.")
    return 1 if any(version is None for version in read_versions().values()) else 0


def read_versions() -> dict[str, str | None]:
    """Installed versions; None for what is missing."""
    found: dict[str, str | None] = {}
    for library in LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = None
    return found


def examine(hardware: Hardware) -> list[str]:
    """Sentences: what is missing, and what to do."""
    findings = [
        f"{name} is missing: pip install -r requirements.txt" for name, v in read_versions().items() if v is None
    ]
    if hardware.device == "cpu" and shutil.which("nvidia-smi"):
        findings.append("There is an NVIDIA driver, but PyTorch cannot use it: install PyTorch's CUDA build.")
    if not is_reachable():
        findings.append("The hub cannot be reached: the bundled models answer, and checkpoints that are here already.")
    if hardware.free_bytes < 2e9:
        findings.append("Less than 2 GB of memory is free: close other programs before loading a real checkpoint.")
    return findings


if __name__ == "__main__":
    main()
