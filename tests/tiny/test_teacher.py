"""The teachers are told the truth and nothing but; two steps of theirs and of the CLIP's stage go the right way."""

import random

import numpy as np
import torch

from patchwork.tiny import FRESH, data, encoder, invent_scene, stage_clip
from patchwork.tiny.captions import Caption, Mention
from patchwork.tiny.matching import NAMED, embed_texts, imitate
from patchwork.tiny.teacher import FACTS, Teachers, number_mention, number_thing
from patchwork.tiny.tokenizer import train_tokenizer, wrap_tokenizer, write_caption_samples

NAMES = {number: fact for fact, number in FACTS.items()}


def test_facts_are_what_is_drawn_and_what_is_said():
    for seed in range(40):
        scene = invent_scene(FRESH + seed)
        for thing in scene.things:
            facts = dict(NAMES[number] for number in number_thing(thing, scene))
            assert (facts["kind"], facts["colour"], facts["size"]) == (thing.kind, thing.colour, thing.size)
            if thing.text.isdigit():
                assert facts["tens"] + facts["ones"] == thing.text
            else:
                assert facts["word"] == (thing.text or "no text")
    said = Caption((Mention("star", "red"), Mention("cup", "", "small")), "left of")
    assert [NAMES[number] for number in number_mention(said, 1)] == [
        ("kind", "cup"),
        ("size", "small"),
        ("link", "left of", 1),
    ]


def test_a_scene_is_the_sum_of_its_objects_and_a_caption_of_its_mentions():
    torch.manual_seed(0)
    teachers = Teachers(16)
    scenes = [invent_scene(FRESH + seed, count=1 + seed % 3) for seed in range(6)]
    whole, objects = teachers.embed_scenes(scenes), teachers.embed_objects(scenes)
    assert whole.shape == (6, 16) and len(objects) == 12
    assert torch.allclose(whole.norm(dim=-1), torch.ones(6))
    assert torch.allclose(whole[0], objects[0], atol=1e-6) and torch.allclose(whole[3], objects[6], atol=1e-6)
    turned = Caption((Mention("cup", "red"), Mention("star", "blue")), "left of")
    there = Caption((Mention("star", "blue"), Mention("cup", "red")), "left of")
    assert not torch.allclose(*teachers.embed_captions([turned, there]), atol=1e-4)


def test_imitation_costs_nothing_when_it_is_perfect():
    torch.manual_seed(0)
    teachers, scenes = Teachers(16), [invent_scene(FRESH + seed) for seed in range(3)]
    goals = teachers.embed_scenes(scenes), teachers.embed_objects(scenes), teachers.embed_captions(NAMED)
    loss, seen = imitate(teachers, *goals, scenes, NAMED)
    assert abs(loss.item()) < 1e-4 and set(seen) == {"picture off", "object off", "caption off"}
    loss, _ = imitate(teachers, -goals[0], *goals[1:], scenes, NAMED)
    assert abs(loss.item() - 40) < 1e-3  # the opposite direction is 2 off


def test_texts_embed_alike_alone_and_together():
    torch.manual_seed(0)
    words = wrap_tokenizer(train_tokenizer(write_caption_samples(200)), clip=True)
    model = encoder.build_encoder(len(words)).eval()
    texts = ["a red star", "a small dotted blue cup, a green fish and a red ring", "a cup", "a fish above a red hat"]
    with torch.inference_mode():
        together = embed_texts(model, words, texts, together=2)
        alone = torch.cat([embed_texts(model, words, [text]) for text in texts])
    assert torch.allclose(together, alone, atol=1e-5)


def test_what_the_frozen_layers_make_is_what_the_tower_makes(tmp_path):
    torch.manual_seed(0)
    model, store = encoder.build_encoder(100).eval(), data.SceneStore(tmp_path, 3)
    store.draw(3)
    kept = stage_clip.HiddenCache(model, store).take(np.array([0, 2]))
    with torch.inference_mode():
        pixels = encoder.normalise(store.pictures[[0, 2]])
        states = model.vision_model(pixels, output_hidden_states=True).hidden_states[stage_clip.FROZEN]
    assert torch.allclose(kept.float(), states, rtol=1e-2, atol=1e-2)  # kept in half the bits


def test_teachers_learn(tmp_path):
    """A few seconds are enough to tell captions from near misses better than at the start."""
    rng = random.Random(0)
    torch.manual_seed(0)
    fresh = Teachers(32)
    trained = stage_clip.train_teachers(32, tmp_path / "teachers.pt", 0.08, rng, batch=16)
    scenes = [invent_scene(FRESH + seed, count=1) for seed in range(200)]
    truth = [Caption((Mention(scene.things[0].kind, scene.things[0].colour),)) for scene in scenes]
    right = []
    for teachers in (fresh, trained):
        with torch.inference_mode():
            scores = teachers.embed_scenes(scenes) @ teachers.embed_captions(truth).T
        right.append((scores.argmax(1) == torch.arange(200)).float().mean().item())
    assert right[1] > 3 * max(right[0], 0.005)
    again = stage_clip.train_teachers(32, tmp_path / "teachers.pt", 0.08, rng)
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), again.parameters(), strict=True))
