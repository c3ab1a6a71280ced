"""The parts found are the ones that run; what is built differently is refused in one sentence."""

import pytest
import torch
from PIL import Image
from transformers import (
    CLIPModel,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from patchwork.catalog import load_catalog
from patchwork.errors import Problem
from patchwork.families import get_family
from patchwork.families.parts import find_parts
from tests.tiny_models import load_tiny, shared_folder

LIKE_LLAVA = {
    "llava-next": (LlavaNextForConditionalGeneration, LlavaNextConfig),
    "llava-onevision": (LlavaOnevisionForConditionalGeneration, LlavaOnevisionConfig),
    "smolvlm": (SmolVLMForConditionalGeneration, SmolVLMConfig),
}


@pytest.mark.parametrize("family", ["llava", "idefics3"])
def test_every_part_is_passed_on_the_way_to_an_answer(family):
    loaded = load_tiny(family, shared_folder(family))
    parts = find_parts(loaded.model)
    passed = []
    for name in ("tower", "projector", "embed", "language", "head"):
        getattr(parts, name).register_forward_hook(lambda *_, name=name: passed.append(name))
    inputs = loaded.prepare([Image.new("RGB", (40, 40))], "What is this?")
    with torch.inference_mode():
        loaded.model(**inputs)
    assert sorted(passed) == ["embed", "head", "language", "projector", "tower"]
    assert passed.index("tower") < passed.index("projector") < passed.index("language") < passed.index("head")
    assert (inputs["input_ids"] == parts.image_token_id).sum() == loaded.count_image_tokens(Image.new("RGB", (40, 40)))
    assert len(parts.layers) == 2


@pytest.mark.parametrize("name", LIKE_LLAVA)
def test_relatives_are_taken_apart_too(name):
    """On the meta device: nothing is allocated, only the structure is built."""
    model_class, config_class = LIKE_LLAVA[name]
    with torch.device("meta"):
        model = model_class(config_class())
    parts = find_parts(model)
    found = {id(weight) for part in (parts.tower, parts.projector, parts.language) for weight in part.parameters()}
    found |= {id(weight) for weight in parts.head.parameters()}
    left = [key for key, weight in model.named_parameters() if id(weight) not in found]
    assert left in ([], ["model.image_newline"])
    assert any(parts.embed is module for module in parts.language.modules())


def test_what_is_built_differently_is_said_in_a_sentence():
    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(Qwen2VLConfig())
    with pytest.raises(Problem, match="no module that is a projector"):
        find_parts(model)


def test_an_encoder_is_no_chat_model():
    with pytest.raises(Problem, match="cannot be taken apart"):
        find_parts(CLIPModel.from_pretrained(shared_folder("clip")))


def test_every_card_that_declares_trace_has_a_family_that_does():
    cards = load_catalog().offering({"trace"})
    assert "tiny-llava" in [card.id for card in cards]
    assert all("trace" in get_family(card.family).CAPABILITIES for card in cards)
