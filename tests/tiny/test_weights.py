"""The shipped models: small enough, loadable by plain transformers, and right on scenes they never saw."""

import random

import pytest

from patchwork.tiny import FRESH, WEIGHTS, invent_scene
from patchwork.tiny.evaluate import (
    Reader,
    collect,
    evaluate_captions,
    evaluate_questions,
    evaluate_refusals,
    load_photographs,
)

SCENES = [invent_scene(FRESH + 90_000 + i) for i in range(60)]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(WEIGHTS / "llava")


@pytest.fixture(scope="module")
def figures(reader) -> dict[str, object]:
    asked = collect(SCENES, ["colour", "is there", "left or right", "where", "count all"], 40, random.Random(3))
    return {figure.skill: figure for figure in evaluate_questions(reader, asked)}


def test_all_weights_together_stay_small():
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert 5e6 < sum(path.stat().st_size for path in files) <= 24e6
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".jinja", ".md"}


def test_questions_are_answered_far_above_the_baseline(figures):
    overall = figures["questions overall"]
    assert overall.value - overall.baseline >= 0.25


def test_boxes_land_on_the_object(figures):
    assert figures["where: IoU ≥ 0.5"].value >= 0.6


def test_the_right_caption_beats_near_misses():
    figure = evaluate_captions(WEIGHTS / "clip", SCENES, random.Random(3))
    assert figure.value >= 0.25 and figure.value > 2 * figure.baseline


def test_photographs_are_refused_and_scenes_are_not(reader):
    photographs, scenes = evaluate_refusals(reader, SCENES, load_photographs())
    assert photographs.value >= 0.8 and scenes.value <= 0.04
