"""Packed training equals asking each question alone; pointing and freezing do what they say."""

import random

import numpy as np
import pytest
import torch

from patchwork.tiny import FRESH, data, encoder, invent_scene, language
from patchwork.tiny.questions import make_turns
from patchwork.tiny.tokenizer import ASSISTANT, BOS, IMAGE, USER, train_tokenizer, wrap_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return wrap_tokenizer(train_tokenizer())


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    model = language.build_vlm(len(tokenizer)).eval()
    language.copy_tower(model, encoder.build_encoder(len(tokenizer)))
    return model


def test_packed_questions_equal_single_ones(model, tokenizer):
    """Against the whole transformers model on one question at a time, picture included."""
    scene = invent_scene(FRESH)
    turns = make_turns(scene, random.Random(0), 5)
    pixels = encoder.normalise(np.asarray(scene.draw(128))[None])
    with torch.inference_mode():
        features = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
        packed = language.pack(tokenizer, [(turns, data.find_owners(scene))])
        hidden, _ = language.run_packed(model, features, packed)
        for number, turn in enumerate(turns, start=1):
            question, answer, _ = language.encode_turn(tokenizer, turn)
            ids = [BOS, USER, *[IMAGE] * language.PATCHES, *question, *answer[:-1]]
            alone = model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits[0, language.PREFIX :]
            mine = model.lm_head(hidden[0, packed.segments[0] == number])
            assert torch.allclose(mine, alone, atol=1e-4)
    assert (packed.ids == ASSISTANT).sum() == len(turns)


def test_loss_is_on_answers_only(tokenizer):
    scene = invent_scene(FRESH)
    turns = make_turns(scene, random.Random(0), 3)
    packed = language.pack(tokenizer, [(turns, None)])
    expected = [token for turn in turns for token in [*tokenizer(turn.answer).input_ids, tokenizer.eos_token_id]]
    assert packed.labels[packed.labels != -100].tolist() == expected
    assert not packed.targets.any()


def test_pointing_loss_is_the_attention_on_the_object():
    attention = torch.zeros(1, 3, language.PREFIX + 1, language.PREFIX + 1)
    attention[..., -1, 2:6] = 0.2  # four patches get 0.2 each, the rest of the row goes elsewhere
    targets = torch.zeros(1, 1, language.PATCHES, dtype=torch.bool)
    targets[0, 0, :2] = True
    loss, share = language.pointing_loss([attention] * 4, targets)
    assert share == pytest.approx(0.4) and loss.item() == pytest.approx(-np.log(0.4), abs=1e-3)


def test_the_tower_stays_frozen(model):
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert not any("vision_tower" in name for name in trainable) and any("projector" in name for name in trainable)


def test_owners_cover_the_objects():
    for seed in range(30):
        scene = invent_scene(FRESH + seed)
        owners = data.find_owners(scene)
        assert set(range(len(scene.things))) <= set(owners.tolist())
        for patch in np.nonzero(owners >= 0)[0]:
            x, y = patch % 8 / 8, patch // 8 / 8
            x1, y1, x2, y2 = scene.things[owners[patch]].box
            assert x1 < x + 1 / 8 and x < x2 and y1 < y + 1 / 8 and y < y2  # the patch touches the object's box
