"""Four ways to let a small language model see, as modules that run. Knows no page and no world.

concatenated   all patches stand before the text in the model's row (LLaVA; Liu et al. 2023)
interleaved    the same, where the picture stands in the text (Fuyu, Gemini)
resampled      a few learned queries read the patches; only they enter the row (Flamingo, Alayrac et al. 2022; Qwen-VL)
crossed        the row holds text alone; extra gated layers look at the patches (Flamingo)
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from patchwork.errors import Problem

KINDS = ("concatenated", "interleaved", "resampled", "crossed")
PAD, END, UNKNOWN = 0, 1, 2
SPECIAL = ("<pad>", "<end>", "<unknown>")


@dataclass(frozen=True)
class Shape:
    """Sizes of a module. `vision` × `patches` come from the tower; `every`: one cross-attention block per so many
    layers; `depth`, `queries`, `summary`: the resampler's blocks, queries and MLP; `longest`: positions of the row."""

    vision: int
    patches: int
    vocabulary: int
    width: int = 96
    layers: int = 3
    heads: int = 3
    hidden: int = 192
    queries: int = 8
    depth: int = 1
    summary: int = 192
    every: int = 1
    longest: int = 96


class Attention(nn.Module):
    """Queries from `x` [B, T, D], keys and values from `context` [B, S, D]; `mask` [T, S]: True where it may look."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width, bias=False) for _ in range(4))

    def forward(self, x: torch.Tensor, context: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        parts = self.query(x), self.key(context), self.value(context)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # [B, heads, T, D / heads]
        return self.out(seen.transpose(1, 2).flatten(-2))


def build_mlp(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False))


class Layer(nn.Module):
    """One layer of the language model: causal self-attention, then an MLP, each behind a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(shape.width), Attention(shape.width, shape.heads)
        self.second_norm, self.mlp = nn.LayerNorm(shape.width), build_mlp(shape.width, shape.hidden)

    def forward(self, row: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        normed = self.norm(row)
        row = row + self.attention(normed, normed, mask)
        return row + self.mlp(self.second_norm(row))


class GatedCross(nn.Module):
    """Text looks at the patches through two gates. tanh(0) = 0: before training it changes nothing."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(shape.width), Attention(shape.width, shape.heads)
        self.second_norm, self.mlp = nn.LayerNorm(shape.width), build_mlp(shape.width, shape.hidden)
        self.gate, self.mlp_gate = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, row: torch.Tensor, patches: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        row = row + self.gate.tanh() * self.attention(self.norm(row), patches, mask)
        return row + self.mlp_gate.tanh() * self.mlp(self.second_norm(row))


class ResamplerBlock(nn.Module):
    """The queries look at the patches and at each other, as in Flamingo; all in the encoder's own width."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm, self.patch_norm = nn.LayerNorm(shape.vision), nn.LayerNorm(shape.vision)
        self.attention = Attention(shape.vision, shape.heads)
        self.second_norm, self.mlp = nn.LayerNorm(shape.vision), build_mlp(shape.vision, shape.summary)

    def forward(self, queries: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        normed = self.norm(queries)
        context = torch.cat([self.patch_norm(patches), normed], 1)
        mask = torch.ones(queries.shape[1], context.shape[1], dtype=torch.bool, device=queries.device)
        queries = queries + self.attention(normed, context, mask)
        return queries + self.mlp(self.second_norm(queries))


class Resampler(nn.Module):
    """Any number of patches [B, N, vision] → `queries` vectors [B, K, vision]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.queries = nn.Parameter(0.3 * torch.randn(shape.queries, shape.vision))
        self.blocks = nn.ModuleList(ResamplerBlock(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.vision)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        queries = self.queries.expand(len(patches), -1, -1)
        for block in self.blocks:
            queries = block(queries, patches)
        return self.norm(queries)


class FusionModel(nn.Module):
    """A text model and one way to let it see. `at`: how many text tokens stand before the picture in the row."""

    def __init__(self, kind: str, shape: Shape) -> None:
        super().__init__()
        self.kind, self.shape = kind, shape
        self.embed = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.longest, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        for table in (self.embed, self.positions):
            nn.init.normal_(table.weight, std=0.1)
        self.bridge = nn.Sequential(nn.LayerNorm(shape.vision), nn.Linear(shape.vision, shape.width))
        self.resampler = Resampler(shape) if kind == "resampled" else None
        count = len(range(0, shape.layers, shape.every)) if kind == "crossed" else 0
        self.crossings = nn.ModuleList(GatedCross(shape) for _ in range(count))

    def forward(self, features: torch.Tensor, tokens: torch.Tensor, at: int = 0) -> torch.Tensor:
        """Features [B, N, vision] and text [B, T] → logits [B, T, vocabulary] at the places of the text."""
        words = self.embed(tokens)
        picture = self.bridge(features if self.resampler is None else self.resampler(features))
        if self.kind == "crossed":
            return self.read_out(self.run_layers(words, picture))
        row = torch.cat([words[:, :at], picture, words[:, at:]], 1)
        row, places = self.run_layers(row), picture.shape[1]
        return self.read_out(torch.cat([row[:, :at], row[:, at + places :]], 1))

    def run_layers(self, row: torch.Tensor, patches: torch.Tensor | None = None) -> torch.Tensor:
        """`row` [B, S, D]; with `patches` [B, N, D], a gated block stands before every `every`th layer."""
        length = row.shape[1]
        row = row + self.positions.weight[:length]
        causal = torch.ones(length, length, dtype=torch.bool, device=row.device).tril()
        for index, layer in enumerate(self.layers):
            if patches is not None and index % self.shape.every == 0:
                every = torch.ones(length, patches.shape[1], dtype=torch.bool, device=row.device)
                row = self.crossings[index // self.shape.every](row, patches, every)
            row = layer(row, causal)
        return row

    def read_out(self, row: torch.Tensor) -> torch.Tensor:
        return self.norm(row) @ self.embed.weight.T

    @torch.inference_mode()
    def answer(self, features: torch.Tensor, question: torch.Tensor, at: int = 0, most: int = 4) -> torch.Tensor:
        """Greedy: features [B, N, vision], question [B, Q] → answers [B, up to `most`], filled up with END."""
        tokens = question
        for _ in range(most):
            best = self(features, tokens, at)[:, -1].argmax(-1, keepdim=True)
            if tokens.shape[1] > question.shape[1]:
                best = best.where(tokens[:, -1:] != END, END)
            tokens = torch.cat([tokens, best], 1)
            if (best == END).all():
                break
        return tokens[:, question.shape[1] :]


# ---- what runs, measured by hooks


@dataclass
class Stage:
    """A module that ran: shapes without the batch, parameters, multiplications."""

    name: str
    taken: tuple[int, ...]
    given: tuple[int, ...]
    parameters: int
    multiplications: int


@dataclass
class Inspection:
    """`stages` in the order in which they ran. `masks`: name → bool [T, S]. `row`: length of the model's row."""

    stages: list[Stage] = field(default_factory=list)
    masks: dict[str, torch.Tensor] = field(default_factory=dict)
    row: int = 0
    visual: int = 0
    parameters: int = 0
    added: int = 0
    multiplications: int = 0
    gates: list[float] = field(default_factory=list)


NAMES = {
    Attention: "attention",
    Layer: "layer of the language model",
    GatedCross: "gated cross-attention",
    Resampler: "resampler",
}


@contextmanager
def inspect(model: FusionModel) -> Iterator[Inspection]:
    """Watch the next forward pass of this block. `model` must belong to this call alone: `load` gives each its own."""
    found, handles = Inspection(), []
    watched = [(name, part) for name, part in model.named_modules() if name == "bridge" or type(part) in NAMES]
    for name, part in watched:
        handles.append(part.register_forward_hook(lambda *seen, name=name: note_stage(found, name, *seen)))
    for part in model.modules():
        if isinstance(part, nn.Linear | Attention):
            handles.append(part.register_forward_hook(lambda *seen: count_work(found, *seen)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
        sum_up(found, model)


def note_stage(found: Inspection, name: str, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
    if isinstance(module, Attention):
        found.masks[name] = inputs[2].clone()
        return
    parameters = sum(weight.numel() for weight in module.parameters())
    inside = [stage for stage in found.stages if stage.name.startswith(name + ".")]
    work = found.multiplications - sum(stage.multiplications for stage in found.stages if stage not in inside)
    found.stages.append(Stage(name, tuple(inputs[0].shape[1:]), tuple(output.shape[1:]), parameters, work))


def count_work(found: Inspection, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
    """Multiplications of one example: a matrix for each vector, and for attention two products of all pairs."""
    if isinstance(module, Attention):
        found.multiplications += 2 * inputs[0].shape[1] * inputs[1].shape[1] * output.shape[-1]
    else:
        found.multiplications += inputs[0].shape[1] * module.in_features * module.out_features


def sum_up(found: Inspection, model: FusionModel) -> None:
    """What came from several stages; `added`: parameters that the same model without a picture would not have."""
    found.parameters = sum(weight.numel() for weight in model.parameters())
    extra = [part for part in (model.bridge, model.resampler, *model.crossings) if part is not None]
    found.added = sum(weight.numel() for part in extra for weight in part.parameters())
    found.gates = [float(gate.tanh()) for part in model.crossings for gate in (part.gate, part.mlp_gate)]
    layers = [stage for stage in found.stages if re.fullmatch(r"layers\.\d+", stage.name)]
    bridges = [stage for stage in found.stages if stage.name == "bridge"]
    found.row = layers[0].taken[0] if layers else 0
    found.visual = bridges[0].given[0] if bridges else 0


# ---- words


def split_words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+|\?", text.lower())


class Words:
    """A vocabulary of whole words; it grew with the toy world's questions and knows nothing else."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self.index = {word: place for place, word in enumerate(self.words)}

    @classmethod
    def collect(cls, texts: Sequence[str]) -> Words:
        return cls([*SPECIAL, *sorted({word for text in texts for word in split_words(text)})])

    def encode(self, text: str) -> list[int]:
        """Raises `Problem` naming the word that these modules never saw."""
        parts = split_words(text)
        for word in parts:
            if word not in self.index:
                raise Problem(f"These small modules never saw the word {word!r}; choose a question from the list.")
        return [self.index[word] for word in parts]

    def decode(self, tokens: Sequence[int]) -> str:
        ends = list(tokens).index(END) if END in tokens else len(tokens)
        return " ".join(self.words[token] for token in tokens[:ends])


def read_patches(model: Any, picture: Image.Image) -> torch.Tensor:
    """A bundled CLIP's patches without its summary token, as the modules were trained on them: [1, N, vision]."""
    pixels, _ = model.preprocess(picture)
    with torch.inference_mode():
        return model.model.vision_model(pixel_values=pixels).last_hidden_state[:, model.prefix :].float().cpu()


# ---- stored modules


FOLDER = Path(__file__).parent / "fusion_weights"
"""One folder for each encoder that modules were trained on, named by the encoder's hash."""

ANEW = "train them with python -m patchwork.fusion_training"


def hash_weights(module: nn.Module) -> str:
    """Of all weights in half precision, in which they are stored; the same whatever precision they are loaded in."""
    digest = hashlib.sha256()
    for name, weight in sorted(module.state_dict().items()):
        if weight.is_floating_point():
            digest.update(name.encode() + weight.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()


def find_folder(tower: nn.Module, folder: Path = FOLDER) -> Path:
    return folder / hash_weights(tower)[:12]


@dataclass
class Stored:
    """The four trained modules, their words, and what training wrote about them."""

    models: dict[str, FusionModel]
    words: Words
    report: dict[str, Any]


def save(folder: Path, models: dict[str, FusionModel], words: Words, tower: nn.Module, report: dict) -> None:
    """Half precision, in the encoder's own folder; `report` beside them."""
    from safetensors.torch import save_file

    place = find_folder(tower, folder)
    place.mkdir(parents=True, exist_ok=True)
    for kind, model in models.items():
        weights = {name: weight.detach().to(torch.float16).contiguous() for name, weight in model.state_dict().items()}
        save_file(weights, place / f"{kind}.safetensors")
    shape = asdict(next(iter(models.values())).shape)
    text = json.dumps({"tower": hash_weights(tower), "shape": shape, "words": words.words, "report": report}, indent=1)
    (place / "fusion.json").write_text(text + "\n", encoding="utf-8")


def load(tower: nn.Module, folder: Path = FOLDER) -> Stored:
    """Fresh modules for one call, in float32. Raises `Problem` when none were trained on this tower."""
    from safetensors.torch import load_file

    place = find_folder(tower, folder)
    try:
        about = json.loads((place / "fusion.json").read_text(encoding="utf-8"))
    except OSError:
        raise Problem(f"No fusion modules were trained on this encoder; {ANEW}.") from None
    models = {}
    for kind in KINDS:
        model = FusionModel(kind, Shape(**about["shape"]))
        model.load_state_dict({name: w.float() for name, w in load_file(place / f"{kind}.safetensors").items()})
        models[kind] = model.eval()
    return Stored(models, Words(about["words"]), about["report"])
