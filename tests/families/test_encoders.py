"""Maps, regions and similarities of each encoder family against the eager model and against painted pictures."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModel, CLIPModel, SiglipModel

from patchwork.errors import Problem
from patchwork.families.protocol import AttentionRequest
from tests.tiny_models import build_clip, load_tiny, shared_folder

CLOSE = {"rtol": 0, "atol": 1e-5}
FAMILIES = [("clip", 0), ("siglip", 0), ("dinov2", 0), ("dinov2", 3), ("timm_vit", 0)]
WITH_TEXT = [("clip", CLIPModel), ("siglip", SiglipModel)]
LAYERS, HEADS = 3, 4


@pytest.fixture(params=FAMILIES, ids=lambda case: f"{case[0]}-{case[1]}", scope="module")
def family(request):
    name, registers = request.param
    return name, registers, load_tiny(name, shared_folder(name, registers))


def paint_noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


def read_eager(name: str, registers: int, pixels: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor | None]:
    """Every layer's weights [heads, tokens, tokens], and a pooling head's [heads, patches]."""
    if name == "timm_vit":
        return read_timm(pixels), None
    model = AutoModel.from_pretrained(shared_folder(name, registers), attn_implementation="eager").eval()
    tower = getattr(model, "vision_model", model)
    with torch.inference_mode():
        found = tower(pixel_values=pixels, output_attentions=True)
        if name != "siglip":
            return [weights[0] for weights in found.attentions], None
        hidden = found.last_hidden_state
        pooled = tower.head.attention(tower.head.probe, hidden, hidden, need_weights=True, average_attn_weights=False)[
            1
        ]
    return [weights[0] for weights in found.attentions], pooled[0, :, 0]


def read_timm(pixels: torch.Tensor) -> list[torch.Tensor]:
    """Softmax of queries and keys, written out from each block's input; the model itself runs its fused path."""
    import timm
    from timm.layers import apply_rot_embed_cat

    model = timm.create_model(f"local-dir:{shared_folder('timm_vit')}", pretrained=True).eval()
    rope, maps = model.rope.get_embed(), []

    def read(module, inputs, output) -> None:
        heads = [part(output).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (module.q_proj, module.k_proj)]
        query, key = [torch.cat([part[:, :, :1], apply_rot_embed_cat(part[:, :, 1:], rope)], 2) for part in heads]
        maps.append((query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)[0])

    for block in model.blocks:
        assert block.attn.fused_attn
        block.norm1.register_forward_hook(lambda norm, inputs, output, attn=block.attn: read(attn, inputs, output))
    with torch.inference_mode():
        model(pixels)
    return maps


def pick_rows(weights: torch.Tensor, query, prefix: int) -> torch.Tensor:
    """[..., tokens, tokens] → [..., tokens]."""
    if query == "mean":
        return weights[..., prefix:, :].mean(-2)
    return weights[..., 0 if query == "cls" else prefix + query, :]


def count_prefix(name: str, registers: int) -> int:
    return 0 if name == "siglip" else 1 + registers


def test_raw_maps_equal_eager_for_every_layer_head_and_query(family):
    name, registers, model = family
    picture, prefix = paint_noise((45, 33)), count_prefix(name, registers)
    layers, pooled = read_eager(name, registers, model.preprocess(picture)[0])
    assert len(layers) == LAYERS
    for layer in range(LAYERS):
        for head in (None, 0, HEADS - 1):
            for query in ("pool" if name == "siglip" else "cls", "mean", 0, 6, 15):
                found = model.attend(picture, AttentionRequest(layer=layer, head=head, query=query))
                rows = pooled if query == "pool" else pick_rows(layers[layer], query, prefix)
                row = rows.mean(0) if head is None else rows[head]
                torch.testing.assert_close(found.values.flatten(), row[prefix:], **CLOSE)
                assert found.share_on_patches == pytest.approx(float(row[prefix:].sum()), abs=1e-5)
                assert found.stored_bytes == 4 * len(row)
                assert (found.layer, found.layers, found.heads) == (layer, LAYERS, HEADS)


def test_rollout_equals_the_product_of_the_eager_layers(family):
    name, registers, model = family
    picture, prefix = paint_noise((45, 33), seed=1), count_prefix(name, registers)
    layers, pooled = read_eager(name, registers, model.preprocess(picture)[0])
    size = layers[0].shape[-1]
    for layer in range(LAYERS):
        total = np.eye(size)
        for weights in layers[: layer + 1]:
            mixed = weights.mean(0).double().numpy() + np.eye(size)
            total = mixed / mixed.sum(-1, keepdims=True) @ total
        for query in ("pool" if name == "siglip" else "cls", "mean", 9):
            found = model.attend(picture, AttentionRequest(layer=layer, query=query, method="rollout"))
            row = pooled.mean(0).numpy() @ total if query == "pool" else pick_rows(torch.tensor(total), query, prefix)
            np.testing.assert_allclose(found.values.flatten(), row[prefix:], atol=1e-5)


def pool_by_hand(head, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """SigLIP's pooling head with its weights in the graph: pooled [1, D], weights [heads, N]."""
    attention = head.attention
    wq, wk, wv = attention.in_proj_weight.chunk(3)
    bq, bk, bv = attention.in_proj_bias.chunk(3)
    query = (head.probe[0, 0] @ wq.T + bq).view(HEADS, -1)
    key, value = (hidden[0] @ wk.T + bk).view(-1, HEADS, 8), (hidden[0] @ wv.T + bv).view(-1, HEADS, 8)
    weights = torch.einsum("hd,nhd->hn", query / 8**0.5, key).softmax(-1)
    state = attention.out_proj(torch.einsum("hn,nhd->hd", weights, value).reshape(1, -1))
    return state + head.mlp(head.layernorm(state)), weights


def relate_by_autograd(name, kind, picture, text, model, last: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Chefer et al.'s rule in numpy from the eager model's own gradients: R [tokens, tokens], pooling row [patches]."""
    eager = kind.from_pretrained(shared_folder(name), attn_implementation="eager").eval()
    pixels = model.preprocess(picture)[0].requires_grad_()
    seen = eager.vision_model(pixel_values=pixels, output_attentions=True)
    maps = list(seen.attentions[: last + 1])
    if name == "siglip":
        pooled, weights = pool_by_hand(eager.vision_model.head, seen.last_hidden_state)
        torch.testing.assert_close(pooled, seen.pooler_output, rtol=1e-4, atol=1e-4)
        maps.append(weights)
        tokens = model.processor.tokenizer([text], padding="max_length", max_length=64, return_tensors="pt")
        words = eager.text_model(input_ids=tokens["input_ids"]).pooler_output
    else:
        pooled = eager.visual_projection(seen.pooler_output)
        words = eager.get_text_features(**model.processor.tokenizer([text], return_tensors="pt")).pooler_output
    logit = torch.cosine_similarity(pooled, words).sum() * eager.logit_scale.exp()
    gradients = torch.autograd.grad(logit, maps)
    steps = [
        (m * g).clamp(min=0).detach().squeeze(0).mean(0).double().numpy() for m, g in zip(maps, gradients, strict=True)
    ]
    total = np.eye(seen.attentions[0].shape[-1])
    for step in steps[: last + 1]:
        total = total + step @ total
    return total, steps[-1] if name == "siglip" else None


@pytest.mark.parametrize(("name", "kind"), WITH_TEXT)
@pytest.mark.parametrize("last", [LAYERS - 1, 1])
def test_relevance_equals_autograd_on_eager(name, kind, last):
    model = load_tiny(name, shared_folder(name))
    picture, text = paint_noise((40, 40), seed=2), "a green fish"
    total, pooling = relate_by_autograd(name, kind, picture, text, model, last)
    query = "pool" if name == "siglip" else "cls"
    found = model.attend(picture, AttentionRequest(layer=last, query=query, method="relevance", text=text))
    row = pooling @ total if name == "siglip" else total[0, 1:]
    assert row.max() > 1e-4, "a map of zeros would prove nothing"
    np.testing.assert_allclose(found.values.flatten(), row, atol=1e-5 * max(1, row.max()))
    own = model.attend(picture, AttentionRequest(layer=last, query=3, method="relevance", text=text))
    prefix = count_prefix(name, 0)
    expected = (total - np.eye(len(total)))[prefix + 3, prefix:]
    np.testing.assert_allclose(own.values.flatten(), expected, atol=1e-5 * max(1, row.max()))


def test_relevance_leaves_no_gradients_behind():
    model = load_tiny("clip", shared_folder("clip"))
    model.attend(paint_noise((40, 40)), AttentionRequest(method="relevance", text="a fish"))
    assert all(parameter.grad is None for parameter in model.model.parameters())


@pytest.mark.parametrize("name", ["dinov2", "timm_vit"])
def test_without_a_text_side_relevance_is_refused_in_one_sentence(name):
    model = load_tiny(name, shared_folder(name))
    with pytest.raises(Problem, match="no text side"):
        model.attend(paint_noise((40, 40)), AttentionRequest(method="relevance", text="a fish"))


@pytest.mark.parametrize(
    ("name", "request_", "words"),
    [
        ("clip", AttentionRequest(query="pool"), "'pool'"),
        ("siglip", AttentionRequest(query="cls"), "'cls'"),
        ("clip", AttentionRequest(query=16), "0 to 15"),
        ("clip", AttentionRequest(layer=3), "3 layers"),
        ("clip", AttentionRequest(head=4), "4 heads"),
        ("clip", AttentionRequest(method="relevance", text=" "), "needs a text"),
    ],
)
def test_what_a_checkpoint_lacks_is_said(name, request_, words):
    with pytest.raises(Problem, match=words):
        load_tiny(name, shared_folder(name)).attend(paint_noise((40, 40)), request_)


def test_registers_are_no_patches():
    model = load_tiny("dinov2", shared_folder("dinov2", 3))
    found = model.attend(paint_noise((40, 40)), AttentionRequest())
    assert found.values.shape == (4, 4)
    assert 0 < found.share_on_patches < 1


def test_sink_patches_are_found_before_the_final_norm():
    """A long vector put into one patch by hand; DINOv2's last LayerNorm would hide it."""
    model = load_tiny("dinov2", shared_folder("dinov2", 3))
    layer = model.model.encoder.layer[-1]
    inner = layer.forward

    def lengthen(*args, **kwargs):
        hidden = inner(*args, **kwargs).clone()
        hidden[:, 4 + 6] *= 100
        return hidden

    layer.forward = lengthen
    assert model.attend(paint_noise((40, 40)), AttentionRequest()).outliers == [6]


# ---- where the patches lie

SIZES = [(200, 96), (97, 203), (150, 149), (61, 61), (131, 40)]


def unnormalise(model, pixels: torch.Tensor) -> np.ndarray:
    """[rows of pixels, columns of pixels], 0…255, of the first channel."""
    settings = model.processor if isinstance(model.processor, dict) else model.image_processor().to_dict()
    key = "" if "mean" in settings else "image_"
    return (pixels[0, 0].numpy() * settings[f"{key}std"][0] + settings[f"{key}mean"][0]) * 255


def average_patches(model, picture: Image.Image) -> np.ndarray:
    """Mean brightness of each patch [rows, columns]."""
    pixels, grid = model.preprocess(picture)
    patch = model.patch_size()
    seen = unnormalise(model, pixels)[: grid.rows * patch, : grid.columns * patch]
    return seen.reshape(grid.rows, patch, grid.columns, patch).mean((1, 3))


def paint_ramp(size: tuple[int, int], across: bool) -> Image.Image:
    """Brightness is the pixel's own place, so a patch's mean tells where on the original the patch lies."""
    places = np.arange(size[0] if across else size[1], dtype=np.uint8)
    flat = np.broadcast_to(places[None, :] if across else places[:, None], (size[1], size[0]))
    return Image.fromarray(np.repeat(flat[..., None], 3, 2).copy())


def list_spans(start: float, stop: float, count: int, length: int) -> list[tuple[int, float, float]]:
    """(place, low, high) of the patches whose neighbourhood lies on the picture: at its edge the resizing filter has
    less to average, and a patch may show padding."""
    step = (stop - start) / count
    ends = [(place, start + place * step, start + (place + 1) * step) for place in range(count)]
    return [(place, low, high) for place, low, high in ends if low > 0.25 * step and high < length - 0.25 * step]


def check_region(model, size: tuple[int, int]) -> int:
    """Compares the centre of every patch on the picture, within the ramp's rounding; returns how many."""
    grid = model.preprocess(Image.new("RGB", size))[1]
    x1, y1, x2, y2 = grid.region
    spans = [list_spans(x1, x2, grid.columns, size[0]), list_spans(y1, y2, grid.rows, size[1])]
    checked = 0
    for across in (True, False):
        means = average_patches(model, paint_ramp(size, across))
        for column, left, right in spans[0]:
            for row, top, bottom in spans[1]:
                middle = (left + right) / 2 if across else (top + bottom) / 2
                assert means[row, column] == pytest.approx(middle - 0.5, abs=0.51), (across, row, column)
                checked += 1
    return checked


@pytest.mark.parametrize("size", SIZES)
def test_the_region_is_where_the_patches_really_lie(family, size):
    assert check_region(family[2], size) >= 4


@pytest.mark.parametrize("size", [(200, 96), (97, 203), (61, 61)])
def test_the_region_of_a_letterboxed_picture_is_larger_than_the_picture(size, tmp_path):
    folder = build_clip(tmp_path, do_center_crop=False, size={"height": 32, "width": 32})
    model = load_tiny("clip", folder, letterbox=True)
    side = max(size)
    x1, y1, x2, y2 = model.preprocess(Image.new("RGB", size))[1].region
    assert (x2 - x1, y2 - y1) == (side, side)
    assert (min(x1, 0), min(y1, 0)) == (-((side - size[0]) // 2), -((side - size[1]) // 2))
    check_region(model, size)


def test_one_painted_block_changes_the_patch_that_the_region_says(family):
    model = family[2]
    for size in SIZES:
        blank = Image.new("RGB", size, (90, 90, 90))
        before, grid = average_patches(model, blank), model.preprocess(blank)[1]
        x1, y1, x2, y2 = grid.region
        for row, column in [(0, 0), (1, 2), (3, 3)]:
            x = int(x1 + (column + 0.5) * (x2 - x1) / grid.columns)
            y = int(y1 + (row + 0.5) * (y2 - y1) / grid.rows)
            painted = blank.copy()
            painted.paste((255, 0, 0), (x - 1, y - 1, x + 2, y + 2))
            change = np.abs(average_patches(model, painted) - before)
            assert np.unravel_index(change.argmax(), change.shape) == (row, column), (size, row, column)


def test_what_a_centre_crop_cuts_away_changes_nothing():
    model = load_tiny("clip", shared_folder("clip"))
    blank = Image.new("RGB", (200, 100), (90, 90, 90))
    x1, _, x2, _ = model.preprocess(blank)[1].region
    assert (x1, x2) == (50, 150)
    painted = blank.copy()
    painted.paste((255, 0, 0), (0, 0, 35, 100))
    painted.paste((255, 0, 0), (165, 0, 200, 100))
    assert np.array_equal(average_patches(model, painted), average_patches(model, blank))


# ---- vectors


def test_vectors_are_unit_rows_on_the_cpu(family):
    model = family[2]
    rows = model.embed_image([paint_noise((45, 33)), paint_noise((33, 45), seed=1)])
    torch.testing.assert_close(rows.norm(dim=-1), torch.ones(2), **CLOSE)
    assert rows.dtype == torch.float32 and rows.device.type == "cpu"
    assert rows.shape[0] == 2 and not torch.allclose(rows[0], rows[1], atol=1e-3)
    assert model.memory_bytes() == 4 * sum(p.numel() for p in model.model.parameters()) + sum(
        b.numel() * b.element_size() for b in model.model.buffers()
    )


@pytest.mark.parametrize(("name", "kind"), WITH_TEXT)
def test_similarity_equals_the_checkpoint_s_own_logits(name, kind):
    model, picture = load_tiny(name, shared_folder(name)), paint_noise((45, 33))
    texts = ["a green fish", "two black keys and a cup", "x" * 300]
    found = model.similarity(picture, texts)
    plain = kind.from_pretrained(shared_folder(name)).eval()
    options = {"padding": "max_length"} if name == "siglip" else {"padding": True}
    inputs = model.processor(images=picture, text=texts, return_tensors="pt", truncation=True, max_length=64, **options)
    if name == "siglip":
        inputs.pop("attention_mask", None)
    with torch.inference_mode():
        logits = plain(**inputs).logits_per_image[0]
    assert found.logits == pytest.approx(logits.tolist(), abs=1e-4)
    assert found.softmax == pytest.approx(logits.softmax(-1).tolist(), abs=1e-4)
    assert found.sigmoid == pytest.approx(logits.sigmoid().tolist(), abs=1e-4)
    assert found.rule == {"clip": "softmax", "siglip": "sigmoid"}[name]
    assert max(map(abs, found.cosine)) <= 1 + 1e-6


# ---- several readers, other precisions


def test_two_readers_of_one_model_never_see_each_other_s_map(family):
    name, _, model = family
    pictures = [paint_noise((64, 48), seed=seed) for seed in range(2)]
    method = "relevance" if name in ("clip", "siglip") else "rollout"
    requests = [AttentionRequest(layer=2, query=5), AttentionRequest(layer=2, query=9, method=method, text="a cup")]
    expected = [model.attend(picture, request) for picture, request in zip(pictures, requests, strict=True)]
    barrier = threading.Barrier(2, timeout=30)

    def meet(module, inputs) -> None:
        barrier.wait()

    handles = [module.register_forward_pre_hook(meet) for module in model.attention]
    found: list = [None, None]

    def work(who: int) -> None:
        found[who] = model.attend(pictures[who], requests[who])

    threads = [threading.Thread(target=work, args=(who,)) for who in range(2)]
    [thread.start() for thread in threads]
    [thread.join(60) for thread in threads]
    [handle.remove() for handle in handles]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.values, other.values, **CLOSE)
        assert (one.stored_bytes, one.outliers) == (other.stored_bytes, other.outliers)


@pytest.mark.parametrize("name", ["clip", "siglip", "dinov2", "timm_vit"])
@pytest.mark.parametrize("method", ["raw", "rollout"])
def test_sixteen_bits_give_nearly_the_same_map(name, method):
    from patchwork.families import get_family
    from tests.tiny_models import make_card, make_plan

    card = make_card(shared_folder(name), name)
    half = get_family(name).load(card, make_plan(card, "bf16"), lambda message, fraction: None)
    full, picture = load_tiny(name, shared_folder(name)), paint_noise((45, 33))
    request = AttentionRequest(method=method, query="mean")
    one, other = half.attend(picture, request), full.attend(picture, request)
    assert one.values.dtype == torch.float32
    assert half.memory_bytes() < 0.6 * full.memory_bytes()
    torch.testing.assert_close(one.values, other.values, rtol=0, atol=0.03)
