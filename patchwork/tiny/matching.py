"""What the CLIP learns from captions: which of them fits a picture, near misses included, and where its objects are."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from transformers import CLIPModel, PreTrainedTokenizerFast

from patchwork.tiny.captions import Caption, Mention, is_true, spoil, write_caption
from patchwork.tiny.data import GRID
from patchwork.tiny.shapes import KINDS
from patchwork.tiny.teacher import Teachers
from patchwork.tiny.world import COLOURS, HELD_OUT, Scene

MISSES = {"attribute": 4, "relation": 3, "object": 2}
"""Near misses of each caption of two objects, by what is swapped."""
NAMES = [pair for pair in product(COLOURS, KINDS) if pair not in HELD_OUT]
NAMED = [Caption((Mention(kind, colour),)) for colour, kind in NAMES]
BANK = [str(caption) for caption in NAMED]
"""Every colour and kind that training may show: what a picture is asked for all at once."""
CLOSED = -1e4
"""A logit that is out of the race."""


@dataclass(frozen=True)
class Choice:
    """A caption of one picture, the first, and near misses of it."""

    captions: tuple[Caption, ...]


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


def embed_texts(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: list[str], together: int = 160
) -> torch.Tensor:
    """Unit-length text embeddings [n, D]. Texts of about one length go together: padding would be most of the work."""
    ids = tokenizer(texts).input_ids
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    pooled = []
    for start in range(0, len(order), together):
        group = {"input_ids": [ids[i] for i in order[start : start + together]]}
        tokens = tokenizer.pad(group, return_tensors="pt").to(model.device)
        pooled.append(model.text_model(tokens.input_ids, attention_mask=tokens.attention_mask).pooler_output)
    place = torch.tensor(order).argsort().to(model.device)
    return F.normalize(model.text_projection(torch.cat(pooled)[place]).float(), dim=-1)


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
    teachers: Teachers,
    freedom: float,
) -> tuple[torch.Tensor, dict[str, float]]:
    """`hidden` [B, 1 + N, D] is the tower's last layer; `owners` [B, N] the object of each patch.

    At `freedom` 0 pictures, objects and captions only imitate the teachers; at 1 the captions alone count: each picture
    against its own near misses (two objects related, and anything) and against every name in `BANK`, the batch's
    pictures against its captions, and each object's patches against `BANK`. Throughout, each name finds its patches.
    """
    choices = [write_choice(scene, rng, pair) for pair in (True, False) for scene in scenes]
    captions = [*NAMED, *(caption for choice in choices for caption in choice.captions)]
    embedded = embed_texts(model, tokenizer, [str(caption) for caption in captions])
    shared, scale = embed_hidden(model, hidden), model.logit_scale.exp().clamp(max=100)
    with torch.autocast(model.device.type, enabled=False):  # bfloat16 would blur the margins between near misses
        objects = pool_objects(shared[:, 1:], owners, scenes)
        imitated, seen = imitate(teachers, shared[:, 0], objects, embedded, scenes, captions)
        lengths = [len(NAMED), *(len(choice.captions) for choice in choices)]
        matched, more = compare(shared[:, 0], objects, embedded.split(lengths), scenes, choices, scale)
        found, hit = find_patches(shared[:, 1:], embedded[: len(NAMED)], owners, scenes, scale)
    return (1 - freedom) * imitated + freedom * matched + 0.5 * found, seen | more | {"hit": hit}


def imitate(teachers: Teachers, image, objects, embedded, scenes: list[Scene], captions: list[Caption]):
    """How far pictures, objects and captions are from where the teachers put them; of a turn by 60° it is half."""
    with torch.no_grad():
        goals = teachers.embed_scenes(scenes), teachers.embed_objects(scenes), teachers.embed_captions(captions)
    off = [(1 - (a * b).sum(-1)).mean() for a, b in zip((image, objects, embedded), goals, strict=True)]
    names = ("picture off", "object off", "caption off")
    return 20 * (off[0] + 0.5 * off[1] + off[2]), {n: o.item() for n, o in zip(names, off, strict=True)}


def compare(image, objects, texts, scenes: list[Scene], choices: list[Choice], scale):
    """The loss, and what is watched, of pictures [B, D], objects [objects, D], and the names' and captions' vectors."""
    (bank, *texts), batch = texts, len(scenes)
    near, right = choose_own(image, texts[:batch], scale)
    other, _ = choose_own(image, texts[batch:], scale)
    named, (pointing, pointed) = find_names(image, bank, scenes, scale), point_at_objects(objects, bank, scenes, scale)
    paired = match_batch(image, torch.stack([text[0] for text in texts[:batch]]), scenes, choices[:batch], scale)
    loss = 1.5 * near + 0.7 * other + 0.7 * named + 0.4 * paired + 0.4 * pointing
    seen = {"near": near.item(), "right": right, "other": other.item(), "named": named.item(), "batch": paired.item()}
    return loss, seen | {"pointed": pointed, "scale": scale.item()} | count_beaten(image, texts, choices[:batch])


def pool_objects(patches: torch.Tensor, owners: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
    """The patches of each object, averaged: unit length, [objects, D]."""
    rows, numbers, _ = torch.tensor(list_objects(scenes), device=owners.device).T
    member = (owners[rows] == numbers[:, None]).float()  # [objects, N]
    return F.normalize(torch.einsum("on,ond->od", member, patches[rows]), dim=-1)


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


def find_patches(patches, bank, owners, scenes: list[Scene], scale) -> tuple[torch.Tensor, float]:
    """(loss, share right): of all patches of its picture [B, N, D], the name of each object finds one of its own whose
    middle lies in the object's box."""
    rows, objects, names = torch.tensor(list_objects(scenes), device=patches.device).T
    logits = torch.einsum("ond,od->on", patches[rows], bank[names]) * scale  # [objects, N]
    own = (owners[rows] == objects[:, None]) & mark_middles(scenes).to(patches.device)
    share = logits.log_softmax(-1).masked_fill(~own, CLOSED).logsumexp(-1)
    hit = own.gather(1, logits.argmax(-1, keepdim=True)).float().mean()
    return -share[own.any(-1)].mean(), hit.item()


def mark_middles(scenes: list[Scene]) -> torch.Tensor:
    """[objects, GRID²]: which patches have their middle in the object's box."""
    boxes = torch.tensor([thing.box for scene in scenes for thing in scene.things])  # [objects, 4]
    middles = (torch.arange(GRID) + 0.5) / GRID
    across = (boxes[:, :1] <= middles) & (middles <= boxes[:, 2:3])
    down = (boxes[:, 1:2] <= middles) & (middles <= boxes[:, 3:])
    return (down[:, :, None] & across[:, None, :]).flatten(1)
