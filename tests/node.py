"""A chapter's simulation asked from Python: its script runs in Node, without a page."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parent / "js" / "ask.mjs"


def ask_simulation(folder: str, **request: object) -> dict:
    """See js/ask.mjs for what goes in and what comes out."""
    done = subprocess.run(
        ["node", str(SCRIPT)],
        input=json.dumps({"folder": folder, **request}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
