"""The whole recipe, for a few seconds: what it writes is what transformers loads, and what can be measured."""

import random

import pytest
import torch
from transformers import AutoProcessor, CLIPModel

from patchwork.tiny import FRESH, invent_scene
from patchwork.tiny.evaluate import collect, evaluate_questions
from patchwork.tiny.looking import evaluate_captions
from patchwork.tiny.reader import Reader
from patchwork.tiny.tokenizer import train_tokenizer, write_caption_samples, write_samples
from patchwork.tiny.train import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train_tokenizer(write_caption_samples(200)).save(str(folder / "captions.json"))
    train_tokenizer(write_samples(200)).save(str(folder / "chat.json"))
    train(folder, minutes=0.1, scenes=60, device=torch.device("cpu"), seed=0)
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


def test_the_encoder_is_the_same_in_all_three(folder):
    """It is trained in stage 0 and frozen from then on."""
    tower = CLIPModel.from_pretrained(folder / "clip").vision_model.state_dict()
    for name in ("llava_stage1", "llava"):
        inside = Reader(folder / name).model.model.vision_tower.state_dict()
        assert all(torch.equal(tower[key].float(), inside[key].float()) for key in tower)
