"""Packed training equals asking each question alone; pointing and freezing do what they say."""

import random
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from patchwork.tiny import FRESH, data, encoder, invent_scene, language, matching, page_examples, precision
from patchwork.tiny.captions import is_true
from patchwork.tiny.catalogue import invent_page
from patchwork.tiny.clock import Clock, load_checkpoint, save_checkpoint
from patchwork.tiny.optimizer import Muon, TwoOptimizers
from patchwork.tiny.page_questions import make_page_turn
from patchwork.tiny.questions import NAMED, Turn, describe_scene, make_turns
from patchwork.tiny.tokenizer import ASSISTANT, BOS, IMAGE, USER, train_tokenizer, wrap_tokenizer, write_samples
from patchwork.tiny.world import HELD_OUT


@pytest.fixture(scope="module")
def tokenizer():
    return wrap_tokenizer(train_tokenizer(write_samples(1500)))


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


def test_attention_is_asked_for_where_an_object_is_spoken_of(tokenizer):
    """At the last token of its name in the question, and at each token of the answer; of two, one a head."""
    owners = np.full(language.PATCHES, -1, np.int8)
    owners[:2], owners[5] = 0, 1
    question = "is the red star left of the fish?"
    asked = ((7, 15, (0,)), (28, 32, (1,)))
    turn = Turn("left or right", question, "left", asked, ((0, 4, (0, 1)),), pair=True)
    packed = language.pack(tokenizer, [([turn], owners)])
    words = [tokenizer.decode(token).strip() for token in packed.ids[0]]
    star, fish, answer = words.index("star"), words.index("fish"), int((packed.labels[0] != -100).nonzero()[0])
    looks = {
        (side, t): packed.targets[side, 0, t].nonzero()[:, 0].tolist() for side in (0, 1) for t in range(len(words))
    }
    wanted = {
        (0, star): [0, 1],
        (1, star): [0, 1],
        (0, fish): [5],
        (1, fish): [5],
        (0, answer): [0, 1],
        (1, answer): [5],
    }
    assert {place: patches for place, patches in looks.items() if patches} == wanted
    assert (packed.names[:, 0, answer]).tolist() == [star, fish] and (packed.names >= 0).sum() == 2


def test_pointing_loss_is_the_attention_on_the_object():
    attention = torch.zeros(1, 4, language.PREFIX + 1, language.PREFIX + 1)
    attention[..., -1, 2:6] = 0.2  # four patches get 0.2 each, the rest of the row goes elsewhere
    targets = torch.zeros(2, 1, 1, language.PATCHES, dtype=torch.bool)
    targets[:, 0, 0, :2] = True
    nothing = torch.zeros(1, 1, language.PATCHES, dtype=torch.bool)
    loss, share = language.pointing_loss([attention] * 4, targets, nothing)
    assert share == pytest.approx(0.4) and loss.item() == pytest.approx(-np.log(0.4), abs=1e-3)


def test_the_next_object_of_a_description_is_found_from_the_one_before(tokenizer):
    """Its heads look at it from the last word about the object before it on; other heads look at that one."""
    scene = invent_scene(3, 7)
    owners, (answer, spans) = data.find_owners(scene), describe_scene(scene)
    packed = language.pack(tokenizer, [([Turn("describe", "what is shown?", answer, (), spans)], owners)])
    order = sorted(range(7), key=lambda i: scene.things[i].centre[0])
    assert [objects for *_, objects in spans] == [*((i,) for i in order[:NAMED]), tuple(sorted(order[NAMED:]))]
    words = [tokenizer.decode(token).strip() for token in packed.ids[0]]
    last_words = [t for t, (_, after) in enumerate(pairwise(words)) if after in (",", "and")]
    bounds = [words.index("<|assistant|>"), *last_words, words.index("more")]
    there = [np.isin(owners, objects).nonzero()[0].tolist() for *_, objects in spans]
    for k, (first, end) in enumerate(pairwise(bounds)):
        for t in range(first, end):
            assert packed.targets[0, 0, t].nonzero()[:, 0].tolist() == there[k]
            assert packed.before[0, t].nonzero()[:, 0].tolist() == (there[k - 1] if k else [])


def test_while_going_on_the_first_layer_is_asked_for_the_object_before_only():
    """Layer 1 looks at patches 0 and 1 (heads 2 and 3: the one before), layer 2 at patch 5: nothing else costs."""
    size = language.PREFIX + 1
    first, second = torch.zeros(1, 4, size, size), torch.zeros(1, 4, size, size)
    first[:, 2:, -1, 2:4], second[:, :2, -1, 7] = 0.5, 1.0
    targets, before = (torch.zeros(*shape, language.PATCHES, dtype=torch.bool) for shape in ((2, 1, 1), (1, 1)))
    targets[:, 0, 0, 5] = before[0, 0, :2] = True
    loss, share = language.pointing_loss([None, first, second], targets, before)
    assert share == pytest.approx(1.0) and loss.item() == pytest.approx(0.0, abs=1e-3)


def test_muon_steps_as_torchs_own_does():
    """Within what bfloat16, in which torch's always works, rounds off."""
    torch.manual_seed(0)
    starts = [torch.randn(shape) for shape in ((48, 128), (48, 48), (128, 48))]
    mine, theirs = ([start.clone().requires_grad_() for start in starts] for _ in range(2))
    optimizers = (
        Muon(mine, lr=0.01, weight_decay=0.05),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
    )
    for _ in range(3):
        for one, other in zip(mine, theirs, strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for start, one, other in zip(starts, mine, theirs, strict=True):
        assert (one - other).norm() < 0.02 * (other - start).norm()


def test_half_precision_is_used_where_the_processor_has_it(monkeypatch):
    for flags, fast in (({"avx2"}, False), ({"avx2", "avx512_bf16"}, True)):
        monkeypatch.setattr("patchwork.hardware.read_flags", lambda flags=flags: flags)
        precision.is_half_fast.cache_clear()
        with precision.mix_precision(torch.device("cpu")):
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if fast else torch.float32)
    precision.is_half_fast.cache_clear()


def test_comparing_loss_is_the_attention_on_the_two_names():
    attention = torch.zeros(1, 4, language.PREFIX + 6, language.PREFIX + 6)
    attention[0, 0, language.PREFIX + 5, language.PREFIX + 2] = 0.5  # the first head, at the first name
    attention[0, 1, language.PREFIX + 5, language.PREFIX + 4] = 0.25  # the second, at the second
    names = torch.full((2, 1, 6), -1)
    names[0, 0, 5], names[1, 0, 5] = 2, 4
    loss, share = language.comparing_loss([attention] * 4, names)
    assert share == pytest.approx(0.375) and loss.item() == pytest.approx(np.log(8) / 2, abs=1e-3)


def test_a_text_is_pooled_at_its_end(tokenizer):
    """CLIP's text model pools the highest id when the end token is number 2, so here it must be another."""
    torch.manual_seed(0)
    words = wrap_tokenizer(train_tokenizer(write_samples(300)), clip=True)
    model = encoder.build_encoder(len(words)).eval()
    with torch.inference_mode():
        tokens = words(["a red star left of a blue fish", "a cup"], padding=True, return_tensors="pt")
        output = model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask)
    ends = tokens.attention_mask.sum(1) - 1
    assert torch.equal(output.pooler_output, output.last_hidden_state[torch.arange(2), ends])


def test_near_misses_cost_nothing_when_far_and_much_when_near():
    """Two pictures, one near miss each: by hand, cross-entropy of (own caption, own near miss)."""
    image = torch.eye(2)
    for miss, expected in ((-torch.eye(2), np.log(1 + np.exp(-20))), (torch.eye(2), np.log(2))):
        texts = [torch.stack([image[i], miss[i]]) for i in range(2)]
        loss, right = matching.choose_own(image, texts, torch.tensor(10.0))
        assert loss.item() == pytest.approx(expected, abs=1e-5) and right == 1


def test_a_picture_is_asked_for_each_of_its_names():
    """Two objects of 286 names: with all names alike, each stands against the 284 that are not there and itself."""
    scene = next(s for i in range(99) if len((s := invent_scene(i)).things) == 2)
    bank = torch.ones(len(matching.BANK), 4) / 2
    loss = matching.find_names(torch.ones(1, 4) / 2, bank, [scene], torch.tensor(10.0))
    assert len(matching.BANK) == 10 * 30 - 14 and loss.item() == pytest.approx(np.log(285), abs=1e-4)


def test_a_name_is_asked_to_find_its_own_patches():
    """With all patches alike, by hand: the share of the patches whose middle lies in the object's box."""
    scene = next(s for i in range(99) if len((s := invent_scene(i)).things) == 1)
    x1, y1, x2, y2 = scene.things[0].box
    middles = [((n % 8 + 0.5) / 8, (n // 8 + 0.5) / 8) for n in range(64)]
    own = torch.tensor([x1 <= x <= x2 and y1 <= y <= y2 for x, y in middles])
    assert torch.equal(matching.mark_middles([scene])[0], own)
    owners, bank = torch.zeros(1, 64, dtype=torch.long), torch.ones(len(matching.BANK), 4) / 2  # at its rim, too
    loss, _ = matching.find_patches(torch.ones(1, 64, 4) / 2, bank, owners, [scene], torch.tensor(10.0))
    assert loss.item() == pytest.approx(-np.log(own.float().mean().item()), abs=1e-5)


def test_near_misses_are_false_and_use_no_name_that_is_kept_out():
    rng = random.Random(0)
    for seed in range(60):
        scene = invent_scene(seed)
        first, *misses = matching.write_choice(scene, rng, pair=True).captions
        assert is_true(scene, first) and len(misses) >= 4 and not any(is_true(scene, miss) for miss in misses)
        assert not any((one.colour, one.kind) in HELD_OUT for miss in misses for one in miss.mentions)


def test_packed_pages_equal_several_pictures_in_one_prompt(model, tokenizer):
    """Against the whole transformers model, which is given the overview and the tiles as pictures of one prompt."""
    page = invent_page(FRESH, (3, 2))
    drawn = page.draw()
    views = [page.see_whole(drawn), *page.cut(drawn)]
    turn, _ = make_page_turn(page, random.Random(0), False, range(6), frozenset(range(6)))
    pixels = encoder.normalise(np.stack([np.asarray(view) for view in views]))
    with torch.inference_mode():
        features = model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:].flatten(0, 1)
        packed = language.pack(tokenizer, [([turn], None)], len(features))
        hidden, _ = language.run_packed(model, features[None], packed)
        question, answer, _ = language.encode_turn(tokenizer, turn)
        ids = [BOS, USER, *[IMAGE] * len(features), *question, *answer[:-1]]
        alone = model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits[0, 2 + len(features) :]
        assert torch.allclose(model.lm_head(hidden[0]), alone, atol=1e-4)


def test_the_answer_looks_at_the_printed_line_where_its_tile_is_there(tokenizer, tmp_path):
    """By the store's own numbering: the line's patches in the tile; without the tile, the object in the overview."""
    store = data.PageStore(tmp_path, 2)
    store.draw(2)
    page = invent_page(1)
    for cards in ([0, 3], []):
        turn, (card,) = make_page_turn(page, random.Random(1), False, [3], frozenset(cards))
        field = next(line for line in page.entries[card].lines if line.value == turn.answer).field
        owners = page_examples.join_owners(store, 1, cards)
        packed = language.pack(tokenizer, [([turn], owners)], len(owners))
        looked = packed.targets[0, 0, int((packed.labels[0] != -100).nonzero()[0])].nonzero()[:, 0]
        if not cards:
            assert set(looked.tolist()) == set(np.nonzero(store.owners[1, 0] == 3)[0])
            continue
        line = [line.field for line in page.entries[3].lines].index(field)
        assert set(looked.tolist()) == {128 + patch for patch in np.nonzero(store.owners[1, 4] == 1 + line)[0]}


def test_a_batch_of_pages_is_never_empty_and_all_of_one_size():
    """Also where hardly any page has as many tiles as the one that was drawn first."""
    views, rng = np.array([13, *[7] * 300]), random.Random(0)
    pages, sizes = SimpleNamespace(views=views, ready=len(views)), set()
    for _ in range(6000):
        chosen = page_examples.choose_pages(pages, rng)
        assert len({len(cards) for _, cards in chosen}) == 1
        sizes.add(len(chosen[0][1]))
    assert sizes == {0, 1, 2, 3, 6, 12}


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    """Clock, weights and both optimizers come back; what is drawn is drawn once."""
    torch.manual_seed(0)
    layer = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Linear(4, 4)])})
    optimizer, clock = (
        TwoOptimizers([(f".{n}", p) for n, p in layer.named_parameters()], 0.01),
        Clock(1, used=30.0, step=7),
    )
    optimizer.take_step(layer["layers"][0](torch.ones(1, 4)).sum(), 1.0)
    save_checkpoint(tmp_path / "stage.pt", clock, optimizer, layer=layer)
    fresh = torch.nn.ModuleDict({"layers": torch.nn.ModuleList([torch.nn.Linear(4, 4)])})
    again, later = TwoOptimizers([(f".{n}", p) for n, p in fresh.named_parameters()], 0.01), Clock(1)
    load_checkpoint(tmp_path / "stage.pt", later, again, layer=fresh)
    assert (later.step, later.share) == (7, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(layer.parameters(), fresh.parameters(), strict=True))
    assert len(again.members[0].state) == len(again.members[1].state) == 1  # a matrix for Muon, a bias for AdamW
    store = data.SceneStore(tmp_path, 4)
    store.draw(3)
    assert data.SceneStore(tmp_path, 4).ready == 3
    assert np.array_equal(data.SceneStore(tmp_path, 4).pictures[2], np.asarray(invent_scene(2).draw(128)))


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
