"""The course as one Gradio page: `python app.py`. It knows how to start the page, not what is on it."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr

from patchwork.catalog import Catalog, load_catalog, read_endpoint
from patchwork.demo import Demo
from patchwork.errors import Problem
from patchwork.hardware import Hardware, detect, detect_cpu
from patchwork.images import MAX_BYTES
from patchwork.pool import Lease, Pool
from patchwork.recording import Recording, load_folder
from patchwork.ui import hero, shell, theme

ROOT = Path(__file__).parent
GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Options:
    """What the command line or the PATCHWORK_… variables set; None means that Gradio or the machine decides."""

    host: str | None = None
    port: int | None = None
    share: bool = False
    offline: bool = False
    device: str | None = None
    budget: float | None = None
    models: Path | None = None
    present: bool = False
    warm: tuple[str, ...] = ()
    record: Path | None = None
    replay: Path | None = None
    patience: float = 8.0
    training: str | None = None
    endpoints: tuple[str, ...] = ()


def build_app(options: Options | None = None, pool: Pool | None = None) -> gr.Blocks:
    """The whole page; no model is loaded and torch is not imported."""
    options = options or Options()
    pool = pool or build_pool(options)
    demos = load_demos()
    settings = {
        "offline": options.offline,
        "training": may_train(options),
        "stand_ins": load_stand_ins(options.replay, demos),
        "patience": options.patience,
    }
    with gr.Blocks(title=shell.TITLE, fill_width=True, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        shell.build_shell(pool, demos, **settings)
    return page.queue(default_concurrency_limit=8, max_size=64)


def build_pool(options: Options) -> Pool:
    """The engine behind the page. Raises `Problem` for a device that is not here or a list that cannot be read."""
    budget = None if options.budget is None else int(options.budget * GIGABYTE)
    catalog = add_endpoints(load_catalog(options.models), options)
    return Pool(catalog, choose_hardware(options.device), budget, offline=options.offline)


def add_endpoints(catalog: Catalog, options: Options) -> Catalog:
    """The list with the operator's servers last. Raises `Problem` for one that may not be asked."""
    found = Catalog([*catalog.cards, *map(read_endpoint, options.endpoints)])
    if len(found.by_id) < len(found.cards):
        raise Problem("Two endpoints, or an endpoint and a checkpoint, have the same name; give each its own.")
    for card in found.cards:
        if options.offline and card.host and not card.here:
            raise Problem(f"{card.id} answers from {card.host}, and the page is offline; leave out one of the two.")
    return found


def choose_hardware(device: str | None) -> Hardware:
    if device == "cpu":
        return detect_cpu()
    found = detect()
    if device and found.device != device:
        raise Problem(f"No {device} device can be used here; leave out --device, or choose {found.device} or cpu.")
    return found


def may_train(options: Options, environment: Mapping[str, str] = os.environ) -> bool:
    """Training in the page takes a core for minutes: off where readers share a Space, unless its owner allows it."""
    return options.training == "on" or (options.training is None and not environment.get("SPACE_ID"))


def load_stand_ins(folder: Path | None, demos: Mapping[str, Demo]) -> dict[str, Recording]:
    """What steps in on stage: the operator's recordings, then the shipped ones. `Problem` for a folder without any."""
    own = load_folder(folder, demos) if folder else {}
    if folder and not own:
        raise Problem(f"{folder} holds no recording of a demo; make some with --record {folder}.")
    return load_folder(hero.RECORDINGS, demos) | own


def load_demos() -> dict[str, Demo]:
    """Every file of `demos/` by name."""
    modules = (importlib.import_module(f"demos.{entry.name}") for entry in pkgutil.iter_modules([str(ROOT / "demos")]))
    return {module.NAME: module for module in modules}


def launch_app(page: gr.Blocks, options: Options, **changes: object) -> tuple:
    """Start serving `page`; the reader's uploads are the only files that it can be asked for.

    Gradio's own check of the first page is left out (`_frontend`): it gives up after three seconds, which a busy
    machine may well need, and then blames a proxy.
    """
    settings = {
        "server_name": options.host,
        "server_port": options.port,
        "share": options.share,
        "theme": theme.build_theme(),
        "css": theme.build_css(),
        "head": theme.build_head({"present": options.present}),
        "footer_links": [],
        "run_history": False,
        "enable_monitoring": False,
        "max_file_size": MAX_BYTES,
        "ssr_mode": False,
        "_frontend": False,
    }
    return page.launch(**settings | changes)


def parse_options(arguments: list[str] | None = None, environment: Mapping[str, str] = os.environ) -> Options:
    """Command line first, then `PATCHWORK_PORT=7861` and the like, then the defaults."""
    parser = argparse.ArgumentParser(prog="python app.py", description="Patchwork, the course, as one page.")
    parser.add_argument("--host", help="address to listen on (default: this machine only; on a Space: everyone)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="a temporary public link through Gradio's servers")
    parser.add_argument("--offline", action="store_true", help="use only what is on this machine already")
    parser.add_argument("--device", choices=["cuda", "mps", "cpu"], help="where models run (default: the fastest)")
    parser.add_argument(
        "--budget", type=float, metavar="GB", help="memory for models (default: 60 %% of what is free, 85 %% on CUDA)"
    )
    parser.add_argument("--models", type=Path, metavar="FILE", help="a list of checkpoints other than models.yaml")
    parser.add_argument("--present", action="store_true", help="open in presenter mode")
    parser.add_argument("--warm", type=_split, default=(), metavar="IDS", help="load these checkpoints at start: a,b")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="record every demo on its example, then stop")
    parser.add_argument(
        "--replay", type=Path, metavar="FOLDER", help="recordings that step in on stage when a live run stalls"
    )
    parser.add_argument(
        "--patience",
        type=_read_seconds,
        default=Options.patience,
        metavar="SECONDS",
        help="how long a live run may show nothing on stage before its recording steps in (default: 8)",
    )
    parser.add_argument("--training", choices=["on", "off"], help="training in the page (default: off on a Space)")
    parser.add_argument(
        "--endpoint",
        action="append",
        dest="endpoints",
        metavar="NAME=URL#MODEL",
        help="an OpenAI-compatible server for the arena, with ,key=VARIABLE if a variable holds its key; repeatable",
    )
    found = _read_environment(environment)
    endpoints = found.pop("endpoints", "").split()
    parser.set_defaults(**found)
    chosen = vars(parser.parse_args(arguments))
    return Options(**chosen | {"endpoints": tuple(chosen["endpoints"] or endpoints)})


def _read_environment(environment: Mapping[str, str]) -> dict[str, str | bool]:
    """Argparse converts the strings; a switch is on for 1, true, yes, on."""
    found: dict[str, str | bool] = {}
    for field in fields(Options):
        value = environment.get(f"PATCHWORK_{field.name.upper()}")
        if value:
            found[field.name] = value.lower() in ("1", "true", "yes", "on") if field.default is False else value
    return found


def _read_seconds(words: str) -> float:
    seconds = float(words)
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("from 0 to 3600 seconds")
    return seconds


def _split(ids: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in ids.split(",") if part.strip())


def warm_up(pool: Pool, ids: tuple[str, ...]) -> None:
    """Load checkpoints one after the other, so that the first reader need not wait; say what could not be loaded."""
    for card_id in ids:
        try:
            for step in pool.borrow(card_id):
                if isinstance(step, Lease):
                    step.release()
                    print(f"Loaded {card_id}.")
        except Problem as problem:
            print(f"Could not load {card_id}: {problem}")


def go_offline() -> None:
    """For libraries that are still to be imported, and for the hub client, which Gradio has imported already."""
    from huggingface_hub import constants

    os.environ["HF_HUB_OFFLINE"] = "1"
    constants.HF_HUB_OFFLINE = True


def main() -> None:
    options = parse_options()
    if options.offline:
        go_offline()
    try:
        pool = build_pool(options)
        if options.record:
            return hero.record_runs(pool, load_demos(), options.record)
        page = build_app(options, pool)
    except Problem as problem:
        raise SystemExit(str(problem)) from None
    threading.Thread(target=warm_up, args=(pool, options.warm), daemon=True).start()
    launch_app(page, options)


if __name__ == "__main__":
    main()
