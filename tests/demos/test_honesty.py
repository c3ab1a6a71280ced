"""A planted object is found informative by the bundled CLIP; random weights never are, and are called a control."""

import pytest
from PIL import Image

from demos import attention, honesty, similarity
from patchwork.catalog import load_catalog
from patchwork.errors import Problem
from patchwork.families import get_family
from patchwork.hardware import detect_cpu
from patchwork.plan import make_plan
from patchwork.tiny import FRESH, invent_scene
from patchwork.ui.points import Mark, draw_points, fit_places

SCENES = range(FRESH + 500, FRESH + 504)


@pytest.fixture(scope="module")
def model():
    card = load_catalog().get("tiny-clip")
    return get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)


def check(model, seed: int, method: str = "rollout", **fields):
    """One object alone on its background, watched through the words that name it."""
    scene = invent_scene(seed, count=1)
    fields = {"text": f"a {scene.things[0].name}", "seed": seed % 1000} | fields
    inputs = honesty.Inputs(picture=scene.draw(256), method=method, **fields)
    events = list(honesty.run(inputs, model))
    return events[-1], honesty.render(events[-1], inputs), events


@pytest.fixture(scope="module")
def trained(model):
    return [check(model, seed) for seed in SCENES]


def test_a_planted_object_is_informative(trained):
    verdicts = [result.verdict for result, _, _ in trained]
    assert verdicts.count("informative") >= 3, verdicts


def test_the_hottest_patches_lie_on_the_object(model, trained):
    """The mean heat on the object's box is above the mean heat elsewhere."""
    for seed, (result, _, _) in zip(SCENES, trained, strict=True):
        x1, y1, x2, y2 = (256 * value for value in invent_scene(seed, count=1).things[0].box)
        (left, top, right, bottom), grid = result.map.region, result.map.grid
        width, height = (right - left) / len(grid[0]), (bottom - top) / len(grid)
        inside, outside = [], []
        for row, values in enumerate(grid):
            for column, value in enumerate(values):
                x, y = left + (column + 0.5) * width, top + (row + 0.5) * height
                (inside if x1 <= x <= x2 and y1 <= y <= y2 else outside).append(value)
        assert sum(inside) / len(inside) > sum(outside) / len(outside)


def test_random_weights_are_never_called_informative(model):
    """They are named a control; and even unnamed, the test finds nothing in them."""
    for seed in SCENES[:3]:
        twin = model.make_untrained(seed)
        assert twin.is_untrained
        twin.is_untrained = seed == SCENES[0]
        result, drawn, _ = check(twin, seed, method="raw")
        assert result.verdict == ("control" if twin.is_untrained else "nothing to lose")
        assert "map is informative" not in drawn


def test_a_picture_without_the_thing_has_nothing_to_lose(model):
    blank = Image.new("RGB", (64, 64), (210, 210, 220))
    *_, last = honesty.run(honesty.Inputs(picture=blank, text="a red car", seed=1), model)
    assert last.verdict == "nothing to lose"


def test_the_control_is_labelled_and_its_seed_is_fresh(model, trained):
    result, drawn, _ = trained[0]
    assert f"<b>Control: random weights</b> (seed {result.seed})" in drawn
    picture = invent_scene(FRESH).draw(128)
    first, second = (list(honesty.run(honesty.Inputs(picture=picture), model))[-1] for _ in range(2))
    assert first.seed != second.seed and first.control.grid != second.control.grid
    assert first.map.grid == second.map.grid
    assert first.score == "cosine with the whole picture's embedding"


def test_the_cost_is_told_before_and_during(trained):
    result, _, events = trained[0]
    assert str(honesty.PASSES) in honesty.ABOUT
    passes = 2 + sum(len(curve.scores) - 2 for curve in result.curves)
    assert passes == honesty.PASSES
    assert any("A pass takes" in getattr(event, "message", "") for event in events)


def test_curves_share_their_ends(trained):
    for result, _, _ in trained:
        assert len({curve.scores[0] for curve in result.curves}) == 1
        assert len({curve.scores[-1] for curve in result.curves}) == 1


def test_results_survive_json(trained):
    result, _, _ = trained[0]
    assert type(result).model_validate_json(result.model_dump_json()) == result


def test_relevance_asks_for_a_text(model):
    with pytest.raises(Problem, match="needs a text"):
        check(model, SCENES[0], method="relevance", text=" ")


# ---- one space for patches and words; colours for alike patches


def test_patches_lie_nearest_to_the_word_that_names_them(model):
    """Of a lone object's patches, most are nearest to a text about it rather than to one about another."""
    scene = invent_scene(SCENES[0], count=1)
    thing = scene.things[0]
    other = "a green fish" if thing.kind != "fish" else "a red car"
    inputs = similarity.Inputs(picture=scene.draw(256), captions=[f"a {thing.name}", other])
    *_, result = similarity.run(inputs, model)
    joint = result.joint
    x1, y1, x2, y2 = thing.box
    middle = int((y1 + y2) / 2 * joint.rows) * joint.columns + int((x1 + x2) / 2 * joint.columns)
    assert any(word in joint.points[middle].nearest for word in thing.name.split())
    assert 0 < joint.shown[0] <= 1 and 0 < joint.shown[1] <= 1
    drawn = similarity.render(result, inputs)
    assert drawn.count('class="pw-spot"') == joint.rows * joint.columns
    assert drawn.count('class="pw-point-patch"') == 2 * joint.rows * joint.columns


def test_pca_colours_tell_object_from_background(model):
    scene = invent_scene(SCENES[1], count=1)
    inputs = attention.Inputs(picture=scene.draw(256), method="features")
    *_, result = attention.run(inputs, model)
    assert len(result.colours) == sum(len(row) for row in result.map.grid)
    assert len(result.shown) == 3 and result.shown == sorted(result.shown, reverse=True)
    assert "Variance shown" in attention.render(result, inputs)
    assert result.colours[0] in attention.render(result, inputs)


def test_points_keep_their_proportions():
    fit = fit_places([(0.0, 0.0), (2.0, 1.0)])
    (x1, y1), (x2, y2) = fit((0.0, 0.0)), fit((2.0, 1.0))
    assert x2 - x1 == pytest.approx(2 * (y1 - y2))


def test_a_label_that_would_cover_another_is_left_out():
    marks = [Mark("word", (0.0, 0.0), "one", "one"), Mark("word", (0.001, 0.0), "two", "two")]
    drawn = draw_points([*marks, Mark("word", (1.0, 1.0), "<three>", "<three>")])
    assert drawn.count("<text") == 2 and "&lt;three&gt;</text>" in drawn and "<title>two</title>" in drawn
