"""Stages 1 and 2: the language model behind the encoder. Many questions share one picture in a packed sequence."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from patchwork.tiny.encoder import VISION, WIDTH, normalise
from patchwork.tiny.precision import mix_precision
from patchwork.tiny.questions import WEIGHTS, Turn
from patchwork.tiny.tokenizer import ASSISTANT, BOS, EOS, IMAGE, PAD, USER

TYPES = ("describe", *WEIGHTS, "field", "two fields")
PATCHES = 64  # of one view
MARKS = 2  # <s> <|user|>; they and the views' patches are the prefix, seen by every question
PREFIX = MARKS + PATCHES  # of one view
POINTING_HEADS = ((1, 0), (1, 1), (2, 0), (2, 1))
"""(layer, head) pairs that are taught to look at the object spoken of; of two objects, head 0 at the first."""
PREVIOUS_HEADS = ((1, 2), (1, 3))
"""While a description goes from object to object, these are taught to look at the one named before."""
COMPARING_HEADS = ((3, 0), (3, 1))
"""Where two objects are compared, these look back at the names of the first and of the second in the question."""
UPPER = 3
"""The first of the tower's layers that learn at the end of stage 2: those that the CLIP learns anew as well."""


def build_vlm(vocabulary: int, between: str = "gelu") -> LlavaForConditionalGeneration:
    """`between` is the activation between the projector's two layers; with "linear" they are one linear map."""
    text = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**VISION),
        text_config=text,
        image_token_id=IMAGE,
        projector_hidden_act=between,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=PATCHES,
        tie_word_embeddings=True,
    )
    return LlavaForConditionalGeneration._from_config(config, attn_implementation="eager")


def copy_tower(model: LlavaForConditionalGeneration, encoder: torch.nn.Module) -> None:
    """Put the encoder's vision weights into the VLM and freeze them."""
    tower = model.model.vision_tower
    tower.load_state_dict(encoder.vision_model.state_dict())
    tower.requires_grad_(False)


def free_upper_layers(model: LlavaForConditionalGeneration) -> None:
    """From here on the tower's layers from UPPER on learn too; what lies below stays as it is."""
    for name, parameter in model.model.vision_tower.named_parameters():
        layer = re.search(r"layers\.(\d+)\.", name)
        parameter.requires_grad_(layer is not None and int(layer[1]) >= UPPER)


def run_tower(model: LlavaForConditionalGeneration, pictures: np.ndarray) -> torch.Tensor:
    """The tower's patches [n, PATCHES, WIDTH], on the model's device and with gradients where it learns."""
    pixels = normalise(pictures).to(model.device)
    with mix_precision(model.device):
        return model.model.vision_tower(pixels, output_hidden_states=True).hidden_states[-1][:, 1:]


@torch.inference_mode()
def encode_pictures(model: LlavaForConditionalGeneration, pictures: np.ndarray) -> torch.Tensor:
    """The same of a frozen tower: bfloat16, on the CPU."""
    return run_tower(model, pictures).to("cpu", torch.bfloat16)


class LiveFeatures:
    """What a tower that learns makes of pictures, worked out each time."""

    def __init__(self, model: LlavaForConditionalGeneration, pictures, count: int) -> None:
        self.model, self.pictures = model, pictures

    def take(self, seeds: np.ndarray) -> torch.Tensor:
        return run_tower(self.model, self.pictures(seeds))


class FeatureCache:
    """What a frozen tower makes of pictures, worked out when first asked for and kept (25 kB each)."""

    def __init__(self, model: LlavaForConditionalGeneration, pictures, count: int) -> None:
        self.model, self.pictures = model, pictures
        self.features = torch.empty(count, PATCHES, WIDTH, dtype=torch.bfloat16)
        self.known = np.zeros(count, bool)

    def take(self, seeds: np.ndarray) -> torch.Tensor:
        missing = np.unique(seeds[~self.known[seeds]])
        if len(missing):
            self.features[missing] = encode_pictures(self.model, self.pictures(missing))
            self.known[missing] = True
        return self.features[seeds]


@dataclass
class Packed:
    """`ids`, `positions`, `segments`, `labels`, `weights`, `types`: [B, T]; `targets`: bool [2, B, T, patches].

    `weights` makes a long answer count less per token, and a comparison twice, because it is learnt last; `types`
    numbers the type at each answer's first token, else −1; `targets` are the patches to look at, for the first and for
    the second pointing head of a layer; `before` [B, T, patches] those of the object that a description named last;
    `names` [2, B, T] where in the sequence the two compared objects were named, −1 where none are compared.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    segments: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    types: torch.Tensor
    targets: torch.Tensor
    before: torch.Tensor
    names: torch.Tensor

    def to(self, device: torch.device) -> Packed:
        return Packed(**{name: tensor.to(device) for name, tensor in vars(self).items()})


def encode_turn(tokenizer: PreTrainedTokenizerFast, turn: Turn) -> tuple[list[int], list[int], list[tuple[int, ...]]]:
    """Question ids, answer ids, and per input position the objects spoken of: there, or by the token that follows."""
    asked = tokenizer(turn.question, return_offsets_mapping=True)
    spoken: list[tuple[int, ...]] = [()] * len(asked.input_ids)
    for _, end, objects in turn.asked:  # the last token of a name knows all of it
        spoken[max(i for i, (start, _) in enumerate(asked.offset_mapping) if start < end)] = objects
    answered = tokenizer(turn.answer, return_offsets_mapping=True)
    for start, end in answered.offset_mapping:
        spoken.append(next((objects for a, b, objects in turn.spans if start < b and end > a and start >= a - 1), ()))
    return [*asked.input_ids, ASSISTANT], [*answered.input_ids, EOS], [*spoken, ()]


def pack(
    tokenizer: PreTrainedTokenizerFast, examples: list[tuple[list[Turn], np.ndarray | None]], patches: int = PATCHES
) -> Packed:
    """(turns, owners of the patches) per picture → one sequence a picture; each turn restarts its positions."""
    prefix = MARKS + patches
    rows = [lay_out(tokenizer, turns, prefix) for turns, _ in examples]
    shape = (len(rows), max(len(row["ids"]) for row in rows))
    packed = Packed(
        ids=torch.full(shape, PAD),
        positions=torch.full(shape, prefix),
        segments=torch.full(shape, -1),
        labels=torch.full(shape, -100),
        weights=torch.zeros(shape),
        types=torch.full(shape, -1),
        targets=torch.zeros(2, *shape, patches, dtype=torch.bool),
        before=torch.zeros(*shape, patches, dtype=torch.bool),
        names=torch.full((2, *shape), -1),
    )
    for b, (row, (_, owners)) in enumerate(zip(rows, examples, strict=True)):
        for name in ("ids", "positions", "segments", "labels", "weights", "types"):
            getattr(packed, name)[b, : len(row[name])] = torch.tensor(row[name])
        for t, places in row["names"]:
            packed.names[:, b, t] = torch.tensor(places)
        if owners is not None:
            for side, looks in enumerate(zip(*row["looks"], strict=True)):
                mark_patches(packed.targets[side, b], looks, owners)
            mark_patches(packed.before[b], row["before"], owners)
    return packed


def lay_out(tokenizer: PreTrainedTokenizerFast, turns: list[Turn], prefix: int) -> dict[str, list]:
    """The columns of one packed sequence."""
    columns = ("ids", "positions", "segments", "labels", "weights", "types", "looks", "before", "names")
    row = {name: [] for name in columns}
    for number, turn in enumerate(turns, start=1):
        question, answer, spoken = encode_turn(tokenizer, turn)
        length, lead = len(question) + len(answer) - 1, len(question) - 1  # the last token is only predicted
        if turn.pair and turn.spans:
            start, compared = len(row["ids"]), [(thing,) for thing in turn.spans[0][2]]
            if any(thing not in spoken for thing in compared):  # printed lines: the question names their objects
                compared = [objects for _, _, objects in turn.asked]
            row["names"].append((start + lead, [start + spoken.index(thing) for thing in compared]))
        row["ids"] += (question + answer)[:-1]
        row["positions"] += range(prefix, prefix + length)
        row["segments"] += [number] * length
        row["labels"] += [-100] * lead + answer
        row["weights"] += [(2 if turn.pair else 1) * len(answer) ** -0.5] * length
        row["types"] += [-1] * lead + [TYPES.index(turn.type)] + [-1] * (len(answer) - 1)
        row["looks"] += [
            (objects[:1], objects[1:]) if turn.pair and len(objects) > 1 else (objects, objects)
            for objects in spoken[:length]
        ]
        named_before = {two[2]: one[2] for one, two in pairwise(turn.spans)} if turn.type == "describe" else {}
        row["before"] += [named_before.get(objects, ()) for objects in spoken[:length]]
    return row


def mark_patches(targets: torch.Tensor, looks: Iterable[tuple[int, ...]], owners: np.ndarray) -> None:
    """Fills [T, patches] with the patches of the objects to look at."""
    for t, objects in enumerate(looks):
        if objects:
            targets[t] = torch.from_numpy(np.isin(owners, objects))


def block_mask(segments: torch.Tensor, prefix: int) -> torch.Tensor:
    """[B, T] → additive [B, 1, prefix + T, prefix + T]: causal, and a turn sees the picture and itself only."""
    batch, length = segments.shape
    total = prefix + length
    blocks = torch.cat([torch.zeros(batch, prefix, dtype=torch.long, device=segments.device), segments], 1)
    allowed = (blocks[:, None, :] == 0) | (blocks[:, None, :] == blocks[:, :, None])
    allowed &= torch.ones(total, total, dtype=torch.bool, device=segments.device).tril()
    return torch.zeros(batch, 1, total, total, device=segments.device).masked_fill(~allowed[:, None], -1e9)


def run_packed(model: LlavaForConditionalGeneration, features: torch.Tensor, packed: Packed):
    """Hidden states of the turns [B, T, WIDTH] and every layer's attention [B, H, prefix + T, prefix + T].

    `features` [B, patches, WIDTH]: of one view, or of several one after the other.
    """
    language = model.model.language_model
    words = language.embed_tokens(packed.ids)
    batch = len(words)
    picture = model.model.multi_modal_projector(features)
    start = language.embed_tokens(torch.tensor([[BOS, USER]], device=words.device)).expand(batch, -1, -1)
    inputs = torch.cat([start.to(picture.dtype), picture, words.to(picture.dtype)], 1)
    prefix = MARKS + features.shape[1]
    places = torch.arange(prefix, device=words.device)[None].expand(batch, -1)
    output = language(
        inputs_embeds=inputs,
        attention_mask=block_mask(packed.segments, prefix).to(inputs.dtype),
        position_ids=torch.cat([places, packed.positions], 1),
        output_attentions=True,
        use_cache=False,
    )
    return output.last_hidden_state[:, prefix:], output.attentions


def answer_loss(model, hidden: torch.Tensor, packed: Packed) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy on answer tokens only, and per type how many answers begin right."""
    kept = packed.labels != -100
    labels, weights, types = packed.labels[kept], packed.weights[kept], packed.types[kept]
    logits = model.lm_head(hidden[kept]).float()
    loss = (F.cross_entropy(logits, labels, reduction="none") * weights).sum() / weights.sum()
    right = (logits.argmax(-1) == labels).float()
    seen = {TYPES[t]: right[types == t].mean().item() for t in types[types >= 0].unique().tolist()}
    return loss, {"loss": loss.item(), "right": right.mean().item()} | seen


def pointing_loss(attentions, targets: torch.Tensor, before: torch.Tensor) -> tuple[torch.Tensor, float]:
    """−log of the attention that the pointing heads put on the object spoken of, and that attention's mean.

    The next object of a description is known by its place beside the one before. So the first layer looks for that one
    and the second goes on from there; asked for the next one too, the first layer had to guess, and objects were named
    twice or left out.
    """
    prefix, goes_on = MARKS + targets.shape[-1], before.any(-1, keepdim=True)
    first = PREVIOUS_HEADS[0][0]
    wanted = {(layer, head): targets[head % 2] & ~(goes_on & (layer == first)) for layer, head in POINTING_HEADS}
    wanted |= {place: before for place in PREVIOUS_HEADS}
    shares = []
    for (layer, head), patches in wanted.items():
        looked = (attentions[layer][:, head, prefix:, MARKS:prefix].float() * patches).sum(-1)
        shares.append(looked[patches.any(-1)])
    return measure_shares(shares)


def comparing_loss(attentions, names: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The same for the heads that look back at the two names, where objects are compared."""
    shares = []
    for layer, head in COMPARING_HEADS:
        place = names[head]  # [B, T]
        prefix = attentions[layer].shape[-1] - place.shape[-1]
        row, token = (place >= 0).nonzero(as_tuple=True)
        shares.append(attentions[layer][row, head, prefix + token, prefix + place[row, token]].float())
    return measure_shares(shares)


def measure_shares(shares: list[torch.Tensor]) -> tuple[torch.Tensor, float]:
    """Mean −log, and mean; 0 of nothing."""
    joined = torch.cat(shares)
    if not len(joined):
        return torch.zeros((), device=joined.device), 0.0
    return -(joined + 1e-5).log().mean(), joined.mean().item()
