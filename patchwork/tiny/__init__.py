"""The bundled model and the drawn world it learnt from. Knows nothing of the rest of Patchwork."""

from pathlib import Path

from patchwork.tiny.world import Scene, invent_scene

WEIGHTS = Path(__file__).parent / "weights"
"""Folder with `clip/` and `llava/`, each a plain `transformers` checkpoint."""


def draw_scene(seed: int, side: int = 512):
    """A drawn scene as an RGB picture of `side` × `side` pixels. Seeds from `FRESH` on were never trained on."""
    return invent_scene(seed).draw(side)


FRESH = 1_000_000_000
"""First seed of the scenes kept for looking and measuring: training draws only seeds below it."""

__all__ = ["FRESH", "WEIGHTS", "Scene", "draw_scene", "invent_scene"]
