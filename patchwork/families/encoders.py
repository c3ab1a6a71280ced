"""What vision encoders share: similarity, attention maps, and where their patches lie on the original picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import nn

from patchwork.attention import NAME, find_outliers, record, roll_out, weigh_by_gradient
from patchwork.errors import Problem
from patchwork.families.loading import count_bytes
from patchwork.families.protocol import AttentionMap, AttentionRequest, Model, PatchGrid, Similarity
from patchwork.images import letterbox

Region = tuple[float, float, float, float]


def find_region(size: tuple[int, int], settings: dict[str, Any]) -> Region:
    """The part of a (width, height) picture that the processor keeps, in pixels of that picture.

    `settings`: an image processor's `size`, `do_center_crop` and `crop_size`.
    """
    width, height = size
    target = settings["size"]
    if "shortest_edge" in target:
        short = min(width, height)
        resized = (int(width * target["shortest_edge"] / short), int(height * target["shortest_edge"] / short))
    else:
        resized = (target["width"], target["height"])
    if not settings.get("do_center_crop"):
        return (0.0, 0.0, float(width), float(height))
    crop = settings["crop_size"]
    left, top = (resized[0] - crop["width"]) // 2, (resized[1] - crop["height"]) // 2
    across, down = width / resized[0], height / resized[1]
    return (left * across, top * down, (left + crop["width"]) * across, (top + crop["height"]) * down)


class EncoderModel(Model):
    """A vision tower with `prefix` tokens (CLS, registers) before its patches; subclasses say where things are."""

    prefix = 1
    queries: tuple[str, ...] = ("cls", "mean", "patch")

    def __init__(self, card, plan, model: nn.Module, processor: Any) -> None:
        super().__init__(card, plan)
        self.model, self.processor = model, processor
        self.attention = self.find_attention()

    # ---- what a family says of itself

    def find_attention(self) -> list[nn.Module]:
        """The self-attention modules of the vision tower, first layer first."""
        raise NotImplementedError

    def count_heads(self) -> int:
        raise NotImplementedError

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Last hidden state [1, prefix + N, D] as the summary sees it."""
        raise NotImplementedError

    def grid_size(self, pixels: torch.Tensor) -> tuple[int, int]:
        patch = self.patch_size()
        return pixels.shape[-2] // patch, pixels.shape[-1] // patch

    def patch_size(self) -> int:
        raise NotImplementedError

    def pool_weights(self, hidden: torch.Tensor) -> torch.Tensor:
        """[heads, N] of an attention pooling head, for families that have one."""
        raise NotImplementedError

    def score(self, pixels: torch.Tensor, text: str) -> torch.Tensor:
        """The match of picture and text, with gradients."""
        raise Problem(
            f"{self.card.title} has no text side, so nothing can be relevant to a text; choose raw or rollout."
        )

    # ---- what the page asks

    def preprocess(self, image: Image.Image) -> tuple[torch.Tensor, Region]:
        """Pixels [1, 3, height, width] and the region of the original picture that they show."""
        if self.card.letterbox:
            image, region = letterbox(image)
        else:
            region = find_region(image.size, self.processor_settings())
        pixels = self.make_pixels(image)
        return pixels.to(next(self.model.parameters()).device, next(self.model.parameters()).dtype), region

    def processor_settings(self) -> dict[str, Any]:
        return self.image_processor().to_dict()

    def image_processor(self) -> Any:
        return getattr(self.processor, "image_processor", self.processor)

    def make_pixels(self, image: Image.Image) -> torch.Tensor:
        return self.image_processor()(images=image, return_tensors="pt")["pixel_values"]

    def describe_attention(self) -> tuple[int, int, tuple[str, ...]]:
        return len(self.attention), self.count_heads(), self.queries

    def attend(self, image: Image.Image, request: AttentionRequest) -> AttentionMap:
        """One value per patch, float32 on the CPU; see `AttentionRequest`."""
        pixels, region = self.preprocess(image)
        rows, columns = self.grid_size(pixels)
        layers = len(self.attention)
        layer = request.layer % layers
        if isinstance(request.query, int) and not 0 <= request.query < rows * columns:
            raise Problem(f"This picture has patches 0 to {rows * columns - 1}; click one of them.")
        weights, hidden, stored = getattr(self, f"attend_{request.method}")(pixels, layer, request)
        patches = weights[self.prefix :]
        return AttentionMap(
            values=patches.reshape(rows, columns),
            grid=PatchGrid(rows, columns, region),
            layer=layer,
            heads=self.count_heads(),
            layers=layers,
            stored_bytes=stored,
            outliers=find_outliers(hidden[0, self.prefix :].detach().cpu()),
            share_on_patches=float(patches.sum() / weights.sum().clamp(min=1e-12)),
        )

    def query_rows(self, request: AttentionRequest) -> slice:
        if request.query == "cls":
            return slice(0, 1)
        if isinstance(request.query, int):
            return slice(self.prefix + request.query, self.prefix + request.query + 1)
        return slice(self.prefix, None)

    def attend_raw(self, pixels, layer: int, request: AttentionRequest):
        """The row (or mean of rows) of one layer: [prefix + N]."""
        pooled = request.query == "pool"
        with (
            torch.inference_mode(),
            record([] if pooled else [self.attention[layer]], self.query_rows(request)) as kept,
        ):
            hidden = self.encode(pixels)
            heads = self.pool_weights(hidden) if pooled else kept.maps[self.attention[layer]][0].mean(1)  # [H, T]
        chosen = heads.mean(0) if request.head is None else heads[request.head % heads.shape[0]]
        stored = heads.numel() * 4 if pooled else kept.stored_bytes()
        return chosen.float().cpu(), hidden, stored

    def attend_rollout(self, pixels, layer: int, request: AttentionRequest):
        with torch.inference_mode(), record(self.attention[: layer + 1]) as kept:
            hidden = self.encode(pixels)
            total = roll_out([kept.maps[module][0].cpu() for module in self.attention[: layer + 1]])
            return self.read_rows(total, hidden, request), hidden, kept.stored_bytes()

    def attend_relevance(self, pixels, layer: int, request: AttentionRequest):
        if not request.text:
            raise Problem("Relevance needs a text; type what the picture should match.")
        with torch.enable_grad(), record(self.attention, keep_graph=True) as kept:
            match = self.score(pixels.requires_grad_(), request.text)
            maps = [kept.maps[module] for module in self.attention]
            gradients = torch.autograd.grad(match, maps)
        with torch.inference_mode():
            hidden = self.encode(pixels)
            total = weigh_by_gradient([m[0].detach().cpu() for m in maps], [g[0].cpu() for g in gradients])
            total = total - torch.eye(len(total))  # a token's relevance to itself is not news
            return self.read_rows(total, hidden, request), hidden, kept.stored_bytes()

    def read_rows(self, total: torch.Tensor, hidden: torch.Tensor, request: AttentionRequest) -> torch.Tensor:
        """The asked token's row of a [T, T] matrix; a pooling head's weights combine all rows."""
        if request.query == "pool":
            return self.pool_weights(hidden).mean(0).float().cpu() @ total
        return total[self.query_rows(request)].mean(0)

    def memory_bytes(self) -> int:
        return count_bytes(self.model)

    def close(self) -> None:
        self.model = self.processor = None
        self.attention = []


class ContrastiveModel(EncoderModel):
    """A picture tower and a text tower with one shared space (CLIP, SigLIP)."""

    rule = "softmax"

    def vision(self) -> nn.Module:
        return self.model.vision_model

    def find_attention(self) -> list[nn.Module]:
        self.vision().set_attn_implementation(NAME)
        return [layer.self_attn for layer in self.vision().encoder.layers]

    def count_heads(self) -> int:
        return self.model.config.vision_config.num_attention_heads

    def patch_size(self) -> int:
        return self.model.config.vision_config.patch_size

    def text_tokens(self, texts: Sequence[str]) -> dict:
        return self.processor.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(
            self.model.device
        )

    def features_of_pixels(self, pixels: torch.Tensor) -> torch.Tensor:
        found = self.model.get_image_features(pixel_values=pixels)
        return nn.functional.normalize(getattr(found, "pooler_output", found).float(), dim=-1)

    def features_of_texts(self, texts: Sequence[str]) -> torch.Tensor:
        found = self.model.get_text_features(**self.text_tokens(texts))
        return nn.functional.normalize(getattr(found, "pooler_output", found).float(), dim=-1)

    def embed_image(self, images: Sequence[Image.Image]) -> torch.Tensor:
        with torch.inference_mode():
            return torch.cat([self.features_of_pixels(self.preprocess(image)[0]) for image in images]).cpu()

    def embed_text(self, texts: Sequence[str]) -> torch.Tensor:
        with torch.inference_mode():
            return self.features_of_texts(texts).cpu()

    def score(self, pixels: torch.Tensor, text: str) -> torch.Tensor:
        return (self.features_of_pixels(pixels) @ self.features_of_texts([text]).T).sum()

    def similarity(self, image: Image.Image, texts: Sequence[str]) -> Similarity:
        cosine = (self.embed_image([image]) @ self.embed_text(texts).T)[0]
        bias = getattr(self.model, "logit_bias", None)
        logits = cosine * self.model.logit_scale.detach().float().exp().cpu()
        logits = logits if bias is None else logits + bias.detach().float().cpu()
        return Similarity(
            cosine.tolist(), logits.tolist(), logits.softmax(-1).tolist(), logits.sigmoid().tolist(), self.rule
        )
