"""What a bridge hands over, read as words and as points, and what the model answers when it is broken.

Knows no page. Readings stand beside a control: the same reading with the patches shuffled.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import nn

from patchwork.changes import Change, change, check_places
from patchwork.errors import Problem
from patchwork.families.encoders import find_region
from patchwork.families.parts import Parts, find_parts
from patchwork.families.protocol import Model, PatchGrid
from patchwork.images import letterbox

MOST_LAYERS = 8
"""Deep models are read at so many of their layers, the first and the last among them."""


@dataclass(frozen=True)
class Seen:
    """One pass over picture, question and (where asked) an answer of A tokens. N places of the picture.

    `taken` [N, vision width], `given` [N, width]: what the bridge took and gave. `hidden`: layer → [N, width] at the
    picture's places, the last one behind the final norm. `logits` [A + 1, vocabulary]: the answer's tokens and its end.
    """

    taken: torch.Tensor
    given: torch.Tensor
    hidden: dict[int, torch.Tensor]
    layers: int
    logits: torch.Tensor


@dataclass(frozen=True)
class Reading:
    """One word per place; `control` is what the same places say with shuffled patches.

    `follows`: share of places where the shuffled reading is the word of the patch that now stands there.
    `stays`: share where it is the word that stood there before, though the patch has gone.
    """

    name: str
    words: list[str]
    scores: list[float]
    control: list[str]
    follows: float
    stays: float


def look(
    model: Model, picture: Image.Image, question: str, wanted: Change | None = None, said: Sequence[int] = ()
) -> Seen:
    """Run the model once; `said`: token ids put behind the question. Raises `Problem` for a model built otherwise."""
    parts = find_parts(model.model)
    inputs = append_tokens(dict(model.prepare([picture], question)), said)
    with torch.inference_mode(), change(parts, wanted or Change()) as seen:
        output = model.model(**inputs, output_hidden_states=True, use_cache=False)
    places = inputs["input_ids"][0] == parts.image_token_id
    layers = len(output.hidden_states) - 1
    hidden = {layer: output.hidden_states[layer][0, places].float() for layer in choose_layers(layers)}
    logits = output.logits[0, -1 - len(said) :].float()
    return Seen(seen.taken.float(), seen.given.float(), hidden, layers, logits)


def append_tokens(inputs: dict, said: Sequence[int]) -> dict:
    """The prompt's ids [1, T] and mask, longer by these tokens; others of that shape get zeros, which mean text."""
    ids = inputs["input_ids"]
    more = torch.tensor([said], dtype=ids.dtype, device=ids.device)
    filled = {"input_ids": more, "attention_mask": torch.ones_like(more)}
    return {
        name: torch.cat([value, filled.get(name, torch.zeros_like(more)).to(value.dtype)], 1)
        if value.shape == ids.shape
        else value
        for name, value in inputs.items()
    }


def choose_layers(layers: int, most: int = MOST_LAYERS) -> list[int]:
    """Layers 1 … `layers`, thinned out evenly where there are many."""
    if layers <= most:
        return list(range(1, layers + 1))
    return sorted({round(1 + step * (layers - 1) / (most - 1)) for step in range(most)})


def shuffle(count: int, seed: int = 1) -> torch.Tensor:
    """A fixed order in which no patch keeps its place: [count]."""
    mixed = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    order = torch.empty_like(mixed)
    order[mixed] = mixed.roll(1)
    return order


def read_words(model: Model, picture: Image.Image, question: str) -> tuple[Seen, list[Reading]]:
    """After the bridge (nearest input embedding), then layer by layer (logit lens), each with its control."""
    parts = find_parts(model.model)
    plain = look(model, picture, question)
    order = shuffle(len(plain.given))
    mixed = look(model, picture, question, Change(order=order))
    known = list_words(model.processor.tokenizer)
    readings = [compare("after the bridge", read_nearest(parts, plain.given, known), order, known)]
    for layer, hidden in plain.hidden.items():
        last = layer == plain.layers
        here, there = (read_lens(parts, seen, known, last) for seen in (hidden, mixed.hidden[layer]))
        readings.append(compare(f"layer {layer} of {plain.layers}", here, order, known, there[0]))
    return plain, readings


def list_words(tokenizer) -> dict[int, str]:
    """Token id → its text, for tokens that a reader can read: at least two letters, or one digit."""
    size = len(tokenizer)
    texts = tokenizer.batch_decode([[token] for token in range(size)], skip_special_tokens=True)
    stripped = ((token, text.strip()) for token, text in enumerate(texts))
    return {token: text for token, text in stripped if text.isdigit() or (len(text) > 1 and text.isalpha())}


def read_nearest(parts: Parts, vectors: torch.Tensor, known: dict[int, str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine with every readable token's input embedding: (index into `known` [N], cosine [N])."""
    table = parts.embed.weight[list(known)].float()
    cosines = nn.functional.normalize(vectors, dim=-1) @ nn.functional.normalize(table, dim=-1).T
    scores, words = cosines.max(-1)
    return words.cpu(), scores.cpu()


def read_lens(
    parts: Parts, hidden: torch.Tensor, known: dict[int, str], normed: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """The model's own head put on a middle layer (nostalgebraist 2020): (index into `known`, share among all tokens).

    Only the last layer's states have passed the final norm already.
    """
    with torch.inference_mode():
        states = hidden.to(parts.head.weight.dtype)
        logits = parts.head(states if normed else parts.language.norm(states)).float()
    shares = logits.softmax(-1)[:, list(known)]
    scores, words = shares.max(-1)
    return words.cpu(), scores.cpu()


def compare(name: str, here, order: torch.Tensor, known: dict[int, str], there: torch.Tensor | None = None) -> Reading:
    """`there` [N]: the shuffled reading; where a reading sees one patch alone, shuffling only moves it."""
    words, scores = here
    control = words[order] if there is None else there
    texts = list(known.values())
    return Reading(
        name,
        [texts[index] for index in words.tolist()],
        [round(score, 4) for score in scores.tolist()],
        [texts[index] for index in control.tolist()],
        share_equal(texts, control, words[order]),
        share_equal(texts, control, words),
    )


def share_equal(texts: list[str], ones: torch.Tensor, others: torch.Tensor) -> float:
    """Of places with the same word as a reader sees it: two tokens may differ by a space alone."""
    pairs = list(zip(ones.tolist(), others.tolist(), strict=True))
    return sum(texts[one] == texts[other] for one, other in pairs) / len(pairs)


# ---- before the bridge


def read_encoder(model: Model, picture: Image.Image, order: torch.Tensor) -> Reading | None:
    """The picture's patches in a text space that grew from this encoder; None where there is none on board.

    The bundled CLIP's first layers are this encoder's own; its last ones went on to learn captions. The language
    model's words are of no use here: the vectors have another width, or the same by accident and another meaning.
    """
    if not model.card.bundled:
        return None
    clip, phrases, texts = load_text_side()
    if not count_shared_layers(clip.vision_model, find_parts(model.model).tower):
        return None
    pixels = model.prepare([picture], "")["pixel_values"].cpu().float()
    with torch.inference_mode():
        hidden = clip.vision_model(pixels).last_hidden_state[0, 1:]
        patches = clip.visual_projection(clip.vision_model.post_layernorm(hidden))
        cosines = nn.functional.normalize(patches, dim=-1) @ texts.T
    scores, words = cosines.max(-1)
    return compare("before the bridge", (words, scores), order, dict(enumerate(phrases)))


@functools.cache
def load_text_side():
    """(bundled CLIP, phrases, their unit vectors [n, width]): every colour and kind of the drawn world."""
    from transformers import AutoTokenizer, CLIPModel

    from patchwork.tiny import WEIGHTS
    from patchwork.tiny.world import COLOURS, KINDS

    clip = CLIPModel.from_pretrained(WEIGHTS / "clip", dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS / "clip")
    phrases = [f"{colour} {kind}" for colour in COLOURS for kind in KINDS]
    with torch.inference_mode():
        texts = clip.get_text_features(**tokenizer(phrases, padding=True, return_tensors="pt"))
    return clip, phrases, nn.functional.normalize(getattr(texts, "pooler_output", texts), dim=-1)


def count_shared_layers(one: nn.Module, other: nn.Module) -> int:
    """Layers from the bottom up that are equal number for number, after equal embeddings; 0 where those differ."""

    def equal(mine: nn.Module, theirs: nn.Module) -> bool:
        state = theirs.state_dict()
        return all(torch.equal(tensor, state[name].float().cpu()) for name, tensor in mine.state_dict().items())

    if not equal(one.embeddings, other.embeddings):
        return 0
    pairs = zip(one.encoder.layers, other.encoder.layers, strict=True)
    return sum(1 for _ in itertools.takewhile(lambda pair: equal(*pair), pairs))


# ---- as points


@dataclass(frozen=True)
class Plane:
    """Two principal axes of one space: `patches` and `words` [n][2], and the share of variance of each axis."""

    patches: list[list[float]]
    words: list[list[float]]
    explained: list[float]


def lay_flat(patches: torch.Tensor, words: torch.Tensor | None = None) -> Plane:
    """Principal components of the patches; with `words`, of both together, so that a gap between them shows."""
    both = patches if words is None else torch.cat([patches, words])
    centred = (both - both.mean(0)).double()
    _, sizes, axes = torch.linalg.svd(centred, full_matrices=False)
    flat = centred @ axes[:2].T
    shares = sizes.square() / sizes.square().sum()
    points = [[round(x, 4), round(y, 4)] for x, y in flat.tolist()]
    return Plane(points[: len(patches)], points[len(patches) :], [round(share, 4) for share in shares[:2].tolist()])


def lay_both(model: Model, seen: Seen) -> tuple[Plane, Plane]:
    """The encoder's space, and the language model's with its readable words' embeddings."""
    parts = find_parts(model.model)
    words = parts.embed.weight[list(list_words(model.processor.tokenizer))[:2000]]
    return lay_flat(seen.taken.cpu()), lay_flat(seen.given.cpu(), words.detach().float().cpu())


def compare_lengths(model: Model, seen: Seen) -> float:
    """Mean length of the patches' vectors after the bridge ÷ mean length of the words' input embeddings."""
    words = find_parts(model.model).embed.weight[list(list_words(model.processor.tokenizer))].detach().float()
    return (seen.given.norm(dim=-1).mean() / words.norm(dim=-1).mean()).item()


def find_grid(model: Model, picture: Image.Image, places: int) -> PatchGrid:
    """How the places lie on the picture; one row where they form no square or the processor crops in its own way."""
    side = math.isqrt(places)
    if side * side != places:
        return PatchGrid(1, places, (0.0, 0.0, *map(float, picture.size)))
    square, (left, top, *_) = letterbox(picture) if model.card.letterbox else (picture, (0.0, 0.0))
    settings = model.processor.image_processor.to_dict()
    try:
        seen = settings["crop_size"] if settings.get("do_center_crop") else settings["size"]
        x1, y1, x2, y2 = find_region(square.size, settings, (seen["width"], seen["height"]))
    except (KeyError, TypeError, ValueError):
        return PatchGrid(side, side, (0.0, 0.0, *map(float, picture.size)))
    return PatchGrid(side, side, (x1 + left, y1 + top, x2 + left, y2 + top))


# ---- broken


BREAKS = {
    "zeroed": "the bridge hands over zeros",
    "shuffled": "the bridge's vectors in another order",
    "unplaced": "no position embedding in the encoder",
    "blank": "a grey picture instead of yours",
}


@dataclass(frozen=True)
class Broken:
    """`moved`: how far the shares of the intact answer's tokens moved (total variation, 0–1, mean over the tokens)."""

    name: str
    answer: str
    moved: float


def plan_break(name: str, parts: Parts, places: int) -> Change:
    if name not in (*BREAKS, "intact"):
        raise Problem(f"There is no break named {name!r}; choose among {', '.join(BREAKS)}.")
    if name == "unplaced":
        check_places(parts)
    return Change(
        zeroed=name == "zeroed",
        order=shuffle(places) if name == "shuffled" else None,
        unplaced=name == "unplaced",
    )


def grey(picture: Image.Image) -> Image.Image:
    return Image.new("RGB", picture.size, (127, 127, 127))


def answer_broken(
    model: Model, picture: Image.Image, question: str, name: str, intact: str = "", most_tokens: int = 32
) -> Broken:
    """The answer under one break (or `intact`), and how far it moved from the answer `intact`."""
    parts = find_parts(model.model)
    said = model.processor.tokenizer(intact, add_special_tokens=False).input_ids
    plain = look(model, picture, question, said=said)
    wanted = plan_break(name, parts, len(plain.given))
    shown = grey(picture) if name == "blank" else picture
    with change(parts, wanted):
        answer = "".join(model.chat([shown], question, max_new_tokens=most_tokens)).strip()
    if name == "intact":
        return Broken(name, answer, 0.0)
    seen = look(model, shown, question, wanted, said)
    apart = plain.logits.softmax(-1) - seen.logits.softmax(-1)
    return Broken(name, answer, round(0.5 * apart.abs().sum(-1).mean().item(), 4))


def compare_blind(model: Model, picture: Image.Image, question: str) -> float:
    """Largest difference between the logits for this picture and for a grey one, both behind a bridge of zeros."""
    one, other = (look(model, shown, question, Change(zeroed=True)) for shown in (picture, grey(picture)))
    return (one.logits - other.logits).abs().max().item()


def average_colours(picture: Image.Image, grid: PatchGrid) -> Sequence[str]:
    """The mean colour of the picture under each place, as #rrggbb, row by row."""
    box = tuple(round(edge) for edge in grid.region)
    small = picture.crop(box).resize((grid.columns, grid.rows), Image.Resampling.BOX)
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in small.get_flattened_data()]
