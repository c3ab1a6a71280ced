"""Writes boxes.json: random boxes on 1,000 random pictures with the numbers that each convention must give for them.

The numbers come from the libraries' own processors, or are the papers' definitions written out here; neither
patchwork/boxes.py nor the simulation of chapter 7, which are both held to this file, is used.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np

FILE = Path(__file__).with_name("boxes.json")
NAMES = ("shikra", "kosmos2", "paligemma", "florence2", "thousandths", "qwen25_pixels", "tiny_percent", "doctags")
SIZES, WITH_BACK = 1000, 120

STEP = {"shikra": 1 / 1000, "kosmos2": 1 / 32, "paligemma": 1.5 / 1023, "florence2": 1 / 1000, "thousandths": 1 / 1000,
        "qwen25_pixels": 0, "tiny_percent": 1 / 100, "doctags": 1 / 500}  # fmt: skip
"""A convention's own step, as a share of its frame's side; 0 where it is one pixel of the resized picture. PaliGemma's
numbers are written as 1023ths and read as 1024ths, which adds half a step."""


def draw_case(chance: random.Random) -> tuple[tuple[int, int], list[float]]:
    """A picture of 30 to 4,000 pixels a side and a box on it, some of them in tenths of pixels, some at the border."""
    width, height = (round(30 * (4000 / 30) ** chance.random()) for _ in range(2))
    edges = []
    for side in (width, height):
        edge = draw_edge(side, chance)
        while any(lies_on_a_border(value, side) for value in edge):
            edge = draw_edge(side, chance)
        edges.append(edge)
    (x1, x2), (y1, y2) = edges
    return (width, height), [x1, y1, x2, y2]


def draw_edge(side: int, chance: random.Random) -> tuple[float, float]:
    low, high = sorted(chance.sample(range(side + 1), 2))
    if chance.random() < 0.3 and high - low > 1:
        low, high = low + chance.randrange(10) / 10, high - chance.randrange(10) / 10
    return low, high


def lies_on_a_border(value: float, side: int) -> bool:
    """Exactly between two of a thousand bins it is the last bit of a division that decides: no such case is drawn."""
    bins = value / side * 1000
    return 0 < value < side and abs(bins - round(bins)) < 1e-6


def find_square(size: tuple[int, int]) -> tuple[int, int, int]:
    """Side of the padded square, and where the picture's left and upper edge lie in it (Shikra's expand2square)."""
    width, height = size
    return max(size), max(0, (height - width) // 2), max(0, (width - height) // 2)


def write_all(size: tuple[int, int], box: list[float], resized: tuple[int, int]) -> dict[str, list[float]]:
    import torch
    from transformers.models.florence2.processing_florence2 import Florence2PostProcessor
    from transformers.models.kosmos2.processing_kosmos2 import coordinate_to_patch_index

    whole = np.array([*size, *size], dtype=np.float64)
    shares = np.array(box) / whole
    side, left, top = find_square(size)
    inside = (np.array(box) + np.array([left, top, left, top])) / side
    swapped = shares[[1, 0, 3, 2]]
    florence = Florence2PostProcessor({}, SimpleNamespace(all_special_tokens=[]))
    return {
        "shikra": [round(value, 3) for value in inside.tolist()],
        "kosmos2": list(coordinate_to_patch_index(tuple(shares.tolist()), 32)),
        "paligemma": np.round(swapped * 1023).astype(int).tolist(),
        "florence2": florence.quantize(torch.tensor([box], dtype=torch.float64), size)[0].tolist(),
        "thousandths": np.round(shares * 1000).astype(int).tolist(),
        "qwen25_pixels": np.round(shares * [*resized, *resized]).astype(int).tolist(),
        "tiny_percent": np.minimum(99, (inside * 100).astype(int)).tolist(),
        "doctags": np.minimum(499, np.round(shares * 500)).astype(int).tolist(),
    }


def read_all(size: tuple[int, int], numbers: dict[str, list[float]], resized: tuple[int, int]) -> dict[str, list]:
    import torch
    from transformers.models.florence2.processing_florence2 import Florence2PostProcessor
    from transformers.models.kosmos2.processing_kosmos2 import patch_index_to_coordinate

    whole = np.array([*size, *size], dtype=np.float64)
    side, left, top = find_square(size)
    corner = [left, top, left, top]
    florence = Florence2PostProcessor({}, SimpleNamespace(all_special_tokens=[]))
    y1, x1, y2, x2 = numbers["paligemma"]
    back = {
        "shikra": np.array(numbers["shikra"]) * side - corner,
        "kosmos2": np.array(patch_index_to_coordinate(*numbers["kosmos2"], 32)) * whole,
        "paligemma": np.array([x1, y1, x2, y2]) / 1024 * whole,
        "florence2": np.array(florence.dequantize(torch.tensor([numbers["florence2"]]), size)[0].tolist()),
        "thousandths": np.array(numbers["thousandths"]) / 1000 * whole,
        "qwen25_pixels": np.array(numbers["qwen25_pixels"]) / [*resized, *resized] * whole,
        "tiny_percent": (np.array(numbers["tiny_percent"]) + 0.5) / 100 * side - corner,
        "doctags": np.array(numbers["doctags"]) / 500 * whole,
    }
    return {name: [round(float(value), 2) for value in box] for name, box in back.items()}


def make_cases() -> list[dict]:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    chance = random.Random(7)
    cases = []
    for number in range(SIZES):
        size, box = draw_case(chance)
        height, width = smart_resize(size[1], size[0])
        numbers = write_all(size, box, (width, height))
        case = {"size": size, "resized": (width, height), "box": box, "numbers": [numbers[name] for name in NAMES]}
        if number < WITH_BACK:
            back = read_all(size, numbers, (width, height))
            case["back"] = [back[name] for name in NAMES]
        cases.append(case)
    return cases


def make_text() -> str:
    """One line a case, so that a change shows as a line."""
    head = json.dumps({"names": NAMES, "step": STEP})[:-1]
    rows = ",\n".join(json.dumps(case, separators=(",", ":")) for case in make_cases())
    return f'{head},\n"cases": [\n{rows}\n]}}\n'


if __name__ == "__main__":
    FILE.write_text(make_text(), encoding="utf-8")
