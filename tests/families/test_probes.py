"""Patch vectors, patches in the shared space, hidden patches and untrained twins, against the libraries' own models."""

import pytest
import torch
from PIL import Image
from transformers import AutoModel

from patchwork.families.protocol import AttentionRequest
from tests.families.test_encoders import FAMILIES, count_prefix, paint_noise
from tests.tiny_models import load_tiny, shared_folder

CLOSE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(params=FAMILIES, ids=lambda case: f"{case[0]}-{case[1]}", scope="module")
def family(request):
    name, registers = request.param
    return name, registers, load_tiny(name, shared_folder(name, registers))


def read_hidden(name: str, registers: int, pixels: torch.Tensor) -> torch.Tensor:
    """What the last layer puts out [tokens, width], as the library returns it."""
    if name == "timm_vit":
        import timm

        model = timm.create_model(f"local-dir:{shared_folder(name)}", pretrained=True).eval()
        with torch.inference_mode():
            return model.forward_intermediates(pixels, indices=1, return_prefix_tokens=True, output_fmt="NLC")[1][-1]
    model = AutoModel.from_pretrained(shared_folder(name, registers)).eval()
    with torch.inference_mode():
        return getattr(model, "vision_model", model)(pixel_values=pixels, output_hidden_states=True).hidden_states[-1]


def test_patch_vectors_are_those_of_the_last_layer(family):
    name, registers, model = family
    picture = paint_noise((45, 33))
    vectors, grid = model.read_patches(picture)
    hidden = read_hidden(name, registers, model.preprocess(picture)[0])
    expected = hidden[0][0] if isinstance(hidden, tuple) else hidden[0, count_prefix(name, registers) :]
    torch.testing.assert_close(vectors, expected, **CLOSE)
    assert len(vectors) == grid.rows * grid.columns == 16


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_patches_reach_the_shared_space_by_the_models_own_last_steps(name):
    model, picture = load_tiny(name, shared_folder(name)), paint_noise((40, 40), seed=3)
    eager = AutoModel.from_pretrained(shared_folder(name), attn_implementation="eager").eval()
    with torch.inference_mode():
        seen = eager.vision_model(pixel_values=model.preprocess(picture)[0], output_hidden_states=True)
        if name == "clip":
            expected = eager.visual_projection(eager.vision_model.post_layernorm(seen.hidden_states[-1][0, 1:]))
        else:
            expected = torch.cat([eager.vision_model.head(patch[None, None]) for patch in seen.last_hidden_state[0]])
    found, _ = model.embed_patches(picture)
    torch.testing.assert_close(found, torch.nn.functional.normalize(expected, dim=-1), **CLOSE)


def test_hidden_patches_show_the_mean_colour_and_no_others_change(family, monkeypatch):
    """What the encoder is given: squares of 0, which is what the processor makes of its own mean colour."""
    model, picture, given = family[2], paint_noise((45, 33)), []
    embed = model.features_of_pixels
    monkeypatch.setattr(model, "features_of_pixels", lambda pixels: given.append(pixels) or embed(pixels))
    whole, hidden = model.score_without(picture, [[], [0, 6]])
    pixels, _ = model.preprocess(picture)
    patch, expected = model.patch_size(), pixels[0].clone()
    expected[:, :patch, :patch] = 0
    expected[:, patch : 2 * patch, 2 * patch : 3 * patch] = 0
    torch.testing.assert_close(given[-1], torch.stack([pixels[0], expected]), rtol=0, atol=0)
    assert whole == pytest.approx(1, abs=1e-5) and hidden < 0.9999
    settings = model.processor if isinstance(model.processor, dict) else model.image_processor().to_dict()
    mean = settings["mean"] if "mean" in settings else settings["image_mean"]
    plain = Image.new("RGB", (40, 40), tuple(round(255 * value) for value in mean))
    assert model.preprocess(plain)[0].abs().max() < 0.02


@pytest.mark.parametrize("name", ["clip", "siglip"])
def test_the_score_of_a_text_is_its_cosine(name):
    model, picture = load_tiny(name, shared_folder(name)), paint_noise((40, 40))
    (score,) = model.score_without(picture, [[]], "a fish")
    assert score == pytest.approx(model.similarity(picture, ["a fish"]).cosine[0], abs=1e-5)


def test_an_untrained_twin_is_new_at_every_seed_and_leaves_the_model_alone(family):
    model, picture = family[2], paint_noise((40, 40))
    before = [weights.clone() for weights in model.model.parameters()]
    own = model.attend(picture, AttentionRequest(query="mean"))
    twins = [model.make_untrained(seed) for seed in (1, 1, 2)]
    first, again, other = (twin.attend(picture, AttentionRequest(query="mean")) for twin in twins)
    assert torch.equal(first.values, again.values)
    assert not torch.allclose(first.values, other.values, rtol=0, atol=1e-7)
    assert not torch.allclose(first.values, own.values, rtol=0, atol=1e-7)
    assert first.stored_bytes == own.stored_bytes and first.values.shape == own.values.shape
    assert all(torch.equal(old, new) for old, new in zip(before, model.model.parameters(), strict=True))
    assert twins[0].is_untrained and not model.is_untrained
