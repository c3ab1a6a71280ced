"""Chapters 2 and 3 against the engine: what their simulations count is what the modules do when they run."""

import json
import re
from dataclasses import asdict

import pytest
import torch
from torch import nn

from patchwork.bridges import count_bridges
from patchwork.fusion import KINDS, FusionModel, Shape, find_folder, inspect
from patchwork.fusion_training import load_tower
from patchwork.lessons import load_chapters
from patchwork.tiny import WEIGHTS
from tests.node import ask_simulation

SIDE, PATCH, TEXT = 128, 16, 12
CHAPTERS = load_chapters()


def run_module(kind: str, at: int):
    """The live panel's module of this kind, with its own sizes, on a picture and a question of this length."""
    model = FusionModel(kind, Shape(vision=192, patches=64, vocabulary=60)).eval()
    with torch.inference_mode(), inspect(model) as seen:
        model(torch.randn(1, 64, 192), torch.randint(3, 60, (1, TEXT)), at)
    return seen


CASES = [(kind, before) for kind in KINDS for before in (0, 50)]


@pytest.fixture(scope="module")
def counted():
    """What the simulation counts in every case, asked once."""
    common = {"side": SIDE, "text": TEXT, "model": "small"}
    states = [common | {"way": kind, "before": before} for kind, before in CASES]
    return dict(zip(CASES, ask_simulation("ch03_fusion", states=states)["facts"], strict=True))


@pytest.mark.parametrize(("kind", "before"), CASES)
def test_the_simulation_counts_what_the_modules_do(counted, kind, before):
    known = counted[kind, before]
    assert known["at"] == (TEXT * before // 100 if kind == "interleaved" else 0)
    seen = run_module(kind, known["at"])
    assert known["patches"] == (SIDE // PATCH) ** 2
    assert known["row"] == seen.row
    assert known["visual"] == (0 if kind == "crossed" else seen.visual)
    assert known["added"] == seen.added
    assert known["work"] == seen.multiplications
    allowed = seen.masks["layers.0.attention"].sum() + seen.masks.get("crossings.0.attention", torch.zeros(1)).sum()
    assert known["pairs"] == allowed


def test_the_small_model_of_the_simulation_is_the_shipped_one():
    tower = load_tower(WEIGHTS / "clip")
    shape, config = json.loads((find_folder(tower) / "fusion.json").read_text())["shape"], tower.config
    assert shape == asdict(Shape(config.hidden_size, shape["patches"], shape["vocabulary"], longest=shape["longest"]))
    assert shape["vision"] == 192 and shape["patches"] == (config.image_size // config.patch_size) ** 2
    assert config.patch_size == PATCH


def test_bridges_in_the_simulation_have_torch_s_own_sizes():
    state = {"angle": 0, "wrong": False, "vision": 1024, "language": 896, "merge": 2}
    (known,) = ask_simulation("ch02_bridge", states=[state])["facts"]
    first, second = nn.Linear(4 * 1024, 896), nn.Linear(896, 896)
    assert known["matrix"] == sum(weight.numel() for weight in first.parameters())
    assert known["mlp"] == sum(weight.numel() for part in (first, second) for weight in part.parameters())
    assert known["places"] == 144 and known["product"] == 1024 * 896


def test_the_chapter_s_table_is_what_is_counted():
    text = "\n".join(block.text for block in CHAPTERS["bridge"].blocks if block.kind == "prose")
    rows = {one.model: one for one in count_bridges()}
    found = re.findall(r"^\| (\S+) \| [^|]+ \| ([\d,]+) × ([\d,]+) \| ([\d,]+) × ([\d,]+) \| ([\d,]+) \|", text, re.M)
    assert len(found) == len(rows)
    for model, *figures in found:
        one = rows[model]
        assert [int(figure.replace(",", "")) for figure in figures] == [*one.taken, *one.given, one.parameters]


def test_gradient_steps_find_the_angle_that_a_search_finds():
    states = [{"angle": angle, "wrong": False, "vision": 64, "language": 64, "merge": 1} for angle in range(360)]
    facts = ask_simulation("ch02_bridge", states=states)["facts"]
    best = max(facts, key=lambda known: known["score"])
    assert abs(best["angle"] - best["best"]) <= 1 and best["top"] >= best["score"] > 0.99
    assert best["right"] == 6 and min(known["right"] for known in facts) == 0
