"""The shipped models: small enough, loadable by plain transformers, and right on scenes they never saw."""

import random

import pytest

from patchwork.tiny import FRESH, WEIGHTS, invent_scene
from patchwork.tiny.evaluate import collect, evaluate_photographs, evaluate_questions, load_photographs
from patchwork.tiny.looking import evaluate_captions, evaluate_encoder_pointing, evaluate_token_pointing
from patchwork.tiny.paging import answer_pages, collect_pages
from patchwork.tiny.reader import Reader

SCENES = [invent_scene(FRESH + 90_000 + i) for i in range(60)]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(WEIGHTS / "llava")


@pytest.fixture(scope="module")
def figures(reader) -> dict[str, object]:
    types = ["colour", "is there", "left or right", "where", "count all", "absent", "unknown"]
    return {figure.skill: figure for figure in evaluate_questions(reader, collect(SCENES, types, 40, random.Random(3)))}


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
    assert figure.value >= 0.65 and figure.baseline < 0.1


def test_price_lists_are_read_by_tiles_and_not_from_the_overview(reader):
    """Pages never trained on, one question each, every card as likely."""
    asked = collect_pages(30, random.Random(3))
    tiles, overview = (answer_pages(reader, asked, tiles) for tiles in (True, False))
    assert sum(tiles) / 30 >= 0.75 and sum(overview) / 30 <= 0.4
    both = answer_pages(reader, collect_pages(20, random.Random(3), two=True), True)
    assert sum(both) / 20 >= 0.5


def test_both_models_look_at_what_is_spoken_of(reader):
    encoder = evaluate_encoder_pointing(WEIGHTS / "clip", SCENES[:40], random.Random(3))
    taught, _ = evaluate_token_pointing(reader, collect(SCENES, ["colour"], 30, random.Random(3)))
    assert encoder.value >= 0.6 and taught.value >= 0.6


def test_photographs_and_strange_things_are_refused_and_scenes_are_not(reader, figures):
    assert evaluate_photographs(reader, load_photographs()).value >= 0.8
    assert figures["unknown"].value >= 0.7 and figures["wrongly refused"].value <= 0.04


def test_following_instructions_is_learnt_in_stage_two(figures):
    """Before it the same model, asked the same, can only describe."""
    types = ["colour", "is there", "left or right", "count all", "absent"]
    asked = collect(SCENES, types, 12, random.Random(3))
    first = {figure.skill: figure for figure in evaluate_questions(Reader(WEIGHTS / "llava_stage1"), asked)}
    assert figures["questions overall"].value - first["questions overall"].value >= 0.4
