"""The bridge in words and broken: readings equal plain matrix work, a break changes one call, zeros make it blind."""

import copy
import threading

import pytest
import torch
from PIL import Image

from patchwork import bridge
from patchwork.changes import Change, change, find_places
from patchwork.errors import Problem
from patchwork.families.parts import find_parts
from patchwork.families.protocol import PatchGrid
from patchwork.tiny import FRESH, WEIGHTS, draw_scene
from tests.tiny_models import load_tiny, shared_folder

PICTURE, OTHER = draw_scene(FRESH + 3, 128), draw_scene(FRESH + 4, 128)
QUESTION = "What is in the picture?"


@pytest.fixture(scope="module")
def model():
    return load_tiny("llava", WEIGHTS / "llava", letterbox=True)


def plain_logits(model, picture) -> torch.Tensor:
    with torch.inference_mode():
        return model.model(**model.prepare([picture], QUESTION)).logits[0, -1]


def test_looking_changes_nothing(model):
    seen = bridge.look(model, PICTURE, QUESTION)
    assert torch.equal(seen.logits[0], plain_logits(model, PICTURE))
    pixels = model.prepare([PICTURE], QUESTION)["pixel_values"]
    with torch.inference_mode():
        given = model.model.get_image_features(pixel_values=pixels).pooler_output[0]
        taken = model.model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][0, 1:]
    assert torch.equal(seen.given, given) and torch.equal(seen.taken, taken)


def test_behind_a_bridge_of_zeros_the_logits_no_longer_depend_on_the_picture(model):
    assert not torch.allclose(plain_logits(model, PICTURE), plain_logits(model, OTHER), atol=1e-3)
    blind = [bridge.look(model, picture, QUESTION, Change(zeroed=True)).logits for picture in (PICTURE, OTHER)]
    assert torch.equal(*blind)
    assert not torch.equal(blind[0][0], plain_logits(model, PICTURE))
    assert bridge.compare_blind(model, PICTURE, QUESTION) == 0.0


def test_shuffling_moves_the_vectors_and_loses_none(model):
    order = bridge.shuffle(64)
    assert sorted(order.tolist()) == list(range(64)) and not (order == torch.arange(64)).any()
    plain, mixed = (bridge.look(model, PICTURE, QUESTION, wanted) for wanted in (None, Change(order=order)))
    assert torch.equal(mixed.given, plain.given[order]) and torch.equal(mixed.taken, plain.taken)


def test_without_places_the_encoder_cannot_tell_where_a_patch_stands(model):
    """Two halves swapped: without position embeddings each patch's vector moves with it, with them it does not."""
    left, right = PICTURE.crop((0, 0, 64, 128)), PICTURE.crop((64, 0, 128, 128))
    swapped = Image.new("RGB", PICTURE.size)
    swapped.paste(right, (0, 0))
    swapped.paste(left, (64, 0))
    order = torch.arange(64).reshape(8, 8).roll(4, 1).flatten()
    for unplaced in (True, False):
        one, other = (bridge.look(model, p, QUESTION, Change(unplaced=unplaced)) for p in (PICTURE, swapped))
        assert torch.allclose(other.taken, one.taken[order], atol=2e-4) == unplaced


def test_a_change_belongs_to_its_thread(model):
    """Two readers, one model: the other one's answer is untouched while the first one's bridge is at zero."""
    parts, before, seen = find_parts(model.model), plain_logits(model, PICTURE), []
    with change(parts, Change(zeroed=True)):
        other = threading.Thread(target=lambda: seen.append(plain_logits(model, PICTURE)))
        other.start()
        other.join()
        assert not torch.equal(plain_logits(model, PICTURE), before)
    assert torch.equal(seen[0], before) and torch.equal(plain_logits(model, PICTURE), before)


def test_weights_stay_as_they_are(model):
    before = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    for name in bridge.BREAKS:
        bridge.answer_broken(model, PICTURE, QUESTION, name, "a", most_tokens=3)
    assert all(torch.equal(weight, before[name]) for name, weight in model.model.state_dict().items())


def test_answers_equal_plain_generation_on_what_each_break_leaves(model):
    grey = Image.new("RGB", PICTURE.size, (127, 127, 127))
    intact = bridge.answer_broken(model, PICTURE, QUESTION, "intact")
    assert intact.answer == "".join(model.chat([PICTURE], QUESTION, max_new_tokens=32)).strip()
    blank = bridge.answer_broken(model, PICTURE, QUESTION, "blank", intact.answer)
    assert blank.answer == "".join(model.chat([grey], QUESTION, max_new_tokens=32)).strip()
    assert 0.1 < blank.moved <= 1
    with pytest.raises(Problem, match="no break named"):
        bridge.answer_broken(model, PICTURE, QUESTION, "upside down")


def test_moved_is_the_total_variation_of_the_first_answer_s_tokens(model):
    intact = "a red star."
    found = bridge.answer_broken(model, PICTURE, QUESTION, "zeroed", intact, most_tokens=2)
    text = model.prepare([PICTURE], QUESTION)
    said = model.processor.tokenizer(intact, return_tensors="pt").input_ids
    longer = dict(text) | {
        "input_ids": torch.cat([text["input_ids"], said], 1),
        "attention_mask": torch.ones(1, text["input_ids"].shape[1] + said.shape[1]),
    }
    with torch.inference_mode():
        plain = model.model(**longer).logits[0, -said.shape[1] - 1 :].softmax(-1)
        with change(find_parts(model.model), Change(zeroed=True)):
            broken = model.model(**longer).logits[0, -said.shape[1] - 1 :].softmax(-1)
    expected = torch.stack([(p - q).clamp(min=0).sum() for p, q in zip(plain, broken, strict=True)]).mean()
    assert found.moved == pytest.approx(expected.item(), abs=1e-3)


def test_words_are_those_of_the_model_s_own_head_and_embeddings(model):
    _, readings = bridge.read_words(model, PICTURE, QUESTION)
    inputs, tokenizer = model.prepare([PICTURE], QUESTION), model.processor.tokenizer
    known = bridge.list_words(tokenizer)
    with torch.inference_mode():
        output = model.model(**inputs, output_hidden_states=True)
    places = (inputs["input_ids"][0] == model.model.config.image_token_id).nonzero().flatten()
    assert len(readings) == 1 + model.model.config.text_config.num_hidden_layers
    last, first = readings[-1], readings[0]
    for place in (0, 17, 42, 63):
        logits = output.logits[0, places[place]]
        best = max(known, key=lambda token: logits[token])
        assert last.words[place] == tokenizer.decode([best]).strip()
        assert last.scores[place] == pytest.approx(logits.softmax(-1)[best].item(), abs=1e-4)
        vector = output.hidden_states[0][0, places[place]]
        table = model.model.get_input_embeddings().weight
        best = max(known, key=lambda token: torch.cosine_similarity(vector, table[token], dim=0).item())
        assert first.words[place] == tokenizer.decode([best]).strip()


def test_the_control_behind_the_bridge_only_moves(model):
    order = bridge.shuffle(64).tolist()
    _, readings = bridge.read_words(model, PICTURE, QUESTION)
    words = readings[0].words
    assert readings[0].control == [words[index] for index in order] and readings[0].follows == 1.0
    assert readings[0].stays == pytest.approx(sum(words[i] == words[o] for i, o in enumerate(order)) / 64)
    assert all(0 <= one.follows <= 1 and 0 <= one.stays <= 1 for one in readings)


def test_the_encoder_is_read_in_clip_s_own_text_space(model):
    from transformers import AutoTokenizer, CLIPModel

    bundled = model.card.model_copy(update={"repo": "bundled:llava"})
    model.card, kept = bundled, model.card
    found = bridge.read_encoder(model, PICTURE, bridge.shuffle(64))
    model.card = kept
    clip, tokenizer = (
        CLIPModel.from_pretrained(WEIGHTS / "clip").float(),
        AutoTokenizer.from_pretrained(WEIGHTS / "clip"),
    )
    pixels = model.prepare([PICTURE], QUESTION)["pixel_values"]
    with torch.inference_mode():
        hidden = clip.vision_model(pixels).last_hidden_state[0, 1:]
        patch = torch.nn.functional.normalize(clip.visual_projection(clip.vision_model.post_layernorm(hidden)), dim=-1)
        text = clip.get_text_features(**tokenizer(found.words[20], return_tensors="pt")).pooler_output
    assert found.scores[20] == pytest.approx(torch.cosine_similarity(patch[20], text[0], dim=0).item(), abs=1e-3)


def test_another_encoder_is_not_read_with_the_bundled_text_side():
    random = load_tiny("llava", shared_folder("llava"))
    assert bridge.read_encoder(random, PICTURE, bridge.shuffle(16)) is None


def test_shared_layers_are_counted_from_the_bottom_up(model):
    """The bundled CLIP began from the bundled model's tower and trained its last three layers on."""
    clip, _, _ = bridge.load_text_side()
    tower = copy.deepcopy(find_parts(model.model).tower)
    assert bridge.count_shared_layers(clip.vision_model, tower) == 3
    tower.encoder.layers[1].mlp.fc1.bias.data += 1
    assert bridge.count_shared_layers(clip.vision_model, tower) == 1
    tower.embeddings.class_embedding.data += 1
    assert bridge.count_shared_layers(clip.vision_model, tower) == 0


def test_planes_are_principal_components():
    points = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 3, 1, 1, 1, 1])
    plane = bridge.lay_flat(points[:30], points[30:])
    assert (len(plane.patches), len(plane.words)) == (30, 10)
    values = torch.linalg.eigvalsh(torch.cov(points.T.double()))
    assert plane.explained == pytest.approx((values.flip(0)[:2] / values.sum()).tolist(), abs=1e-3)
    flat = torch.tensor(plane.patches + plane.words)
    assert flat.var(0).tolist() == pytest.approx(values.flip(0)[:2].tolist(), rel=1e-3)


def test_lengths_are_compared(model):
    seen = bridge.look(model, PICTURE, QUESTION)
    known = bridge.list_words(model.processor.tokenizer)
    words = [model.model.get_input_embeddings().weight[token].norm().item() for token in known]
    patches = [vector.norm().item() for vector in seen.given]
    expected = (sum(patches) / len(patches)) / (sum(words) / len(words))
    assert bridge.compare_lengths(model, seen) == pytest.approx(expected, rel=1e-4)


def test_patches_lie_where_the_letterbox_puts_them(model):
    picture = Image.new("RGB", (120, 60), (255, 0, 0))
    grid = bridge.find_grid(model, picture, 64)
    assert grid == PatchGrid(8, 8, (0.0, -30.0, 120.0, 90.0))
    colours = bridge.average_colours(picture, grid)
    assert colours[0] == "#000000" and colours[27] == "#ff0000"
    assert bridge.find_grid(model, picture, 60).rows == 1


@pytest.mark.parametrize(("layers", "chosen"), [(4, [1, 2, 3, 4]), (32, [1, 5, 10, 14, 19, 23, 28, 32])])
def test_deep_models_are_read_at_a_few_layers(layers, chosen):
    assert bridge.choose_layers(layers) == chosen


def test_a_tower_without_places_is_explained(model):
    parts = find_parts(model.model)
    assert len(find_places(parts.tower)) == 1
    bare = type(parts)(**vars(parts) | {"tower": torch.nn.Linear(2, 2)})
    with pytest.raises(Problem, match="no separate position embedding"):
        bridge.plan_break("unplaced", bare, 4)


def test_another_family_is_read_and_broken_too():
    """Idefics3: a connector that merges four patches into one place, a SigLIP tower without a CLS token."""
    model = load_tiny("idefics3", shared_folder("idefics3"))
    plain, readings = bridge.read_words(model, PICTURE, QUESTION)
    assert plain.given.shape == (4, 32) and len(readings) == 1 + plain.layers
    blind = [bridge.look(model, picture, QUESTION, Change(zeroed=True)).logits for picture in (PICTURE, OTHER)]
    assert torch.equal(*blind)
    for name in bridge.BREAKS:
        assert 0 <= bridge.answer_broken(model, PICTURE, QUESTION, name, "a", most_tokens=3).moved <= 1
