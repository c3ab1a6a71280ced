"""Pages cut for a processor that cuts none: what the tower receives, and tiles ranked as eager attention ranks them."""

import numpy as np
import pytest
import torch
from PIL import Image

from patchwork.errors import Problem
from patchwork.families.cutting import go_on
from patchwork.tiles import ALL_TILES
from tests.tiny_models import build_llava, load_tiny, shared_folder

READS = {"capabilities": frozenset({"chat", "read_document"}), "tiles": 12, "letterbox": True}
HEADS = ((0, 1), (1, 0), (1, 3))
PAGE = Image.effect_noise((64, 96), 90).convert("RGB")
QUESTION = "what is the price of the blue boat?"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Pixels reach the tower as they are, so that a picture can be read back from them."""
    folder = build_llava(tmp_path_factory.mktemp("llava"), image_mean=[0.0] * 3, image_std=[1.0] * 3)
    return load_tiny("llava", folder, pointing_heads=HEADS, **READS)


def read_pictures(inputs) -> list[np.ndarray]:
    """The views in the prompt, uint8 [rows, columns, 3]."""
    return [(view.permute(1, 2, 0) * 255).round().byte().numpy() for view in inputs["pixel_values"]]


def catch_inputs(model, monkeypatch, **options) -> dict:
    """What one reading of the page hands to the model."""
    made, prepare = [], type(model).prepare
    monkeypatch.setattr(type(model), "prepare", lambda *given: made.append(prepare(*given)) or made[-1])
    list(model.read_document([PAGE], QUESTION, max_new_tokens=2, **options))
    return made[-1]


def test_overview_first_then_the_tiles_row_by_row(model, monkeypatch):
    inputs = catch_inputs(model, monkeypatch)
    pictures = read_pictures(inputs)
    assert len(pictures) == 1 + 6
    assert int((inputs["input_ids"] == model.model.config.image_token_id).sum()) == 7 * 16
    square = Image.new("RGB", (96, 96), (127, 127, 127))
    square.paste(PAGE, (16, 0))
    small = np.asarray(square.resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(pictures[0].astype(int) - small).max() <= 1
    for place, tile in enumerate(pictures[1:]):
        x, y = place % 2 * 32, place // 2 * 32
        assert np.array_equal(tile, np.asarray(PAGE.crop((x, y, x + 32, y + 32))))


def test_only_the_kept_tiles_are_read_in_the_order_of_the_page(model, monkeypatch):
    pictures = read_pictures(catch_inputs(model, monkeypatch, keep=[5, 0]))
    assert len(pictures) == 3
    assert np.array_equal(pictures[1], np.asarray(PAGE.crop((0, 0, 32, 32))))
    assert np.array_equal(pictures[2], np.asarray(PAGE.crop((32, 64, 64, 96))))


def test_a_page_of_another_size_is_brought_to_whole_tiles(model):
    large = Image.effect_noise((300, 450), 90).convert("RGB")
    page = large.resize((64, 96), Image.Resampling.BICUBIC)
    tile = read_pictures(model.prepare([large], "", ALL_TILES))[4]
    assert np.array_equal(tile, np.asarray(page.crop((32, 32, 64, 64))))


def test_a_question_about_a_scene_sees_one_view(model, monkeypatch):
    made, prepare = [], type(model).prepare
    monkeypatch.setattr(type(model), "prepare", lambda *given: made.append(prepare(*given)) or made[-1])
    list(model.chat([PAGE], QUESTION, max_new_tokens=2))
    assert len(made[0]["pixel_values"]) == 1 == len(model.list_views(PAGE))


@pytest.mark.parametrize(("most", "tiles"), [(0, 0), (1, 0), (5, 2), (6, 6), (ALL_TILES, 6)])
def test_the_limit_is_the_reader_s_and_the_card_s(model, most, tiles):
    views = model.list_views(PAGE, most)
    assert [view.overview for view in views] == [True] + [False] * tiles
    assert model.count_image_tokens(PAGE, most) == 16 * (1 + tiles)


def test_a_card_without_tiles_is_never_cut():
    plain = load_tiny("llava", shared_folder("llava"))
    assert len(plain.list_views(PAGE, ALL_TILES)) == 1 and not plain.ranks
    with pytest.raises(Problem, match="not taught to point"):
        plain.rank_tiles(PAGE, QUESTION)


def rank_by_hand(model) -> np.ndarray:
    """Eager attention of the plain model, summed by where the patches of the 96 × 96 square lie: [heads, tiles]."""
    inputs = model.prepare([PAGE], QUESTION)
    folder = model.card.location
    eager = type(model.model).from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        layers = eager(**inputs, output_attentions=True).attentions
    picture = inputs["input_ids"][0] == model.model.config.image_token_id
    shares = np.zeros((len(HEADS), 6))
    for number, (layer, head) in enumerate(HEADS):
        grid = layers[layer][0, head, -1][picture].reshape(4, 4).numpy()  # patches of 24 pixels
        for row in range(4):
            for column in range(4):
                x, y = (column + 0.5) * 24 - 16, (row + 0.5) * 24
                if 0 <= x < 64:
                    shares[number, int(y // 32) * 2 + int(x // 32)] += grid[row, column]
    return shares


def test_ranks_are_those_of_eager_attention(model):
    scores, shares = model.rank_tiles(PAGE, QUESTION).scores, rank_by_hand(model)
    assert scores == pytest.approx(shares.max(0), rel=1e-3, abs=1e-5)
    assert (shares.sum(1) <= 1).all() and len(set(scores)) > 1


def test_a_page_that_is_not_cut_has_no_ranks(model):
    assert model.rank_tiles(PAGE, QUESTION, 0).scores == []


def test_ranking_changes_no_answer(model):
    before = list(model.read_document([PAGE], QUESTION, max_new_tokens=8))
    model.rank_tiles(PAGE, QUESTION)
    assert list(model.read_document([PAGE], QUESTION, max_new_tokens=8)) == before


def test_a_reading_that_goes_on_from_the_ranking_says_the_same_and_reads_the_overview_once(model, monkeypatch):
    ranking, seen = model.rank_tiles(PAGE, QUESTION), []
    alone = list(model.read_document([PAGE], QUESTION, max_new_tokens=12, keep=[1, 4]))
    tower = model.model.model.vision_tower
    handle = tower.register_forward_hook(lambda module, given, output: seen.append(len(output.last_hidden_state)))
    for _ in range(2):  # what was begun is not used up
        assert list(model.read_document([PAGE], QUESTION, max_new_tokens=12, keep=[1, 4], ranking=ranking)) == alone
    handle.remove()
    assert seen == [2, 2] and len(alone) > 3


def test_a_reading_that_begins_otherwise_reads_everything(model):
    """Two pages in one prompt begin like one; a prompt that does not begin with a picture at all is taken whole."""
    begun = model.rank_tiles(PAGE, QUESTION).begun
    inputs = model.prepare([], QUESTION)
    assert go_on(inputs, begun) is inputs and go_on(inputs, None) is inputs
