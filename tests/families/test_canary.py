"""Every family, the same questions: does it load, stream, ground, count and go away as it promises?

`make canary-latest` asks them of the newest transformers and torch. Expected values come from the checkpoint's own
processor and from the plain model with eager attention.
"""

from __future__ import annotations

import gc
import random
import threading
import weakref

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from patchwork.attention import NAME, record
from patchwork.boxes import iou, write_box
from patchwork.catalog import Catalog, list_families
from patchwork.families import get_family
from patchwork.families.parts import find_parts
from patchwork.families.protocol import CAPABILITIES, Grounding
from patchwork.pool import Pool
from patchwork.tiles import ALL_TILES
from patchwork.trace import Trace
from patchwork.tracing import trace_generation
from tests.fakes import MACHINE
from tests.families.test_encoders import read_eager
from tests.tiny_models import BUILDERS, KINDS, load_tiny, make_card, shared_folder

PICTURE = Image.effect_noise((90, 60), 80).convert("RGB")
PLACE = (18.0, 12.0, 63.0, 51.0)  # a fifth to seven tenths across, a fifth to 85 hundredths down
SPOKEN = {"chat", "ground", "read_document"}


CHECKPOINTS = [
    name
    for family in list_families()
    if family != "endpoint"  # nothing to load: tests/families/test_endpoint.py
    for name in (family, *(f"{family}:{k}" for k in KINDS.get(family, ())))
]


def family_of(name: str) -> str:
    return name.split(":")[0]


def checkpoints_with(*capabilities: str) -> list[str]:
    return [name for name in CHECKPOINTS if get_family(family_of(name)).CAPABILITIES & set(capabilities)]


def load(name: str):
    return load_tiny(family_of(name), shared_folder(name), **CARDS.get(name, {}))


NO_RECORDER = {"florence2", "vision_encoder_decoder", "vision_encoder_decoder:donut"}
"""Encoder and decoder: what it would be asked for lies in two stacks and a bridge between them."""

DOCVQA = "<s_docvqa><s_question>{question}</s_question><s_answer>"
CARDS = {
    "llava": {
        "coordinates": "tiny_percent",
        "prompts": {"ground": "find {phrase}", "describe_region": "{box}?"},
        "capabilities": frozenset({"read_document"}),
        "tiles": 6,
    },
    "vision_encoder_decoder:donut": {"prompts": {"question": DOCVQA, "page": "<s_cord-v2>"}},
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_it_declares_what_it_does(name):
    """Whatever is missing of what a picture-reading model could do has a reason; a method stands behind the rest."""
    model = load(name)
    assert family_of(name) in BUILDERS
    assert get_family(family_of(name)).CAPABILITIES == model.capabilities <= CAPABILITIES
    if model.capabilities & SPOKEN:
        missing = {"chat", "trace"} - model.capabilities
        assert missing <= set(model.without), "say why"
    assert all(reason.endswith(".") and reason.count(". ") == 0 for reason in model.without.values())
    assert not set(model.without) & model.capabilities
    assert bool(model.reads) == ("read_document" in model.capabilities)


# ---- from disk and away again


def add_up(tensors) -> float:
    """Of the absolute values; a tensor that has two names counts once."""
    once = {tensor.data_ptr(): tensor for tensor in tensors}
    return sum(float(tensor.double().abs().sum()) for tensor in once.values() if tensor.is_floating_point())


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_weights_on_disk_are_the_weights_that_run(name):
    """The sum would miss a tensor that was drawn anew, or left out."""
    stored = add_up(load_file(shared_folder(name) / "model.safetensors").values())
    model = load(name)
    assert add_up(model.model.state_dict().values()) == pytest.approx(stored, rel=1e-9)
    assert not model.model.training


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_closing_gives_the_memory_back(name):
    model = load(name)
    if model.capabilities & SPOKEN:
        list(model.stream([PICTURE], "Hi", 2))
    gone = weakref.ref(model.model)
    model.close()
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_two_readers_load_it_once(name):
    card = make_card(shared_folder(name), family_of(name)).model_copy(update={"repo": f"bundled:{shared_folder(name)}"})
    loads, models = [], []

    def load_once(card, plan, report):
        loads.append(card.id)
        return get_family(family_of(name)).load(card, plan, report)

    pool = Pool(Catalog([card]), MACHINE, load=load_once)

    def read() -> None:
        *_, lease = pool.borrow(card.id)
        with lease as model:
            models.append(model)

    readers = [threading.Thread(target=read) for _ in range(2)]
    [reader.start() for reader in readers]
    [reader.join(60) for reader in readers]
    assert loads == [card.id]
    assert len(models) == 2 and models[0] is models[1]


# ---- words


@pytest.mark.parametrize("name", checkpoints_with(*SPOKEN))
def test_the_stream_says_what_plain_generation_says(name, monkeypatch):
    """On the very tensors that the family made of picture and question."""
    model, made = load(name), []
    prepare = model.prepare
    monkeypatch.setattr(model, "prepare", lambda *given, **named: made.append(prepare(*given, **named)) or made[-1])
    pieces = list((model.chat if "chat" in model.capabilities else model.stream)([PICTURE], "What is this?", 10))
    with torch.inference_mode():
        tokens = model.model.generate(**made[-1], max_new_tokens=10, do_sample=False, num_beams=1)[0]
    prompt = made[-1].get("decoder_input_ids")
    if prompt is None:
        prompt = torch.zeros(1, 1) if model.model.config.is_encoder_decoder else made[-1]["input_ids"]
    assert "".join(pieces) == model.processor.tokenizer.decode(tokens[prompt.shape[1] :], skip_special_tokens=True)
    assert len(pieces) > 1, "it came in pieces"


@pytest.mark.parametrize("name", [name for name in CHECKPOINTS if name.startswith("qwen_vl")])
def test_two_readers_answers_never_mix(name):
    """transformers keeps Qwen's position offset on the model, where a second reader's picture would change it."""
    model, passes = load(name), []
    model.model.register_forward_pre_hook(lambda *_: passes.append(threading.current_thread()))
    pictures = [Image.new("RGB", size, (200, 30, 40)) for size in ((60, 60), (150, 60))]

    def ask(picture: Image.Image) -> None:
        list(model.chat([picture], "What?", max_new_tokens=12))

    readers = [threading.Thread(target=ask, args=(picture,)) for picture in pictures]
    [reader.start() for reader in readers]
    [reader.join(60) for reader in readers]
    assert passes == [passes[0]] * 12 + [passes[-1]] * 12 and passes[0] != passes[-1]


@pytest.mark.parametrize("name", checkpoints_with("read_document"))
def test_a_page_is_read(name):
    model = load(name)
    for kind, question in (("question", "How much?"), ("page", "")):
        if kind in model.reads:
            assert "".join(model.read_document([PICTURE], question, max_tiles=2, max_new_tokens=4))


# ---- maps


def list_attention(model) -> list[torch.nn.Module]:
    """The decoder's attention layers, first to last; a layer of another kind (Qwen3.5's linear attention) has none."""
    inner = getattr(model.model, "model", model.model)
    language = getattr(inner, "language_model", None) or getattr(inner, "text_model", None)
    modules = language.modules() if language else inner.layers
    return [module.self_attn for module in modules if hasattr(module, "self_attn")]


@pytest.mark.parametrize("name", [name for name in checkpoints_with(*SPOKEN) if name not in NO_RECORDER])
def test_the_recorder_of_the_language_model_equals_eager(name):
    model = load(name)
    inputs = model.prepare([PICTURE], "What is this?")
    model.model.set_attn_implementation(NAME)
    layers = list_attention(model)
    with torch.inference_mode(), record(layers) as kept:
        model.model(**inputs)
    eager = type(model.model).from_pretrained(shared_folder(name), attn_implementation="eager").eval()
    with torch.inference_mode():
        found = eager(**inputs, output_attentions=True)
    seen = found.language_model_outputs.attentions if "language_model_outputs" in found else found.attentions
    assert len(layers) == len(seen) > 0
    if "trace" in model.capabilities:
        assert [layer.self_attn for layer in find_parts(model.model).layers] == layers
    for layer, weights in zip(layers, seen, strict=True):
        torch.testing.assert_close(kept.maps[layer], weights.float(), rtol=1e-3, atol=1e-5)


def read_siglip2(model) -> list[torch.Tensor]:
    """The plain model on its processor's own tensors, padding cut off afterwards: maps [heads, N, N]."""
    inputs = model.image_processor()(images=PICTURE, return_tensors="pt")
    eager = type(model.model).from_pretrained(shared_folder("siglip2"), attn_implementation="eager").eval()
    with torch.inference_mode():
        seen = eager.vision_model(**inputs, output_attentions=True)
        torch.testing.assert_close(
            model.embed_image([PICTURE]), torch.nn.functional.normalize(seen.pooler_output), rtol=1e-4, atol=1e-5
        )
    count = int(inputs["spatial_shapes"].prod())
    return [weights[0, :, :count, :count] for weights in seen.attentions]


@pytest.mark.parametrize("name", checkpoints_with("trace"))
def test_a_generation_can_be_traced(name):
    model = load(name)
    *_, trace = trace_generation(model, PICTURE, "What is this?", 3)
    assert isinstance(trace, Trace) and len(trace.steps) == 3
    assert trace.image_tokens == model.count_image_tokens(PICTURE)
    assert 0 < trace.replaced <= trace.image_tokens
    assert trace.row_error < 1e-4


@pytest.mark.parametrize("name", checkpoints_with("trace"))
def test_tokens_lie_where_the_family_says(name):
    """A block painted on one place changes the projector's vector of that place most."""
    model, blank = load(name), Image.new("RGB", (120, 120), (90, 90, 90))
    grid = model.locate_tokens(blank)
    if grid is None:
        assert len(model.list_views(blank)) > 1, "one view has one grid"
        return
    projector, seen = find_parts(model.model).projector, []
    projector.register_forward_hook(lambda module, given, output: seen.append(output.detach().flatten(0, -2)))
    x1, y1, x2, y2 = grid.region
    width, height = (x2 - x1) / grid.columns, (y2 - y1) / grid.rows
    for row, column in [(0, 0), (0, grid.columns - 1), (grid.rows - 1, 0)]:
        painted = blank.copy()
        left, top = round(x1 + column * width), round(y1 + row * height)
        painted.paste((255, 0, 0), (left, top, round(left + width), round(top + height)))
        with torch.inference_mode():
            [model.model(**model.prepare([picture], "Hi")) for picture in (blank, painted)]
        change = (seen[-1] - seen[-2]).norm(dim=-1)
        assert divmod(int(change.argmax()), grid.columns) == (row, column)


@pytest.mark.parametrize("name", checkpoints_with("attention"))
def test_the_recorder_of_the_encoder_equals_eager(name):
    model = load(name)
    pixels = model.preprocess(PICTURE)[0]
    with torch.inference_mode(), record(model.attention) as kept:
        model.features_of_pixels(pixels)
    layers = read_siglip2(model) if name == "siglip2" else read_eager(name, 0, pixels)[0]
    for module, weights in zip(model.attention, layers, strict=True):
        torch.testing.assert_close(kept.maps[module][0], weights, rtol=1e-3, atol=1e-5)


# ---- boxes


def find_with_library(name: str, model, text: str) -> list[tuple]:
    """The library's own reading of an answer, where it has one: boxes in pixels of the picture."""
    if name == "florence2":
        task = "<CAPTION_TO_PHRASE_GROUNDING>"
        return model.processor.post_process_generation(text, task=task, image_size=PICTURE.size)[task]["bboxes"]
    if name == "kosmos2":
        [(_, _, boxes)] = model.processor.post_process_generation(text)[1]
        return [tuple(v * side for v, side in zip(box, PICTURE.size * 2, strict=True)) for box in boxes]
    return []


JSON_ANSWER = '[{{{inner}, "label": "a cat"}}]'
ANSWERS = {  # as each writes them: see `NAMED` in test_boxes.py
    "florence2": "a cat{box}",
    "kosmos2": "<phrase> a cat</phrase>{box}",
    "paligemma": "{box} a cat",
    "granite_docling": "<doctag><text>{box}a cat</text></doctag>",
    "internvl": "<ref>a cat</ref>{box}",
    "llava": "{box}",
    "qwen_vl": "<|object_ref_start|>a cat<|object_ref_end|>{box}",
    "qwen_vl:qwen2_5_vl": JSON_ANSWER,
    "qwen_vl:qwen3_vl": JSON_ANSWER,
    "qwen_vl:qwen3_5": JSON_ANSWER,
}


@pytest.mark.parametrize("name", checkpoints_with("ground"))
def test_a_written_box_comes_back_in_pixels_of_the_picture(name, monkeypatch):
    model = load(name)
    box = write_box(model.convention(), PLACE, PICTURE.size, model.resized(PICTURE))
    text = ANSWERS[name].format(box=box, inner=box.strip("{}"))
    asked = []

    def script(images, prompt, *options, **more):
        asked.append(prompt)
        yield from (text[:7], text[7:])

    monkeypatch.setattr(model, "stream", script)
    phrase, label = ("", "text") if name == "granite_docling" else ("a cat", "a cat")
    *pieces, result = model.ground(PICTURE, phrase)
    assert isinstance(result, Grounding) and result.text == "".join(pieces) == text
    assert [one.label for one in result.boxes] == [label] and result.malformed == ()
    assert phrase in asked[0]
    assert iou(result.boxes[0].box, PLACE) > 0.8
    for found in find_with_library(name, model, text):
        assert result.boxes[0].box == pytest.approx(found, abs=1.01)  # the library may cut to whole pixels
    if "describe_region" in model.prompts | model.card.prompts:
        assert "".join(model.describe_region(PICTURE, PLACE)) == text
        assert box in asked[1]


# ---- tokens and views


def list_sizes() -> list[tuple[int, int]]:
    """Fifty pictures, very wide and very tall among them."""
    chance = random.Random(7)
    chosen = [(150, 30), (30, 150), (64, 64), (32, 32), (128, 64), (101, 99)]
    return chosen + [(chance.randint(28, 150), chance.randint(28, 150)) for _ in range(44)]


def count_latents(model, inputs) -> int:
    """What IDEFICS's resampler hands to the cross-attention."""
    seen = []
    resampler = model.model.model.perceiver_resampler
    handle = resampler.register_forward_hook(lambda module, given, output: seen.append(output.shape[1]))
    with torch.inference_mode():
        model.model(**inputs)
    handle.remove()
    return seen[0]


def count_placeholders(model, picture: Image.Image, max_tiles: int | None) -> int:
    inputs = model.prepare([picture], "", max_tiles)
    if "image_attention_mask" in inputs:
        return count_latents(model, inputs)
    if "input_ids" in inputs:
        return int(model.find_places(inputs).sum())
    with torch.inference_mode():  # read through cross-attention: as many as the encoder puts out
        return model.model.encoder(inputs["pixel_values"]).last_hidden_state.shape[1]


def read_views(model, picture: Image.Image, max_tiles: int | None) -> np.ndarray | None:
    """What the tower receives, view by view [views, rows, columns], 0…255; None where it comes in patches."""
    pixels = model.prepare([picture], "", max_tiles)["pixel_values"]
    settings = model.processor.image_processor.to_dict()
    if pixels.ndim < 4:
        return None
    first = pixels.flatten(0, -4)[:, 0].float().numpy()
    if settings.get("do_normalize"):
        first = first * settings["image_std"][0] + settings["image_mean"][0]
    return first * 255


def read_grid(model, picture: Image.Image, max_tiles: int | None) -> list[tuple[int, int]]:
    """(width, height) in pixels of views that come in patches."""
    inputs, vision = model.prepare([picture], "", max_tiles), model.model.config.vision_config
    grids = inputs["image_grid_thw"][:, 1:] if "image_grid_thw" in inputs else inputs["spatial_shapes"]
    return [(columns * vision.patch_size, rows * vision.patch_size) for rows, columns in grids.tolist()]


@pytest.mark.parametrize("name", checkpoints_with(*SPOKEN))
def test_a_view_shows_the_part_of_the_picture_that_it_names(name):
    """Brightness is the place on the picture, so the middle of a view tells where it lies."""
    model = load(name)
    for size in ((120, 75), (70, 140), (60, 60)):
        for axis in (0, 1):
            places = np.arange(size[axis], dtype=np.float32)
            ramp = np.broadcast_to(places if axis == 0 else places[:, None], size[::-1])
            picture = Image.fromarray(ramp.astype(np.uint8)).convert("RGB")
            for max_tiles in (None, ALL_TILES):
                pixels, views = read_views(model, picture, max_tiles), model.list_views(picture, max_tiles)
                if pixels is None:
                    assert read_grid(model, picture, max_tiles) == [view.size for view in views]
                    continue
                assert len(pixels) == len(views)
                for shown, view in zip(pixels, views, strict=True):
                    assert shown.shape == view.size[::-1]
                    middle = (view.region[axis] + view.region[axis + 2]) / 2
                    if 4 < middle < size[axis] - 4:
                        half = np.take(shown, [view.size[axis] // 2 - 1, view.size[axis] // 2], 1 - axis)
                        seen = np.take(half, view.size[1 - axis] // 2, axis)
                        assert seen.mean() == pytest.approx(middle - 0.5, abs=1.5), (size, axis, view)


@pytest.mark.parametrize("name", checkpoints_with(*SPOKEN))
def test_image_tokens_are_known_before_running(name):
    model = load(name)
    for place, size in enumerate(list_sizes()):
        picture = Image.new("RGB", size)
        for max_tiles in (None, ALL_TILES, 2)[: 1 if place % 5 else 3]:
            views = model.list_views(picture, max_tiles)
            counted = model.count_image_tokens(picture, max_tiles)
            assert counted == count_placeholders(model, picture, max_tiles), (size, max_tiles)
            assert 0 < sum(view.tokens for view in views) <= counted, (size, max_tiles)
            assert all(view.region[2] > view.region[0] and view.region[3] > view.region[1] for view in views)


# ---- several pictures


@pytest.mark.parametrize("name", checkpoints_with("several"))
def test_several_pictures_enter_one_prompt_in_order(name):
    """Each has places of its own, and what is said next depends on all of them and on their order."""
    model, one, other = load(name), Image.effect_noise((64, 64), 90).convert("RGB"), Image.new("RGB", (64, 64), "red")

    def predict(*pictures: Image.Image) -> tuple[int, torch.Tensor]:
        inputs = model.prepare(pictures, "What changed?")
        with torch.inference_mode():
            return int(model.find_places(inputs).sum()), model.model(**inputs).logits[0, -1]

    (alone, _), (places, said) = predict(one), predict(one, other)
    assert places >= alone + 1
    for others in ((other, one), (one, one), (other, other)):
        assert not torch.allclose(predict(*others)[1], said, atol=1e-6)
    assert list(model.chat([one, other], "What changed?", 3))
