"""What vision encoders share: similarity, attention maps, and where their patches lie on the original picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from patchwork.attention import (
    NAME,
    Recorder,
    add_up_relevance,
    find_outliers,
    record,
    roll_out,
    take_positive,
    watch_norms,
)
from patchwork.errors import Problem
from patchwork.families.loading import count_bytes
from patchwork.families.protocol import AttentionMap, AttentionRequest, Model, PatchGrid, Similarity
from patchwork.images import letterbox

Region = tuple[float, float, float, float]
LEAST_COSINE = 0.3
LEAST_LOGIT = 2.0
"""How far a score must fall when everything is hidden, before its curve is read at all. An untrained network's
embedding hardly moves, and its match with a text is noise."""


def find_resized(size: tuple[int, int], target: dict[str, int]) -> tuple[int, int]:
    """(width, height) after the processor's resizing; a fraction of a pixel is cut off, as it does."""
    if target.get("height") and target.get("width"):
        return target["width"], target["height"]
    if not target.get("shortest_edge") or target.get("longest_edge"):
        raise ValueError(f"a processor that resizes to {target} is not known here")
    short = min(size)
    return int(size[0] * target["shortest_edge"] / short), int(size[1] * target["shortest_edge"] / short)


def find_region(
    size: tuple[int, int],
    settings: dict[str, Any],
    seen: tuple[int, int],
    halve: Callable[[int], int] = lambda space: space // 2,
) -> Region:
    """The part of a (width, height) picture that the patches see, in pixels of that picture.

    `settings`: an image processor's `do_resize`, `size`, `do_center_crop`, `crop_size`. `seen`: (width, height) of all
    patches in the processor's pixels, less than its output where the patch does not divide it. `halve`: how the
    processor rounds the margin of its centre crop; transformers rounds down.
    """
    width, height = find_resized(size, settings["size"]) if settings.get("do_resize", True) else size
    left = top = 0
    if settings.get("do_center_crop"):
        left, top = halve(width - settings["crop_size"]["width"]), halve(height - settings["crop_size"]["height"])
    across, down = size[0] / width, size[1] / height
    return (left * across, top * down, (left + seen[0]) * across, (top + seen[1]) * down)


class EncoderModel(Model):
    """A vision tower with `prefix` tokens (CLS, registers) before its patches; subclasses say where things are."""

    prefix = 1
    queries: tuple[str, ...] = ("cls", "mean", "patch")
    pooling: nn.Module | None = None  # the attention of a pooling head, prepared with `watch_pooling`
    is_untrained = False

    def __init__(self, card, plan, model: nn.Module, processor: Any) -> None:
        super().__init__(card, plan)
        self.model, self.processor = model.requires_grad_(False), processor
        self.attention = self.find_attention()
        watch_norms(self.find_last_layer())

    # ---- what a family says of itself

    def find_attention(self) -> list[nn.Module]:
        """The modules to ask a recorder for, one a layer, first layer first."""
        raise NotImplementedError

    def find_last_layer(self) -> nn.Module:
        """Its output, before any final norm, is where sink patches show."""
        raise NotImplementedError

    def count_heads(self) -> int:
        raise NotImplementedError

    def patch_size(self) -> int:
        raise NotImplementedError

    def features_of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        """Unit-length float32 rows [n, width]."""
        raise NotImplementedError

    def score(self, pixels: torch.Tensor, text: str) -> torch.Tensor:
        """The match of picture and text, with gradients."""
        raise Problem(
            f"{self.card.title} has no text side, so nothing can be relevant to a text; choose raw or rollout."
        )

    def build_untrained(self) -> nn.Module:
        """The same architecture with the library's own first weights, drawn from torch's generator."""
        return type(self.model)(self.model.config)

    # ---- from a picture to pixels

    def preprocess(self, image: Image.Image) -> tuple[torch.Tensor, PatchGrid]:
        """Pixels [1, 3, height, width], and how their patches lie on the original picture."""
        square, (left, top, *_) = letterbox(image) if self.card.letterbox else (image, (0.0, 0.0))
        pixels = self.make_pixels(square)
        patch = self.patch_size()
        rows, columns = pixels.shape[-2] // patch, pixels.shape[-1] // patch
        x1, y1, x2, y2 = self.find_region(square.size, (columns * patch, rows * patch))
        like = next(self.model.parameters())
        return pixels.to(like.device, like.dtype), PatchGrid(rows, columns, (x1 + left, y1 + top, x2 + left, y2 + top))

    def image_processor(self) -> Any:
        return getattr(self.processor, "image_processor", self.processor)

    def find_region(self, size: tuple[int, int], seen: tuple[int, int]) -> Region:
        return find_region(size, self.image_processor().to_dict(), seen)

    def make_pixels(self, image: Image.Image) -> torch.Tensor:
        return self.image_processor()(images=image, return_tensors="pt")["pixel_values"]

    # ---- what the page asks

    def embed_image(self, images: Sequence[Image.Image]) -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([self.features_of_pixels(self.preprocess(image)[0]) for image in images]).cpu()

    def describe_attention(self) -> tuple[int, int, tuple[str, ...]]:
        return len(self.attention), self.count_heads(), self.queries

    def attend(self, image: Image.Image, request: AttentionRequest) -> AttentionMap:
        """One value per patch, float32 on the CPU; see `AttentionRequest`. Raises `Problem`."""
        pixels, grid = self.preprocess(image)
        layer = self.check_request(request, grid)
        read = {"raw": self.read_raw, "rollout": self.read_rollout, "relevance": self.read_relevance}[request.method]
        row, kept = read(pixels, layer, request)
        patches = row[self.prefix :]
        return AttentionMap(
            values=patches.reshape(grid.rows, grid.columns),
            grid=grid,
            layer=layer,
            heads=self.count_heads(),
            layers=len(self.attention),
            stored_bytes=kept.stored_bytes(),
            outliers=find_outliers(kept.norms[0, self.prefix :].cpu()),
            share_on_patches=float(patches.sum() / row.sum().clamp(min=1e-12)),
        )

    def check_request(self, request: AttentionRequest, grid: PatchGrid) -> int:
        """The layer, counted from 0. A number that would silently mean another place is a `Problem`."""
        layers, heads, queries = self.describe_attention()
        patches = grid.rows * grid.columns
        if not -layers <= request.layer < layers:
            raise Problem(f"{self.card.title} has {layers} layers; choose one of them.")
        if request.head is not None and not 0 <= request.head < heads:
            raise Problem(f"{self.card.title} has {heads} heads in each layer; choose one of them.")
        if isinstance(request.query, int) and not 0 <= request.query < patches:
            raise Problem(f"This picture has patches 0 to {patches - 1}; click one of them.")
        if isinstance(request.query, str) and request.query not in queries:
            raise Problem(f"{self.card.title} has no {request.query!r} token to ask; choose another query.")
        return request.layer % layers

    def query_rows(self, query: str | int) -> slice:
        """Where the query's tokens stand: CLS first, patches after all prefix tokens."""
        if query == "mean":
            return slice(self.prefix, None)
        first = 0 if query == "cls" else self.prefix + int(query)
        return slice(first, first + 1)

    def list_modules(self, layer: int, query: str | int) -> list[nn.Module]:
        return self.attention[: layer + 1] + ([self.pooling] if query == "pool" else [])

    def read_raw(self, pixels: torch.Tensor, layer: int, request: AttentionRequest) -> tuple[torch.Tensor, Recorder]:
        """The asked row (or mean of rows) of one layer, or of the pooling head: [prefix + N]."""

        def reduce(weights: torch.Tensor) -> torch.Tensor:
            heads = weights.mean(1) if request.head is None else weights[:, request.head]
            return heads.mean(1).float()

        pooled = request.query == "pool"
        module = self.pooling if pooled else self.attention[layer]
        rows = slice(None) if pooled else self.query_rows(request.query)
        with torch.inference_mode(), record([module], rows, reduce=reduce) as kept:
            self.features_of_pixels(pixels)
        return kept.maps[module][0].cpu(), kept

    def read_rollout(
        self, pixels: torch.Tensor, layer: int, request: AttentionRequest
    ) -> tuple[torch.Tensor, Recorder]:
        modules = self.list_modules(layer, request.query)
        with torch.inference_mode(), record(modules, reduce=lambda weights: weights.mean(1).float()) as kept:
            self.features_of_pixels(pixels)
        maps = [kept.maps[module][0].cpu() for module in modules]
        total = roll_out(maps[: layer + 1])
        if request.query == "pool":
            return (maps[-1] @ total)[0], kept
        return total[self.query_rows(request.query)].mean(0), kept

    def read_relevance(
        self, pixels: torch.Tensor, layer: int, request: AttentionRequest
    ) -> tuple[torch.Tensor, Recorder]:
        """A token's relevance to itself, which every token starts with, is left out: it is not news."""
        if not request.text.strip():
            raise Problem("Relevance needs a text; type what the picture should match.")
        modules = self.list_modules(layer, request.query)
        with torch.enable_grad(), record(modules, keep_graph=True) as kept:
            match = self.score(pixels.requires_grad_(), request.text)
            maps = [kept.maps[module] for module in modules]
            gradients = torch.autograd.grad(match, maps)
        steps = [take_positive(m[0].detach(), g[0]).cpu() for m, g in zip(maps, gradients, strict=True)]
        total = add_up_relevance(steps[: layer + 1])
        if request.query == "pool":
            return (steps[-1] @ total)[0], kept
        return (total - torch.eye(len(total)))[self.query_rows(request.query)].mean(0), kept

    def read_patches(self, image: Image.Image) -> tuple[torch.Tensor, PatchGrid]:
        """The vectors [N, width] that the last layer puts out for the patches, float32 on the CPU."""
        pixels, grid = self.preprocess(image)
        with torch.inference_mode(), record([], keep_hidden=True) as kept:
            self.features_of_pixels(pixels)
        return kept.hidden[0, self.prefix :].float().cpu(), grid

    # ---- controls

    def score_without(self, image: Image.Image, hidden: Sequence[Sequence[int]], text: str = "") -> list[float]:
        """For each list of patches: how well the picture still fits when these show only the mean colour.

        The cosine with `text`, or without one the cosine with the embedding of the whole picture.
        """
        pixels, grid = self.preprocess(image)
        patch = self.patch_size()
        batch = pixels.repeat(len(hidden), 1, 1, 1)
        for row, patches in enumerate(hidden):
            for index in patches:
                top, left = patch * (index // grid.columns), patch * (index % grid.columns)
                batch[row, :, top : top + patch, left : left + patch] = 0  # processors centre the mean colour on 0
        with torch.inference_mode():
            goal = self.embed_text([text]).to(pixels.device) if text else self.features_of_pixels(pixels)
            return (self.features_of_pixels(batch) @ goal[0]).tolist()

    def least_fall(self, text: str = "") -> float:
        """Hiding the whole picture must cost the score this much; else it does not depend on the picture enough."""
        return LEAST_COSINE

    def make_untrained(self, seed: int) -> EncoderModel:
        """The same architecture before any training, as a control. This model stays as it is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            fresh = self.build_untrained()
        like = next(weights for weights in self.model.parameters() if weights.is_floating_point())
        twin = type(self)(self.card, self.plan, fresh.to(like.device, like.dtype).eval(), self.processor)
        twin.is_untrained = True
        return twin

    def memory_bytes(self) -> int:
        return count_bytes(self.model)

    def close(self) -> None:
        self.model = self.processor = self.pooling = None
        self.attention = []


class ContrastiveModel(EncoderModel):
    """A picture tower and a text tower with one shared space (CLIP, SigLIP)."""

    rule = "softmax"

    def find_attention(self) -> list[nn.Module]:
        self.model.vision_model.set_attn_implementation(NAME)
        return [layer.self_attn for layer in self.model.vision_model.encoder.layers]

    def find_last_layer(self) -> nn.Module:
        return self.model.vision_model.encoder.layers[-1]

    def count_heads(self) -> int:
        return self.model.config.vision_config.num_attention_heads

    def patch_size(self) -> int:
        return self.model.config.vision_config.patch_size

    def text_tokens(self, texts: Sequence[str], padding: bool | str = True) -> dict:
        length = self.model.config.text_config.max_position_embeddings
        options = dict(padding=padding, truncation=True, max_length=length, return_tensors="pt")
        tokens = self.processor.tokenizer(list(texts), **options)
        return {name: tokens[name].to(self.model.device) for name in ("input_ids", "attention_mask") if name in tokens}

    def features_of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        found = self.model.get_image_features(pixel_values=pixels)
        return nn.functional.normalize(getattr(found, "pooler_output", found).float(), dim=-1)

    def embed_text(self, texts: Sequence[str]) -> torch.Tensor:
        with torch.inference_mode():
            found = self.model.get_text_features(**self.text_tokens(texts))
            return nn.functional.normalize(getattr(found, "pooler_output", found).float(), dim=-1).cpu()

    def project_patches(self, hidden: torch.Tensor) -> torch.Tensor:
        """The last layer's vectors [N, width] through the same last steps as the token that sums the picture up."""
        return self.model.visual_projection(self.model.vision_model.post_layernorm(hidden))

    def embed_patches(self, image: Image.Image) -> tuple[torch.Tensor, PatchGrid]:
        """Every patch in the space shared with texts: unit-length float32 rows [N, width], on the CPU."""
        hidden, grid = self.read_patches(image)
        like = next(self.model.parameters())
        with torch.inference_mode():
            found = self.project_patches(hidden.to(like.device, like.dtype))
        return nn.functional.normalize(found.float(), dim=-1).cpu(), grid

    def least_fall(self, text: str = "") -> float:
        return LEAST_LOGIT / float(self.model.logit_scale.exp()) if text else LEAST_COSINE

    def score(self, pixels: torch.Tensor, text: str) -> torch.Tensor:
        """The checkpoint's own logit, as in Chefer et al.; a bias would not change its gradient."""
        words = self.embed_text([text]).clone().to(pixels.device)  # a clone may meet gradients
        return (self.features_of_pixels(pixels) * words).sum() * self.model.logit_scale.float().exp()

    def similarity(self, image: Image.Image, texts: Sequence[str]) -> Similarity:
        cosine = (self.embed_image([image]) @ self.embed_text(texts).T)[0]
        logits = cosine * self.model.logit_scale.float().exp().cpu()
        if hasattr(self.model, "logit_bias"):
            logits = logits + self.model.logit_bias.float().cpu()
        return Similarity(
            cosine.tolist(), logits.tolist(), logits.softmax(-1).tolist(), logits.sigmoid().tolist(), self.rule
        )
