"""Four ways in: the modules do what their names say, hooks see what runs, stored weights fit their tower."""

import json
from dataclasses import replace

import pytest
import torch

from patchwork.errors import Problem
from patchwork.fusion import (
    END,
    KINDS,
    FusionModel,
    Shape,
    Words,
    find_folder,
    hash_weights,
    inspect,
    load,
    read_patches,
)
from patchwork.fusion_questions import HELD_OUT, ask_scene, invent_scenes, list_questions
from patchwork.fusion_training import collect_words, encode_scenes, guess, load_tower, measure
from patchwork.tiny import WEIGHTS
from tests.tiny_models import load_tiny

SHAPE = Shape(vision=36, patches=9, vocabulary=20, width=24, heads=3, hidden=32, queries=4, summary=20, longest=40)
FEATURES = torch.randn(2, 9, 36, generator=torch.Generator().manual_seed(0))
TEXT = torch.tensor([[3, 4, 5, 6, 7], [8, 9, 10, 11, 12]])


def build(kind: str, shape: Shape = SHAPE) -> FusionModel:
    torch.manual_seed(1)
    return FusionModel(kind, shape).eval()


def watch(model: FusionModel, at: int = 0):
    with torch.inference_mode(), inspect(model) as seen:
        logits = model(FEATURES, TEXT, at)
    return seen, logits


@pytest.mark.parametrize(
    ("kind", "row", "visual"), [("concatenated", 14, 9), ("interleaved", 14, 9), ("resampled", 9, 4), ("crossed", 5, 9)]
)
def test_rows_are_as_long_as_each_way_makes_them(kind, row, visual):
    seen, logits = watch(build(kind), at=2 if kind == "interleaved" else 0)
    assert (seen.row, seen.visual) == (row, visual)
    assert logits.shape == (2, 5, 20)


def test_gates_that_are_zero_leave_the_text_model_as_it_was():
    model = build("crossed")
    plain = FusionModel("concatenated", SHAPE)
    plain.load_state_dict(model.state_dict(), strict=False)
    with torch.inference_mode():
        text_only = plain.read_out(plain.run_layers(plain.embed(TEXT)))
        assert torch.equal(model(FEATURES, TEXT), text_only)
        for block in model.crossings:
            block.gate.fill_(0.5)
        assert not torch.allclose(model(FEATURES, TEXT), text_only)


@pytest.mark.parametrize("kind", KINDS)
def test_text_never_looks_ahead(kind):
    model = build(kind)
    for block in model.crossings:
        block.gate.data.fill_(1.0)
    changed = TEXT.clone()
    changed[:, 3:] = 2
    with torch.inference_mode():
        one, other = model(FEATURES, TEXT), model(FEATURES, changed)
    assert torch.allclose(one[:, :3], other[:, :3], atol=1e-5)
    assert not torch.allclose(one[:, 3:], other[:, 3:], atol=1e-3)


def test_words_before_an_interleaved_picture_do_not_see_it():
    model = build("interleaved")
    with torch.inference_mode():
        one, other = (model(features, TEXT, at=2) for features in (FEATURES, -FEATURES))
    assert torch.allclose(one[:, :2], other[:, :2], atol=1e-5)
    assert not torch.allclose(one[:, 2:], other[:, 2:], atol=1e-3)


def test_masks_are_the_ones_that_ran():
    seen, _ = watch(build("concatenated"))
    assert torch.equal(seen.masks["layers.0.attention"], torch.ones(14, 14).tril().bool())
    seen, _ = watch(build("crossed"))
    assert torch.equal(seen.masks["crossings.0.attention"], torch.ones(5, 9).bool())
    assert torch.equal(seen.masks["layers.2.attention"], torch.ones(5, 5).tril().bool())
    seen, _ = watch(build("resampled"))
    assert torch.equal(seen.masks["resampler.blocks.0.attention"], torch.ones(4, 13).bool())


def test_work_is_what_torch_s_own_counter_says():
    """PyTorch counts two operations per multiplication; norms, gates and activations it leaves out, as we do."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    for kind in KINDS:
        model = build(kind)
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            model(FEATURES[:1], TEXT[:1], 1)
        head = 5 * SHAPE.width * SHAPE.vocabulary
        assert counter.get_total_flops() / 2 - head == watch(model)[0].multiplications


def test_added_parameters_are_those_that_a_text_model_lacks():
    text_model = build("concatenated")
    base = sum(w.numel() for n, w in text_model.named_parameters() if not n.startswith("bridge"))
    for kind in KINDS:
        seen, _ = watch(build(kind))
        assert seen.parameters - seen.added == base
    assert watch(build("concatenated"))[0].added == watch(build("interleaved"))[0].added


def test_hooks_are_gone_afterwards():
    model = build("crossed")
    watch(model)
    assert not any(part._forward_hooks for part in model.modules())


def test_fewer_crossings_where_asked():
    assert len(build("crossed", replace(SHAPE, every=2)).crossings) == 2


def test_answers_stop_at_their_end():
    model = build("concatenated")
    model.embed.weight.data[END] = 100 * torch.ones(24)
    model.norm.weight.data.fill_(0)
    model.norm.bias.data.fill_(1)
    assert model.answer(FEATURES, TEXT).tolist() == [[END], [END]]


def test_words_are_learnt_or_refused():
    words = Words.collect(["what colour is the star?"])
    assert words.decode(words.encode("What colour is the star?")) == "what colour is the star ?"
    with pytest.raises(Problem, match="never saw the word 'mood'"):
        words.encode("what mood is the star?")
    everything = collect_words()
    assert all(everything.encode(question) for question in list_questions())


def test_answers_are_true_of_the_scene():
    for index, scene in enumerate(invent_scenes(HELD_OUT, 30)):
        for asked in ask_scene(index, scene):
            named = [thing for thing in scene.things if thing.kind in asked.question.rstrip("?").split()]
            if asked.type == "count":
                assert asked.answer == str(len(scene.things))
            elif asked.type == "colour":
                assert [thing.colour for thing in named] == [asked.answer]
            elif asked.type == "where":
                (x, y), down = named[0].centre, asked.answer.split()[0]
                assert asked.answer == f"{down} {'left' if x < 0.5 else 'right'}" and (down == "top") == (y < 0.5)


# ---- what is shipped


@pytest.fixture(scope="module")
def tower():
    return load_tower(WEIGHTS / "clip")


@pytest.fixture(scope="module")
def stored(tower):
    return load(tower)


def test_shipped_modules_are_small_and_belong_to_the_shipped_tower(tower, stored):
    assert set(stored.models) == set(KINDS)
    folder = find_folder(tower)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000
    assert json.loads((folder / "fusion.json").read_text())["tower"] == hash_weights(tower)


def test_another_tower_is_refused():
    other = load_tower(WEIGHTS / "clip")
    next(other.parameters()).data.add_(0.1)
    with pytest.raises(Problem, match="No fusion modules were trained on this encoder"):
        load(other)


def test_all_four_beat_the_commonest_answer_on_scenes_they_never_saw(tower, stored):
    scenes = invent_scenes(HELD_OUT + 20_000, 40)
    features = encode_scenes(tower, scenes)
    guessed = sum(right for right, _ in guess(scenes).values())
    for kind, model in stored.models.items():
        found = measure(model, features, scenes, stored.words)
        assert sum(right for right, _ in found.values()) > 1.2 * guessed, kind


def test_patches_are_the_tower_s_own(tower):
    model = load_tiny("clip", WEIGHTS / "clip", letterbox=True)
    scene = invent_scenes(HELD_OUT, 1)[0]
    mine = read_patches(model, scene.draw(tower.config.image_size))
    assert torch.allclose(mine, encode_scenes(tower, [scene]).float(), atol=0.02, rtol=0.01)
