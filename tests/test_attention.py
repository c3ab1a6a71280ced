"""What the recorder keeps is what the eager implementation computes, for this call only."""

import threading

import pytest
import torch
from transformers import AutoModel, LlamaConfig, LlamaForCausalLM, LlavaForConditionalGeneration

from patchwork.attention import NAME, add_up_relevance, find_outliers, record, roll_out, take_positive
from tests.tiny_models import load_tiny, scale_weights, shared_folder

CLOSE = {"rtol": 0, "atol": 1e-5}


def list_attention(model) -> list[torch.nn.Module]:
    return [module for module in model.modules() if hasattr(module, "is_causal")]


def make_decoder() -> LlamaForCausalLM:
    """Four query heads on two key heads."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return scale_weights(LlamaForCausalLM(config))


def run_eager(model, **inputs):
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        found = model(**inputs, output_attentions=True)
    model.set_attn_implementation(NAME)
    return found


@pytest.mark.parametrize(("family", "registers"), [("clip", 0), ("siglip", 0), ("dinov2", 0), ("dinov2", 2)])
def test_every_row_of_a_vision_tower_equals_eager(family, registers):
    """In double precision, so that only a wrong formula differs: in single, the kernels' rounding adds up by layer."""
    model = AutoModel.from_pretrained(shared_folder(family, registers)).eval().double()
    if family == "siglip":  # its scores are in the hundreds, where eager's own softmax in single precision rounds
        scale_weights(model, 1 / 3)
    tower = getattr(model, "vision_model", model)
    side = 35 if family == "siglip" else 32
    pixels = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected = run_eager(tower, pixel_values=pixels)
    modules = list_attention(tower)
    with torch.inference_mode(), record(modules) as kept:
        found = tower(pixel_values=pixels)
    assert len(modules) == len(expected.attentions) == 3
    for module, weights in zip(modules, expected.attentions, strict=True):
        torch.testing.assert_close(kept.maps[module].double(), weights.double(), **CLOSE)
        torch.testing.assert_close(kept.maps[module].sum(-1).double(), torch.ones(weights.shape[:-1]).double(), **CLOSE)
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state, rtol=1e-4, atol=1e-4)


def test_a_padded_batch_of_a_decoder_equals_eager():
    model = make_decoder()
    tokens = torch.randint(3, 40, (2, 7))
    mask = torch.tensor([[1] * 7, [0, 0, 0, 1, 1, 1, 1]])
    inputs = {"input_ids": tokens, "attention_mask": mask, "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)}
    expected = run_eager(model, **inputs)
    modules = list_attention(model)
    with torch.inference_mode(), record(modules) as kept:
        found = model(**inputs)
    for module, weights in zip(modules, expected.attentions, strict=True):
        torch.testing.assert_close(kept.maps[module][0], weights[0], **CLOSE)
        torch.testing.assert_close(kept.maps[module][1, :, 3:], weights[1, :, 3:], **CLOSE)
        assert kept.maps[module][1, :, 3:, :3].max() < 1e-6, "nothing may look at padding"
        assert kept.maps[module].isfinite().all()
    torch.testing.assert_close(found.logits[1, 3:], expected.logits[1, 3:], rtol=1e-4, atol=1e-4)


def test_without_padding_a_decoder_still_looks_only_back():
    model = make_decoder()
    tokens = torch.randint(3, 40, (1, 6))
    expected = run_eager(model, input_ids=tokens)
    module = list_attention(model)[1]
    with torch.inference_mode(), record([module], rows=[2, 4]) as kept:
        model(input_ids=tokens)
    torch.testing.assert_close(kept.maps[module], expected.attentions[1][:, :, [2, 4]], **CLOSE)
    assert kept.maps[module][0, :, 0, 3:].max() == 0


def test_each_generated_token_leaves_its_row_over_the_image():
    """A cached decoding step by step against one eager pass over the finished sequence."""
    model = LlavaForConditionalGeneration.from_pretrained(shared_folder("llava")).eval()
    model.set_attn_implementation(NAME)
    image = model.config.image_token_id
    tokens = torch.tensor([[1, 20, *[image] * 16, 30, 31]])
    pixels = torch.randn(1, 3, 32, 32)
    module = list_attention(model.model.language_model)[-1]
    with torch.inference_mode(), record([module], rows=slice(-1, None)) as kept:
        answer = model.generate(
            input_ids=tokens, pixel_values=pixels, max_new_tokens=4, min_new_tokens=4, do_sample=False
        )
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        expected = model(input_ids=answer, pixel_values=pixels, output_attentions=True).attentions[-1]
    assert len(kept.calls[module]) == 4
    for step, weights in enumerate(kept.calls[module]):
        row = tokens.shape[1] - 1 + step
        torch.testing.assert_close(weights[0, :, 0, 2:18], expected[0, :, row, 2:18], rtol=0, atol=1e-5)


def test_only_what_was_asked_is_kept():
    model = AutoModel.from_pretrained(shared_folder("clip")).eval().vision_model
    model.set_attn_implementation(NAME)
    modules = list_attention(model)
    pixels = torch.randn(1, 3, 32, 32)
    with torch.inference_mode(), record([modules[1]], rows=slice(0, 1)) as kept:
        model(pixel_values=pixels)
    assert list(kept.maps) == [modules[1]]
    assert kept.stored_bytes() == 4 * 17 * 4  # heads × tokens × float32
    assert kept.maps[modules[1]].untyped_storage().nbytes() == kept.stored_bytes()
    before = kept.maps[modules[1]]
    with torch.inference_mode():
        model(pixel_values=torch.randn(1, 3, 32, 32))
    assert kept.maps[modules[1]] is before, "a pass after the block is none of the recorder's business"


def test_a_row_of_timm_s_matrix_does_not_hold_the_whole_matrix_in_memory():
    model = load_tiny("timm_vit", shared_folder("timm_vit"))
    module = model.attention[0]
    with torch.inference_mode(), record([module], rows=slice(0, 1)) as kept:
        model.model(torch.randn(1, 3, 32, 32))
    assert kept.maps[module].shape == (1, 4, 1, 17)
    assert kept.maps[module].untyped_storage().nbytes() == kept.stored_bytes() == 4 * 17 * 4


def test_two_threads_in_the_same_model_at_the_same_time():
    """A barrier inside the forward pass holds both threads in the same layer."""
    model = AutoModel.from_pretrained(shared_folder("clip")).eval().vision_model
    model.set_attn_implementation(NAME)
    modules = list_attention(model)
    pictures = [torch.randn(1, 3, 32, 32) for _ in range(2)]
    asked = [(modules, slice(None)), ([modules[2]], slice(0, 1))]

    def look(who: int):
        with torch.inference_mode(), record(*asked[who]) as kept:
            model(pixel_values=pictures[who])
        return kept

    expected = [look(0), look(1)]
    barrier = threading.Barrier(2, timeout=30)

    def meet(module, inputs) -> None:
        barrier.wait()

    handles = [module.register_forward_pre_hook(meet) for module in modules]
    found = [None, None]

    def work(who: int) -> None:
        found[who] = look(who)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    [handle.remove() for handle in handles]
    for one, other in zip(found, expected, strict=True):
        assert list(one.maps) == list(other.maps)
        for module in other.maps:
            torch.testing.assert_close(one.maps[module], other.maps[module], **CLOSE)


def test_gradients_reach_the_kept_weights():
    model = AutoModel.from_pretrained(shared_folder("clip")).eval().vision_model
    model.set_attn_implementation(NAME)
    modules = list_attention(model)
    pixels = torch.randn(1, 3, 32, 32, requires_grad=True)
    with record(modules, keep_graph=True) as kept:
        found = torch.autograd.grad(model(pixel_values=pixels).pooler_output.sum(), list(kept.maps.values()))
    model.set_attn_implementation("eager")
    result = model(pixel_values=pixels, output_attentions=True)
    expected = torch.autograd.grad(result.pooler_output.sum(), result.attentions)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_rollout_of_two_layers_worked_by_hand():
    """Mixed with the residual path: [[.75, .25], [0, 1]] and then [[1, 0], [.25, .75]]."""
    first, second = torch.tensor([[0.5, 0.5], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    torch.testing.assert_close(roll_out([first, second]), torch.tensor([[0.75, 0.25], [0.1875, 0.8125]]))


def test_relevance_of_two_layers_worked_by_hand():
    """R₁ = I + S₁ = [[1, .2], [0, 1]]; R₂ = R₁ + S₂R₁ = [[1, .2], [.5, 1.1]]."""
    first, second = torch.tensor([[0.0, 0.2], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.5, 0.0]])
    torch.testing.assert_close(add_up_relevance([first, second]), torch.tensor([[1.0, 0.2], [0.5, 1.1]]))


def test_only_the_positive_part_counts():
    weights = torch.tensor([[[0.5, 0.5]], [[0.25, 0.75]]])
    gradient = torch.tensor([[[2.0, -8.0]], [[4.0, 4.0]]])
    torch.testing.assert_close(take_positive(weights, gradient), torch.tensor([[1.0, 1.5]]))  # means of 1, 1 and 0, 3


@pytest.mark.parametrize(
    ("norms", "expected"),
    [
        ([10.0, 11, 9, 10, 12, 8, 10, 60, 11, 9], [7]),
        ([10.0, 11, 9, 10, 12, 8, 10, 14, 11, 9], []),
        ([5.0] * 9, []),
        ([5.0] * 8 + [50.0], [8]),
    ],
)
def test_sink_patches_stand_out_from_the_median(norms, expected):
    assert find_outliers(torch.tensor(norms)) == expected
