"""A trace against the eager model: attention, probabilities, lens, tokens; per-call state; what is kept in memory."""

import threading

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from patchwork.catalog import load_catalog
from patchwork.families import get_family
from patchwork.families.loading import load_weights
from patchwork.families.parts import find_parts
from patchwork.hardware import detect_cpu
from patchwork.plan import make_plan
from patchwork.tiny import FRESH, draw_scene
from patchwork.trace import Trace, choose_layers, estimate_bytes
from patchwork.tracing import trace_generation
from tests.tiny_models import load_tiny, shared_folder

PICTURE = Image.new("RGB", (90, 60), (200, 30, 40))
PICTURE.paste((20, 200, 60), (10, 10, 40, 50))
QUESTION = "What is this?"
LENGTH = 7


def trace(model, picture=PICTURE, question=QUESTION, length=LENGTH) -> Trace:
    *_, last = trace_generation(model, picture, question, length)
    return last


@pytest.fixture(scope="module", params=["llava", "idefics3", "bundled"])
def traced(request):
    """The model, its trace, and the eager model's forward pass over the prompt and the traced tokens."""
    if request.param == "bundled":
        card = load_catalog().get("tiny-llava")
        model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    else:
        model = load_tiny(request.param, shared_folder(request.param))
    one = trace(model)
    eager = load_weights(AutoModelForImageTextToText, model.card, model.plan, attn_implementation="eager")
    inputs = model.prepare([PICTURE], QUESTION)
    chosen = torch.tensor([[step.id for step in one.steps]])
    whole = dict(inputs) | {"input_ids": torch.cat([inputs["input_ids"], chosen], 1)}
    whole["attention_mask"] = torch.ones_like(whole["input_ids"])
    with torch.inference_mode():
        output = eager(**whole, output_attentions=True, output_hidden_states=True)
    return model, one, eager, inputs, output


def rows_of(one, output, layer, step):
    """The eager row, mean over heads, of the place whose vector chose this token."""
    return output.attentions[layer][0, :, one.prompt_tokens - 1 + step].mean(0)


def test_attention_is_the_eager_models(traced):
    _, one, eager, inputs, output = traced
    picture = inputs["input_ids"][0] == find_parts(eager).image_token_id
    assert len(output.attentions) == one.layers
    for number, step in enumerate(one.steps):
        for layer in range(one.layers):
            row = rows_of(one, output, layer, number)
            prompt = row[: one.prompt_tokens]
            mine = [prompt[picture].sum(), prompt[~picture].sum(), row[one.prompt_tokens :].sum()]
            assert step.shares[layer] == pytest.approx([float(share) for share in mine], abs=1e-5)
            assert sum(step.shares[layer]) == pytest.approx(1, abs=1e-5)
        for values, layer in zip(step.maps, one.map_layers, strict=True):
            expected = rows_of(one, output, layer, number)[: one.prompt_tokens][picture]
            assert values == pytest.approx(expected.tolist(), abs=1e-5)
    assert one.row_error < 1e-5


def test_probabilities_and_lens_are_the_eager_models(traced):
    _, one, eager, _, output = traced
    parts = find_parts(eager)
    for number, step in enumerate(one.steps):
        place = one.prompt_tokens - 1 + number
        expected = output.logits[0, place].softmax(-1)
        top = expected.topk(5)
        assert [one.probability for one in step.candidates] == pytest.approx(top.values.tolist(), abs=1e-5)
        assert step.probability == pytest.approx(float(expected[step.id]), abs=1e-5)
        for layer in range(one.layers - 1):
            with torch.inference_mode():
                read = parts.head(parts.language.norm(output.hidden_states[layer + 1][0, place])).softmax(-1)
            assert step.lens[layer].probability == pytest.approx(float(read.max()), abs=1e-5)
        assert step.lens[-1].id == step.candidates[0].id  # after the last layer the lens is the model itself
        assert step.lens[-1].probability == pytest.approx(step.candidates[0].probability, abs=1e-6)


def test_the_tokens_shown_are_the_tokens_generated(traced):
    model, one, *_ = traced
    inputs = model.prepare([PICTURE], QUESTION)
    with torch.inference_mode():
        tokens = model.model.generate(**inputs, max_new_tokens=LENGTH, do_sample=False)[0, one.prompt_tokens :]
    assert [step.id for step in one.steps] == tokens.tolist()
    assert "".join(step.text for step in one.steps) == model.processor.tokenizer.decode(tokens)


def test_stages_add_up_to_the_whole_model(traced):
    model, one, *_ = traced
    assert sum(stage.parameters for stage in one.stages) == sum(weight.numel() for weight in model.model.parameters())
    stages = {stage.name: stage for stage in one.stages}
    assert stages["prefill"].output_shape == (one.prompt_tokens, one.width)
    assert stages["projector"].output_shape == (one.image_tokens, one.width)
    assert stages["decode"].calls == len(one.steps) - 1 and stages["head"].calls == len(one.steps)
    assert all(stage.seconds > 0 for stage in one.stages)


def test_every_placeholder_is_replaced_by_a_projected_patch(traced):
    model, one, *_ = traced
    assert one.replaced == one.image_tokens == model.count_image_tokens(PICTURE)
    assert sum(word.count for word in one.prompt) == one.prompt_tokens
    assert [word.count for word in one.prompt if word.picture] == [one.image_tokens]


def test_what_is_kept_is_what_was_announced(traced):
    """`kept` by hand: 4 bytes for each key of each row, one row a layer and token."""
    model, one, *_ = traced
    keys = sum(one.prompt_tokens + step for step in range(len(one.steps)))
    assert one.kept_bytes == 4 * one.layers * keys <= one.expected_bytes
    config = find_parts(model.model).language.config
    cached = one.prompt_tokens + len(one.steps) - 1
    head = config.hidden_size // config.num_attention_heads
    assert one.cache_bytes == 2 * 4 * one.layers * config.num_key_value_heads * head * cached


def test_a_trace_survives_json(traced):
    one = traced[1]
    assert Trace.model_validate_json(one.model_dump_json()) == one


def list_hooks(model) -> list:
    """The tracer's own: transformers keeps some too."""
    found = (h for m in model.model.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values()))
    return [hook for hook in found if hook.__module__ == "patchwork.tracing"]


def test_nothing_stays_behind(traced):
    assert not list_hooks(traced[0])


def test_two_readers_at_once_get_their_own_traces():
    model = load_tiny("llava", shared_folder("llava"))
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ((250, 0, 0), (0, 60, 250))]
    alone = [trace(model, picture) for picture in pictures]
    together: list = [None, None]

    def work(index: int) -> None:
        together[index] = trace(model, pictures[index])

    workers = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert alone[0].steps != alone[1].steps
    for mine, expected in zip(together, alone, strict=True):
        assert [step.id for step in mine.steps] == [step.id for step in expected.steps]
        assert mine.steps == expected.steps and mine.kept_bytes == expected.kept_bytes


def test_closing_a_trace_stops_it_and_removes_its_hooks():
    model = load_tiny("llava", shared_folder("llava"))
    events = trace_generation(model, PICTURE, QUESTION, 40)
    next(events)
    next(events)
    assert list_hooks(model)
    events.close()
    assert not list_hooks(model)
    assert not [thread for thread in threading.enumerate() if thread.name == "generate"]


def test_patches_lie_where_the_processor_puts_them():
    """A centre crop sees the middle; a letterboxed card sees more than the picture; SmolVLM stretches it."""
    picture = Image.new("RGB", (100, 60))
    llava, idefics3 = (load_tiny(name, shared_folder(name)) for name in ("llava", "idefics3"))
    boxed = load_tiny("llava", shared_folder("llava"), letterbox=True)
    assert llava.locate_tokens(picture).region == pytest.approx((20, 0, 80, 60), abs=1.5)
    assert boxed.locate_tokens(picture).region == (0, -20, 100, 80)
    assert idefics3.locate_tokens(picture).region == (0, 0, 100, 60)
    for model in (llava, boxed, idefics3):
        grid = model.locate_tokens(picture)
        assert grid.rows * grid.columns == model.count_image_tokens(picture)


def test_the_drawn_scene_s_map_has_a_place():
    card = load_catalog().get("tiny-llava")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    one = trace(model, draw_scene(FRESH + 1, 256), "what is in the picture?", 3)
    assert one.place.region == (0, 0, 256, 256) and one.place.rows * one.place.columns == one.image_tokens
    assert len(one.steps[0].maps[0]) == one.image_tokens


@pytest.mark.parametrize(
    ("layers", "expected"), [(2, [0, 1]), (8, list(range(8))), (32, [0, 4, 9, 13, 18, 22, 27, 31])]
)
def test_layers_with_a_map(layers, expected):
    assert choose_layers(layers) == expected


def test_the_estimate_by_hand():
    """2 layers, 3 prompt tokens, 2 tokens to come: rows of 3 and 4 keys; width 5, vocabulary 7; 4 bytes each."""
    assert estimate_bytes(2, 3, 2, 5, 7) == 4 * (2 * 7 + 2 * 5 + 7)
