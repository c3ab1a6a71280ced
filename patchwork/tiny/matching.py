"""What the CLIP learns from captions: which of them fits a picture, near misses included, and where its objects are."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import chain, product

import torch
import torch.nn.functional as F
from torch import nn
from transformers import CLIPModel, PreTrainedTokenizerFast

from patchwork.tiny.captions import Caption, Mention, is_true, spoil, write_caption
from patchwork.tiny.shapes import KINDS
from patchwork.tiny.world import COLOURS, HELD_OUT, Scene

MISSES = {"attribute": 4, "relation": 3, "object": 2}
"""Near misses of each caption of two objects, by what is swapped."""
NAMES = [pair for pair in product(COLOURS, KINDS) if pair not in HELD_OUT]
BANK = [f"{Mention(kind, colour)}" for colour, kind in NAMES]
"""Every colour and kind that training may show: what a picture is asked for all at once."""
CLOSED = -1e4
"""A logit that is out of the race."""


@dataclass(frozen=True)
class Choice:
    """A caption of one picture, the first, and near misses of it."""

    captions: tuple[Caption, ...]


class PlaceHead(nn.Module):
    """Where a named object is, from the picture's one vector and the name's. Dropped after training: it only makes the
    vector hold places, from which "left of" and "above" can then be learnt."""

    def __init__(self, width: int, inner: int = 192) -> None:
        super().__init__()
        self.picture, self.name = nn.Linear(width, inner), nn.Linear(width, inner)
        self.out = nn.Linear(inner, 2)

    def forward(self, image: torch.Tensor, name: torch.Tensor) -> torch.Tensor:
        """[n, D] and [n, D] → [n, 2]: x and y of the middle, in shares of the side."""
        return self.out(self.picture(image) * self.name(name)) + 0.5


def write_choice(scene: Scene, rng: random.Random, pair: bool) -> Choice:
    """With `pair` two named objects and their relation where there are two; else anything that can be said."""
    caption = write_caption(scene, rng, pair=pair)
    misses: dict[str, Caption] = {}
    for how, wanted in MISSES.items():
        for _ in range(wanted if pair else 1):
            missed = spoil(scene, caption, how, rng)
            if missed and not any((one.colour, one.kind) in HELD_OUT for one in missed.mentions):
                misses[str(missed)] = missed
    return Choice((caption, *misses.values()))


def embed_texts(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> torch.Tensor:
    """Unit-length text embeddings [n, D]."""
    tokens = tokenizer(texts, padding=True, return_tensors="pt").to(model.device)
    pooled = model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output
    return F.normalize(model.text_projection(pooled).float(), dim=-1)


def embed_hidden(model: CLIPModel, hidden: torch.Tensor) -> torch.Tensor:
    """The last layer's vectors, the picture's own token first, in the space shared with texts: unit length."""
    return F.normalize(model.visual_projection(model.vision_model.post_layernorm(hidden)).float(), dim=-1)


def matching_loss(
    model: CLIPModel,
    tokenizer: PreTrainedTokenizerFast,
    hidden: torch.Tensor,
    owners: torch.Tensor,
    scenes: list[Scene],
    rng: random.Random,
    places: PlaceHead,
) -> tuple[torch.Tensor, dict[str, float]]:
    """`hidden` [B, 1 + N, D] is the tower's last layer; `owners` [B, N] the object of each patch.

    Each picture against its own near misses (two objects related, and anything), against every name in `BANK`, and
    asked for the place of each object; the same of the sum of its objects' vectors, which the picture's own is to be
    like; the batch's pictures against its captions; each object's patches against `BANK`.
    """
    pairs = [write_choice(scene, rng, pair=True) for scene in scenes]
    others = [write_choice(scene, rng, pair=False) for scene in scenes]
    groups = [BANK, *([str(caption) for caption in choice.captions] for choice in (*pairs, *others))]
    bank, *texts = embed_texts(model, tokenizer, list(chain(*groups))).split([len(group) for group in groups])
    shared, scale = embed_hidden(model, hidden), model.logit_scale.exp().clamp(max=100)
    with torch.autocast(model.device.type, enabled=False):  # bfloat16 would blur the margins between near misses
        return compare(shared, bank, texts, owners, scenes, pairs, scale, places)


def compare(shared, bank, texts, owners, scenes: list[Scene], pairs: list[Choice], scale, places: PlaceHead):
    """The loss, and what is watched, of embedded pictures [B, 1 + N, D], names and captions."""
    image, objects = shared[:, 0], pool_objects(shared[:, 1:], owners, scenes)
    pointing, pointed = point_at_objects(objects, bank, scenes, scale)
    whole = add_objects(objects, scenes)
    loss, seen = judge(image, texts, bank, scenes, scale, places)
    ideal, also = judge(whole, texts, bank, scenes, scale, places)
    agree = (1 - (image * whole.detach()).sum(-1)).mean()
    batch = match_batch(image, torch.stack([text[0] for text in texts[: len(scenes)]]), scenes, pairs, scale)
    seen |= {f"ideal {name}": also[name] for name in ("right", "named", "off")}
    seen |= {"agree": agree.item(), "batch": batch.item(), "pointing": pointing.item(), "pointed": pointed}
    total = loss + 0.7 * ideal + agree + 0.4 * batch + 0.4 * pointing
    return total, seen | count_beaten(image, texts, pairs)


def judge(image, texts, bank, scenes: list[Scene], scale, places: PlaceHead) -> tuple[torch.Tensor, dict[str, float]]:
    """How well a vector [B, D] of each picture knows its captions from their near misses, its names and places."""
    near, right = choose_own(image, texts[: len(scenes)], scale)
    other, _ = choose_own(image, texts[len(scenes) :], scale)
    named, off = find_names(image, bank, scenes, scale), miss_places(places, image, bank, scenes)
    seen = {"near": near.item(), "right": right, "other": other.item(), "named": named.item(), "off": off.item()}
    return 1.5 * near + 0.7 * other + 0.7 * named + 3 * off, seen


def pool_objects(patches: torch.Tensor, owners: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
    """The patches of each object, averaged: unit length, [objects, D]."""
    rows, numbers, _ = torch.tensor(list_objects(scenes), device=owners.device).T
    member = (owners[rows] == numbers[:, None]).float()  # [objects, N]
    return F.normalize(torch.einsum("on,ond->od", member, patches[rows]), dim=-1)


def add_objects(objects: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
    """What a picture's vector could be: the sum of its objects', unit length [B, D]. It teaches patches to hold what
    the picture's own token has to collect, and the token to collect it."""
    rows, _, _ = torch.tensor(list_objects(scenes), device=objects.device).T
    total = torch.zeros(len(scenes), objects.shape[-1], device=objects.device)
    return F.normalize(total.index_add(0, rows, objects), dim=-1)


def choose_own(image: torch.Tensor, texts: list[torch.Tensor], scale: torch.Tensor) -> tuple[torch.Tensor, float]:
    """(loss, share right): each picture picks its caption, the first of its own texts, among them."""
    padded = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)  # [B, most, D]
    there = torch.tensor([[k < len(text) for k in range(padded.shape[1])] for text in texts], device=image.device)
    logits = (torch.einsum("bd,bkd->bk", image, padded) * scale).masked_fill(~there, CLOSED)
    target = torch.zeros(len(texts), dtype=torch.long, device=image.device)
    return F.cross_entropy(logits, target), (logits.argmax(-1) == 0).float().mean().item()


def count_beaten(image: torch.Tensor, texts: list[torch.Tensor], pairs: list[Choice]) -> dict[str, float]:
    """How often the caption of two objects beats a near miss: with the same link and names exchanged, or not."""
    beaten: dict[str, list[float]] = {"beats relation": [], "beats names": []}
    for vector, text, choice in zip(image.detach(), texts, pairs, strict=False):
        scores, first = (text.detach() @ vector).tolist(), choice.captions[0]
        for score, missed in zip(scores[1:], choice.captions[1:], strict=True):
            same = {str(one) for one in missed.mentions} == {str(one) for one in first.mentions}
            beaten["beats relation" if same else "beats names"].append(float(scores[0] > score))
    return {name: sum(values) / len(values) for name, values in beaten.items() if values}


def match_batch(image, captions, scenes: list[Scene], pairs: list[Choice], scale) -> torch.Tensor:
    """Pictures against the captions of the batch, both ways; what is also true of a picture is no mistake."""
    also_true = torch.tensor(
        [[i != j and is_true(s, c.captions[0], -0.02) for j, c in enumerate(pairs)] for i, s in enumerate(scenes)]
    )
    logits = (image @ captions.T * scale).masked_fill(also_true.to(image.device), CLOSED)  # [B, B]
    target = torch.arange(len(scenes), device=image.device)
    return 0.5 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))


def list_objects(scenes: list[Scene]) -> list[tuple[int, int, int]]:
    """(row, number in the scene, index of its name in the bank) of every object."""
    return [
        (row, number, NAMES.index((thing.colour, thing.kind)))
        for row, scene in enumerate(scenes)
        for number, thing in enumerate(scene.things)
    ]


def miss_places(places: PlaceHead, image: torch.Tensor, bank: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
    """How far off the places are, in shares of the side."""
    rows, numbers, names = torch.tensor(list_objects(scenes)).T
    truth = [scenes[b].things[j].centre for b, j in zip(rows.tolist(), numbers.tolist(), strict=True)]
    guess = places(image[rows], bank[names]).float()
    return F.smooth_l1_loss(guess, torch.tensor(truth, device=guess.device), beta=0.05)


def find_names(image: torch.Tensor, bank: torch.Tensor, scenes: list[Scene], scale: torch.Tensor) -> torch.Tensor:
    """Each name that is there against all that are not: the picture's one vector must hold every object, bound."""
    present = torch.zeros(len(scenes), len(BANK), dtype=torch.bool)
    rows, _, names = torch.tensor(list_objects(scenes)).T
    present[rows, names] = True
    present = present.to(image.device)
    logits = image @ bank.T * scale  # [B, names]
    absent = logits.masked_fill(present, CLOSED).logsumexp(-1, keepdim=True)
    return F.softplus(absent - logits)[present].mean()


def point_at_objects(objects, bank, scenes: list[Scene], scale) -> tuple[torch.Tensor, float]:
    """(loss, share right): the patches of each object find its name in the bank."""
    _, _, target = torch.tensor(list_objects(scenes), device=objects.device).T
    logits = objects @ bank.T * scale
    return F.cross_entropy(logits, target), (logits.argmax(-1) == target).float().mean().item()
