"""The whole recipe, for a few seconds: what it writes is what transformers loads, and what can be measured."""

import random

import pytest
import torch
from transformers import AutoProcessor, CLIPModel

from patchwork.tiny import FRESH, invent_scene
from patchwork.tiny.evaluate import collect, evaluate_questions
from patchwork.tiny.looking import evaluate_captions
from patchwork.tiny.paging import evaluate_pages
from patchwork.tiny.reader import Reader
from patchwork.tiny.tokenizer import train_tokenizer, write_caption_samples, write_samples
from patchwork.tiny.train import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train_tokenizer(write_caption_samples(200)).save(str(folder / "captions.json"))
    train_tokenizer(write_samples(200)).save(str(folder / "chat.json"))
    train(folder, minutes=0.15, scenes=60, device=torch.device("cpu"), seed=0, pages=20)
    return folder


def test_three_folders_that_transformers_loads(folder):
    clip = CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32)
    tokens = AutoProcessor.from_pretrained(folder / "clip")(text=["a red star"], return_tensors="pt").input_ids[0]
    assert tokens[0] == clip.config.text_config.bos_token_id and tokens[-1] == clip.config.text_config.eos_token_id
    scenes = [invent_scene(FRESH + i) for i in range(4)]
    assert 0 <= evaluate_captions(folder / "clip", scenes, random.Random(0)).value <= 1
    for name in ("llava_stage1", "llava"):
        figures = evaluate_questions(Reader(folder / name), collect(scenes, ["where", "describe"], 4, random.Random(0)))
        assert {figure.skill for figure in figures} >= {"where", "describe", "wrongly refused"}
    pages = evaluate_pages(Reader(folder / "llava"), 2, random.Random(0))
    assert len(pages) == 4 and all(0 <= figure.value <= 1 for figure in pages)


def find_same(first: dict, second: dict) -> set[str]:
    return {key for key in first if torch.equal(first[key].float(), second[key].float())}


def test_what_learns_and_what_stays(folder):
    """The three lower layers are stage 0's in all of them. Above, each model has learnt its own."""
    clip = CLIPModel.from_pretrained(folder / "clip").vision_model.state_dict()
    towers = {name: Reader(folder / name).model.model.vision_tower.state_dict() for name in ("llava_stage1", "llava")}
    lower = {key for key in clip if "embeddings" in key or any(f"layers.{layer}." in key for layer in (0, 1, 2))}
    upper = {f"encoder.layers.{layer}.mlp.fc1.weight" for layer in (3, 4, 5)}
    stage0 = torch.load(folder / "stage0.pt", weights_only=True)["model"]
    stage0 = {key: stage0[f"vision_model.{key}"].half() for key in clip}
    assert find_same(stage0, towers["llava_stage1"]) >= lower | upper
    for changed in (clip, towers["llava"]):
        same = find_same(stage0, changed)
        assert same >= lower and upper <= set(stage0) and not same & upper


def test_at_the_end_the_tower_still_answers_what_stage_0_asked(folder):
    """What reads its patches learns on: weight decay alone would only make its weights shorter."""
    before, after = (torch.load(folder / f"{name}.pt", weights_only=True)["heads"] for name in ("stage0", "together"))
    first, last = before["trunk.1.weight"].double(), after["trunk.1.weight"].double()
    shorter = (first * last).sum() / (first * first).sum()
    assert (last - shorter * first).abs().max() > 1e-6
