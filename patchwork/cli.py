"""`patchwork models | prefetch | verify | doctor | train | evaluate | bench`. The page is started from a clone."""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import runpy
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from patchwork.catalog import Card, Catalog, load_catalog
from patchwork.download import find_cache, find_endpoint
from patchwork.errors import Problem
from patchwork.families.protocol import CAPABILITIES
from patchwork.hardware import Hardware, detect, detect_cpu
from patchwork.hub import fetch, is_cached, is_reachable
from patchwork.plan import Plan, allow_memory, format_bytes
from patchwork.pool import Pool
from patchwork.verify import Report, choose_cards, verify
from patchwork.versions import read_versions

ROOT = Path(__file__).resolve().parent.parent
MODULES = {"train": "patchwork.tiny.train", "evaluate": "patchwork.tiny.evaluate", "bench": "bench"}
HELP = {
    "models": "every checkpoint, what it can do, and whether it fits this machine",
    "prefetch": "download checkpoints now, so that they answer without a network later",
    "verify": "run this first where there is a network: every demo on pictures whose answers are known",
    "doctor": "what this machine has, and what to do about what it lacks",
    "train": "train the bundled models from nothing",
    "evaluate": "measure the bundled models on scenes never trained on",
    "bench": "speed as ratios against peers",
}
EXAMPLES = {
    "models": "patchwork models --can ground\npatchwork models --json",
    "prefetch": "patchwork prefetch smolvlm-256m-instruct clip-vit-base-patch32\npatchwork prefetch --recommended",
    "verify": "patchwork verify\npatchwork verify smolvlm-256m-instruct --out reports",
    "doctor": "patchwork doctor\npatchwork doctor --json",
}
CODES = "Exit code 0: fine; 1: something failed or is missing, said in a sentence; 2: a wrong command line."
NEVER = threading.Event()


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in MODULES:
        sys.path.insert(0, str(ROOT))  # bench/ stands beside the package, in the clone
        sys.argv = [f"patchwork {arguments[0]}", *arguments[1:]]
        runpy.run_module(MODULES[arguments[0]], run_name="__main__")
        return
    options = parse(arguments)
    commands = {"models": show_models, "prefetch": prefetch, "verify": run_verify, "doctor": show_doctor}
    try:
        sys.exit(commands[options.command](options))
    except Problem as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit("Stopped. What was downloaded is kept; the next try goes on from there.")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="patchwork", description=__doc__, epilog=CODES)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, words in HELP.items():
        command = commands.add_parser(
            name,
            help=words,
            description=words[0].upper() + words[1:] + ".",
            epilog=f"Examples:\n{EXAMPLES.get(name, f'patchwork {name} --help')}\n\n{CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name not in MODULES:
            command.add_argument("--json", action="store_true", help="print JSON")
            command.add_argument(
                "--models", type=Path, metavar="FILE", help="a list of checkpoints other than models.yaml"
            )
            add_options(name, command)
    return parser.parse_args(arguments)


def add_options(name: str, command: argparse.ArgumentParser) -> None:
    if name == "models":
        command.add_argument("--can", choices=sorted(CAPABILITIES), help="only those that can do this")
    if name in ("prefetch", "verify"):
        command.add_argument("ids", nargs="*", metavar="ID", help="as `patchwork models` lists them")
        command.add_argument("--all", action="store_true", help="every checkpoint that fits this machine")
    if name == "prefetch":
        command.add_argument("--recommended", action="store_true", help="those that the demos recommend and that fit")
    if name == "verify":
        command.add_argument("--out", type=Path, default=Path("verified"), metavar="FOLDER", help="(default: verified)")
        command.add_argument("--offline", action="store_true", help="use only what is on this machine already")
        command.add_argument("--budget", type=float, metavar="GB", help="memory for models")
        command.add_argument("--device", choices=["cuda", "mps", "cpu"], help="(default: the fastest)")


# ---- models


def show_models(options: argparse.Namespace) -> int:
    pool = Pool(load_catalog(options.models), detect())
    cards = [card for card in pool.catalog.cards if not options.can or options.can in card.capabilities]
    plans = [(card, pool.plan(card)) for card in cards]
    if options.json:
        rows = [plan.model_dump() | {"repo": card.repo, "licence": card.licence} for card, plan in plans]
        print(json.dumps(rows, indent=2))
        return 0
    print(f"{'id':34} {'download':22} {'here':18} can")
    for card, plan in plans:
        print(f"{card.id:34} {say_place(card, plan):22} {say_fit(plan):18} {', '.join(sorted(card.capabilities))}")
    return 0


def say_place(card: Card, plan: Plan) -> str:
    return "bundled" if card.bundled else plan.cost() + (", gated" if card.gated and not plan.cached else "")


def say_fit(plan: Plan) -> str:
    if plan.host:
        return "not loaded here"
    return f"{plan.precision}, {format_bytes(plan.held_bytes)}" if plan.fits else "does not fit"


# ---- prefetch


def prefetch(options: argparse.Namespace) -> int:
    """Fetch each; one that fails does not stop the others."""
    pool = Pool(load_catalog(options.models), detect())
    found = [fetch_one(card, pool) for card in choose(options, pool)]
    if options.json:
        print(json.dumps(found, indent=2))
    return int(any(one["problem"] for one in found))


def choose(options: argparse.Namespace, pool: Pool) -> list[Card]:
    """The cards of `prefetch`. Raises `Problem` when none is named."""
    real = [card for card in pool.catalog.cards if not card.bundled]
    if options.all:
        return [card for card in real if pool.plan(card).fits]
    if getattr(options, "recommended", False):
        return [card for card in real if card.recommended_for and pool.plan(card).fits]
    if not options.ids:
        raise Problem("Name checkpoints (`patchwork models` lists them), or say --recommended or --all.")
    return [pool.catalog.get(card_id) for card_id in options.ids]


def fetch_one(card: Card, pool: Pool) -> dict[str, Any]:
    report = make_report()
    was_here, problem = is_cached(card), ""
    try:
        fetch(card, report, NEVER)
    except Problem as error:
        problem = str(error)
    say(f"{card.id}: {problem or ('was here already' if was_here else 'is here now')}")
    return {"card_id": card.id, "repo": card.repo, "cached": is_cached(card), "problem": problem}


def make_report() -> Callable[[str, float | None], None]:
    """Progress for a person at a terminal: one line that is written over; nothing into a file or a pipe."""

    def report(message: str, fraction: float | None) -> None:
        if sys.stderr.isatty():
            share = "" if fraction is None else f" ({fraction:.0%})"
            sys.stderr.write(f"\r\033[K{message}{share}")
            sys.stderr.flush()

    return report


def say(message: str) -> None:
    sys.stderr.write(("\r\033[K" if sys.stderr.isatty() else "") + message + "\n")


# ---- verify


def run_verify(options: argparse.Namespace) -> int:
    budget = None if options.budget is None else int(options.budget * 1e9)
    hardware = detect_cpu() if options.device == "cpu" else detect()
    if options.device and hardware.device != options.device:
        raise Problem(f"No {options.device} device can be used here; leave out --device, or choose cpu.")
    pool = Pool(load_catalog(options.models), hardware, budget, offline=options.offline)
    cards = choose(options, pool) if options.all else choose_cards(pool.catalog, pool, options.ids)
    report = verify(pool, find_demos(), cards, options.out, make_teller())
    print(report.model_dump_json(indent=2) if options.json else sum_up(report))
    return int(bool(report.failures()))


def make_teller() -> Callable[[str], None]:
    """Progress of a download is written over; everything else stays on the screen."""
    report = make_report()

    def tell(message: str) -> None:
        report(message, None) if message.startswith(("Downloading", "Loading")) else say(message)

    return tell


def sum_up(report: Report) -> str:
    rows = [row for one in report.checked for row in one.rows]
    right = sum(row.right is True for row in rows)
    judged = sum(row.right is not None for row in rows)
    lines = [f"{len(report.checked)} checkpoints, {len(rows)} runs; {right} of {judged} known answers were right."]
    return "\n".join(lines + [f"- {failure}" for failure in report.failures()])


def find_demos() -> dict[str, Any]:
    """The demos stand beside the package, in the clone. Raises `Problem` where there is only the package."""
    if not (ROOT / "demos").is_dir():
        raise Problem("`patchwork verify` needs the clone: the demos that it runs are not part of the package.")
    sys.path.insert(0, str(ROOT))
    return importlib.import_module("app").load_demos()


# ---- doctor


def show_doctor(options: argparse.Namespace) -> int:
    hardware, catalog = detect(), load_catalog(options.models)
    findings = examine(hardware)
    cached = [card.id for card in catalog.cards if not card.bundled and is_cached(card)]
    if options.json:
        found = {"hardware": hardware.model_dump(), "versions": read_versions(), "cached": cached}
        print(json.dumps(found | {"reachable": is_reachable(), "findings": findings}, indent=2))
    else:
        print(describe_machine(hardware, catalog, cached))
        print("\n".join(f"- {finding}" for finding in findings) or "Nothing is missing.")
    return int(any(version is None for version in read_versions().values()))


def describe_machine(hardware: Hardware, catalog: Catalog, cached: list[str]) -> str:
    real = sum(not card.bundled for card in catalog.cards)
    versions = ", ".join(f"{name} {version}" for name, version in read_versions().items())
    return "\n".join(
        [
            f"{hardware.name}: {hardware.cores} cores, {format_bytes(hardware.free_bytes)} of "
            f"{format_bytes(hardware.total_bytes)} free, {format_bytes(allow_memory(hardware))} of it for models; "
            f"precisions, best first: {', '.join(hardware.precisions)}",
            f"Python {platform.python_version()}; {versions}",
            f"{len(cached)} of {real} checkpoints are here"
            + (f": {', '.join(cached)}" if cached else "")
            + f"; the disk has {format_bytes(find_free_disk())} free for more",
        ]
    )


def find_free_disk() -> int:
    """Where the hub client keeps its files, or where it will."""
    folder = find_cache()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def examine(hardware: Hardware) -> list[str]:
    """Sentences: what is missing, and what to do."""
    findings = [
        f"{name} is missing: pip install -r requirements.txt" for name, v in read_versions().items() if v is None
    ]
    if hardware.device == "cpu" and shutil.which("nvidia-smi"):
        findings.append("There is an NVIDIA driver, but PyTorch cannot use it: install PyTorch's CUDA build.")
    if not is_reachable():
        findings.append(
            f"{find_endpoint()} cannot be reached: the bundled models answer, and checkpoints that are here already. "
            "Behind a proxy, set HTTPS_PROXY; for a mirror, set HF_ENDPOINT."
        )
    if hardware.free_bytes < 2e9:
        findings.append("Less than 2 GB of memory is free: close other programs before loading a real checkpoint.")
    if find_free_disk() < 2e9:
        findings.append("Less than 2 GB of disk is free: make room, or set HF_HOME to a folder on a larger disk.")
    return findings


if __name__ == "__main__":
    main()
