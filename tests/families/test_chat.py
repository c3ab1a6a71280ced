"""Streaming answers: the same text as without a stream, stopped when nobody listens, errors told to the caller."""

import threading

import pytest
import torch
from PIL import Image

from patchwork.attention import NAME, record
from patchwork.families import get_family
from patchwork.families.chat import stream_generate
from tests.tiny_models import build_llava, load_tiny, shared_folder

FAMILIES = ["llava", "idefics3"]
PICTURE = Image.new("RGB", (90, 60), (200, 30, 40))


@pytest.fixture(params=FAMILIES)
def model(request):
    return load_tiny(request.param, shared_folder(request.param))


def list_workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "generate"]


def find_part(model, *names: str) -> torch.nn.Module:
    """Families name their towers differently."""
    return next(getattr(model.model.model, name) for name in names if hasattr(model.model.model, name))


def count_passes(model) -> list[int]:
    """Grows by one with each forward pass of the language model."""
    passes: list[int] = []

    def count(*_) -> None:
        passes.append(1)

    find_part(model, "language_model", "text_model").register_forward_hook(count)
    return passes


def generate_plainly(model, prompt: str, length: int) -> str:
    inputs = model.prepare([PICTURE], prompt)
    with torch.inference_mode():
        tokens = model.model.generate(**inputs, max_new_tokens=length, do_sample=False)
    answer = tokens[0, inputs["input_ids"].shape[1] :]
    return model.processor.tokenizer.decode(answer, skip_special_tokens=True)


@pytest.mark.parametrize("prompt", ["What is this?", "ä 猫 🐈"])
def test_the_stream_says_what_plain_generation_says(model, prompt):
    pieces = list(model.chat([PICTURE], prompt, max_new_tokens=24))
    assert "".join(pieces) == generate_plainly(model, prompt, 24)
    assert len(pieces) > 2, "it came in pieces"
    assert not list_workers()


def test_several_pieces_arrive_before_the_end(model):
    """The generation is held after its third pass; the first piece must be there by then."""
    gate, seen = threading.Event(), []

    def hold(*_) -> None:
        seen.append(1)
        if len(seen) > 3:
            assert gate.wait(30)

    handle = find_part(model, "language_model", "text_model").register_forward_pre_hook(hold)
    stream = model.chat([PICTURE], "What is this?", max_new_tokens=12)
    first = next(stream)
    assert first and not gate.is_set()
    gate.set()
    rest = "".join(stream)
    handle.remove()
    assert first + rest == generate_plainly(model, "What is this?", 12)


def test_closing_the_stream_stops_the_generation_and_joins_its_thread(model):
    passes = count_passes(model)
    inputs = model.prepare([PICTURE], "What is this?")
    stream = stream_generate(model.model, model.processor.tokenizer, inputs, max_new_tokens=400, min_new_tokens=400)
    next(stream)
    stream.close()
    assert not list_workers()
    stopped_at = len(passes)
    assert stopped_at < 200
    threading.Event().wait(0.1)
    assert len(passes) == stopped_at


def test_closing_one_stream_leaves_the_caller_s_flag_alone(model):
    """One flag may serve two models side by side."""
    flag = threading.Event()
    stream = model.chat([PICTURE], "What is this?", max_new_tokens=50, stop=flag)
    next(stream)
    stream.close()
    assert not flag.is_set()


def test_the_flag_stops_the_answer(model):
    flag, passes = threading.Event(), count_passes(model)
    flag.set()
    inputs = model.prepare([PICTURE], "What is this?")
    text = "".join(
        stream_generate(model.model, model.processor.tokenizer, inputs, flag, max_new_tokens=50, min_new_tokens=50)
    )
    assert len(passes) == 1
    assert len(text) <= 2


def test_an_error_inside_the_thread_reaches_the_caller(model):
    def fail(*_) -> None:
        raise MemoryError("no room")

    find_part(model, "vision_tower", "vision_model").register_forward_pre_hook(fail)
    with pytest.raises(MemoryError, match="no room"):
        list(model.chat([PICTURE], "What is this?"))
    assert not list_workers()


def test_image_tokens_are_what_the_tower_hands_over(model):
    """As many placeholders as feature vectors: 4 × 4 patches for LLaVA, a quarter of them after a pixel shuffle."""
    inputs = model.prepare([PICTURE], "")
    options = {"pixel_attention_mask": inputs["pixel_attention_mask"]} if "pixel_attention_mask" in inputs else {}
    with torch.inference_mode():
        found = model.model.get_image_features(pixel_values=inputs["pixel_values"], **options)
    vectors = sum(part.reshape(-1, part.shape[-1]).shape[0] for part in found.pooler_output)
    expected = {"llava": 16, "idefics3": 4}[model.card.family]
    assert model.count_image_tokens(PICTURE) == vectors == expected


def test_two_pictures_take_twice_the_tokens(model):
    image = model.model.config.image_token_id
    one, two = (int((model.prepare([PICTURE] * n, "Compare")["input_ids"] == image).sum()) for n in (1, 2))
    assert two == 2 * one > 0


def test_a_question_without_a_picture_is_answered(model):
    assert isinstance("".join(model.chat([], "Hello", max_new_tokens=4)), str)
    assert "pixel_values" not in model.prepare([], "Hello")


def test_the_answer_depends_on_picture_and_prompt():
    model = load_tiny("llava", shared_folder("llava"))
    one = model.prepare([PICTURE], "What is this?")
    other = model.prepare([Image.new("RGB", (90, 60), (0, 0, 255))], "What is this?")
    assert torch.equal(one["input_ids"], other["input_ids"])
    with torch.inference_mode():
        assert not torch.allclose(model.model(**one).logits, model.model(**other).logits, atol=1e-4)


def test_a_letterboxed_card_shows_the_whole_picture(tmp_path):
    """Padding is grey, and both ends of a wide picture are there; without the letterbox the crop loses them."""
    picture = Image.new("RGB", (120, 40), (0, 255, 0))
    picture.paste((255, 0, 0), (0, 0, 20, 40))
    picture.paste((0, 0, 255), (100, 0, 120, 40))
    folder = build_llava(tmp_path, image_mean=[0.0] * 3, image_std=[1.0] * 3)
    boxed = load_tiny("llava", folder, letterbox=True).prepare([picture], "")["pixel_values"][0]
    assert boxed[:, 2, 16] == pytest.approx(torch.full((3,), 127 / 255), abs=0.01)
    assert boxed[:, 16, 1].argmax() == 0 and boxed[:, 16, 30].argmax() == 2
    cropped = load_tiny("llava", folder).prepare([picture], "")["pixel_values"][0]
    assert (cropped.argmax(0) == 1).all()


def test_a_recorder_of_the_caller_sees_the_generating_thread():
    model = load_tiny("llava", shared_folder("llava"))
    model.model.set_attn_implementation(NAME)
    module = model.model.model.language_model.layers[-1].self_attn
    with record([module], rows=slice(-1, None)) as kept:
        inputs = model.prepare([PICTURE], "What is this?")
        list(stream_generate(model.model, model.processor.tokenizer, inputs, max_new_tokens=5, min_new_tokens=5))
    assert len(kept.calls[module]) == 5
    assert all(weights.shape[2] == 1 for weights in kept.calls[module])


@pytest.mark.parametrize("name", FAMILIES)
def test_bf16_answers(name):
    from tests.tiny_models import make_card, make_plan

    card = make_card(shared_folder(name), name)
    model = get_family(name).load(card, make_plan(card, "bf16"), lambda message, fraction: None)
    assert model.prepare([PICTURE], "Hi")["pixel_values"].dtype == torch.bfloat16
    assert "".join(model.chat([PICTURE], "Hi", max_new_tokens=8))
