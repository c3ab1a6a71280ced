"""Measures the encoder's captions, and where encoder and language model look when they name an object."""

from __future__ import annotations

import random
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import CLIPModel, CLIPProcessor

from patchwork.tiny.captions import Caption, spoil, write_caption
from patchwork.tiny.data import GRID
from patchwork.tiny.language import PATCHES, POINTING_HEADS
from patchwork.tiny.reader import Asked, Figure, Reader, measure
from patchwork.tiny.tokenizer import IMAGE
from patchwork.tiny.world import Scene, Thing

SWAPS = {"attribute": 8, "relation": 4, "object": 4}


def write_near_misses(scene: Scene, caption: Caption, rng: random.Random, tries: int = 60) -> list[str]:
    """Sixteen: 8 attribute, 4 relation and 4 object swaps; where no relation can be swapped, more objects."""
    misses: list[str] = []
    for how, wanted in SWAPS.items():
        wanted += sum(list(SWAPS.values())[: list(SWAPS).index(how)]) - len(misses)
        for _ in range(tries):
            missed = spoil(scene, caption, how, rng)
            if missed and str(missed) not in misses and wanted > 0:
                misses.append(str(missed))
                wanted -= 1
    return misses


def load_clip(folder: Path) -> tuple[CLIPModel, CLIPProcessor]:
    return CLIPModel.from_pretrained(folder, dtype=torch.float32).eval(), CLIPProcessor.from_pretrained(folder)


@torch.inference_mode()
def evaluate_captions(folder: Path, scenes: list[Scene], rng: random.Random) -> Figure:
    """The right caption (two objects and their relation) among sixteen near misses, by the CLIP's similarity."""
    model, processor = load_clip(folder)
    scores, chance = [], []
    for scene in scenes:
        caption = write_caption(scene, rng, pair=True)
        texts = [str(caption), *write_near_misses(scene, caption, rng)]
        inputs = processor(images=scene.draw(128), text=texts, padding=True, return_tensors="pt")
        scores.append(float(model(**inputs).logits_per_image[0].argmax() == 0))
        chance.append(1 / len(texts))
    return measure("right caption among 16 near misses (CLIP)", scores, sum(chance) / len(chance))


@torch.inference_mode()
def evaluate_claims(reader: Reader, scenes: list[Scene], rng: random.Random) -> Figure:
    """The same choice by the language model: of seventeen "is the … left of the …?" the one it affirms most."""
    yes, no = (reader.processor.tokenizer(word).input_ids[0] for word in ("yes", "no"))
    scores, chance = [], []
    for scene in scenes:
        caption = write_caption(scene, rng, pair=True)
        if not caption.link:
            continue
        texts = [str(caption), *write_near_misses(scene, caption, rng)]
        questions = [re.sub(r"\ban? ", "the ", f"is {text}?") for text in texts]
        logits = reader.model(**reader.write_inputs([scene.draw(128)] * len(texts), questions)).logits[:, -1]
        scores.append(float((logits[:, yes] - logits[:, no]).argmax() == 0))
        chance.append(1 / len(texts))
    return measure("right caption among 16 near misses (language model's yes)", scores, sum(chance) / len(chance))


def covers(thing: Thing, patch: int) -> bool:
    """Whether the patch's middle lies in the object's box."""
    x, y = (patch % GRID + 0.5) / GRID, (patch // GRID + 0.5) / GRID
    x1, y1, x2, y2 = thing.box
    return x1 <= x <= x2 and y1 <= y <= y2


def share_covered(thing: Thing) -> float:
    """How often a patch taken at random would hit."""
    return sum(covers(thing, patch) for patch in range(PATCHES)) / PATCHES


@torch.inference_mode()
def evaluate_encoder_pointing(folder: Path, scenes: list[Scene], rng: random.Random) -> Figure:
    """The patch most like "a red star" lies in the red star's box (one object a scene)."""
    model, processor = load_clip(folder)
    hits, chance = [], []
    for scene in scenes:
        thing = rng.choice(scene.things)
        inputs = processor(images=scene.draw(128), text=[f"a {thing.name}"], return_tensors="pt")
        hidden = model.vision_model(inputs.pixel_values).last_hidden_state[:, 1:]
        patches = F.normalize(model.visual_projection(model.vision_model.post_layernorm(hidden)), dim=-1)[0]
        text = F.normalize(model.text_projection(model.text_model(inputs.input_ids).pooler_output), dim=-1)[0]
        hits.append(float(covers(thing, int((patches @ text).argmax()))))
        chance.append(share_covered(thing))
    return measure("pointing game: encoder, patch most like the phrase", hits, sum(chance) / len(chance))


@torch.inference_mode()
def evaluate_token_pointing(reader: Reader, asked: list[Asked]) -> list[Figure]:
    """Where the token about to answer "what colour is the star?" looks: the taught heads, and all heads averaged."""
    taught, every, chance = [], [], []
    for one in asked:
        thing = one.scene.things[one.turn.spans[0][2][0]]
        inputs = reader.write_inputs([one.scene.draw(128)], [one.turn.question])
        maps = torch.stack(reader.model(**inputs, output_attentions=True).attentions)[:, 0, :, -1]  # [L, H, T]
        maps = maps[..., inputs["input_ids"][0] == IMAGE]  # [L, H, PATCHES]
        heads = torch.stack([maps[layer, head] for layer, head in POINTING_HEADS])
        taught.append(float(covers(thing, int(heads.mean(0).argmax()))))
        every.append(float(covers(thing, int(maps.mean((0, 1)).argmax()))))
        chance.append(share_covered(thing))
    base = sum(chance) / len(chance)
    return [
        measure("pointing game: answer token, taught heads", taught, base),
        measure("pointing game: answer token, all heads averaged", every, base),
    ]
