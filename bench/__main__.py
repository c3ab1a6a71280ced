"""`patchwork bench` (or `python -m bench`): prints every ratio; `--json` for machines, `--only NAME` for one part."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import platform
import sys

from patchwork.errors import Problem

PARTS = ("start", "attention", "answer", "documents")


def main() -> None:
    parser = argparse.ArgumentParser(prog="patchwork bench", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="run one part")
    parser.add_argument("--documents", type=int, default=200, metavar="N", help="pages that are read (default: 200)")
    parser.add_argument("--tiles", type=int, default=6, metavar="N", help="each of at least so many tiles (default: 6)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="where among the fresh pages to begin")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    ratios = []
    for part in [options.only] if options.only else PARTS:
        own = {name: getattr(options, name) for name in ("documents", "tiles", "seed")}
        chosen = own if part == "documents" else {}
        try:
            ratios += importlib.import_module(f"bench.{part}").measure(**chosen)
        except Problem as problem:
            print(problem, file=sys.stderr)
    if options.json:
        print(json.dumps([dataclasses.asdict(ratio) for ratio in ratios], indent=2))
        return
    print(f"{platform.processor() or platform.machine()}, {platform.system()}; median [95 % interval] of pairs\n")
    for ratio in ratios:
        interval = f"[{ratio.low:.2f}, {ratio.high:.2f}]" if ratio.pairs > 1 else ""
        print(f"{ratio.median:8.3f}  {interval:16} n={ratio.pairs:<3} {ratio.name}  ({ratio.note})")


if __name__ == "__main__":
    main()
