"""The bridge's panel: what it shows is what was measured, in words that cannot become markup."""

import pytest
from PIL import Image
from pydantic import ValidationError

from demos import bridge
from patchwork.catalog import load_catalog
from patchwork.families import get_family
from patchwork.hardware import detect_cpu
from patchwork.plan import make_plan
from patchwork.tiny import FRESH, draw_scene

PICTURE = draw_scene(FRESH + 5, 128)
EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def result():
    card = load_catalog().get("tiny-llava")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    *_, last = bridge.run(bridge.Inputs(picture=PICTURE, question=EVIL, breaks=["zeroed", "blank"]), model)
    return last


def test_every_asked_break_is_answered_after_the_intact_model(result):
    assert [one.name for one in result.answers] == ["intact", "zeroed", "blank"]
    assert result.blind == 0.0


def test_readings_go_from_the_encoder_to_the_last_layer(result):
    names = [one.name for one in result.readings]
    assert names[:2] == ["before the bridge", "after the bridge"] and names[-1].startswith("layer")
    assert all(len(one.words) == len(one.control) == result.rows * result.columns for one in result.readings)


def test_the_first_bridge_is_the_running_one(result):
    own, real = result.bridges[0], {one.model: one for one in result.bridges[1:]}
    vision, width = own.taken[1], own.given[1]
    assert own.parameters == vision * width + width + width * width + width
    assert real["LLaVA-1.5-7B"].parameters == 20_979_712


def test_it_survives_json_and_escapes_what_readers_typed(result):
    assert bridge.RunResult.model_validate_json(result.model_dump_json()) == result
    shown = bridge.render(result, bridge.Inputs(picture=PICTURE, question=EVIL))
    assert "<img src=x" not in shown and "Do not trust" in shown
    assert shown.count('class="pw-patch pw-grid-cell"') == result.rows * result.columns


def test_fine_grids_leave_the_words_to_the_table(result):
    many = result.model_copy(update={"rows": 1, "columns": result.rows * result.columns})
    assert "<tspan" not in bridge.render(many, bridge.Inputs(picture=PICTURE))
    assert "<tspan" in bridge.render(result, bridge.Inputs(picture=PICTURE))


@pytest.mark.parametrize(
    ("fields", "words"), [({"question": " "}, "no question yet"), ({"question": "x" * 501}, "limit is 500")]
)
def test_bad_words_are_refused_before_any_work(fields, words):
    with pytest.raises(ValidationError, match=words):
        bridge.Inputs(picture=Image.new("RGB", (8, 8)), **fields)


def test_unknown_breaks_are_refused():
    with pytest.raises(ValidationError):
        bridge.Inputs(picture=Image.new("RGB", (8, 8)), breaks=["melted"])


def test_the_chosen_patch_is_sure_and_not_the_background():
    assert bridge.choose_patch(["sky", "sky", "cat", "dog"], [0.9, 0.9, 0.2, 0.5]) == 3
    assert bridge.choose_patch(["sky", "sky"], [0.1, 0.9]) == 1
