"""Scripted stand-ins for models and cards: fast, and they remember what happened to them."""

from __future__ import annotations

import threading
import time

from patchwork.catalog import Card, Catalog
from patchwork.families.protocol import Model, PatchGrid, Similarity
from patchwork.hardware import Hardware

MACHINE = Hardware(device="cpu", name="CPU", total_bytes=8 * 10**9, free_bytes=8 * 10**9, cores=2, precisions=("fp32",))


def make_card(card_id: str = "one", parameters: int = 10**6, **changes) -> Card:
    fields = {
        "id": card_id,
        "title": card_id.title(),
        "family": "clip",
        "repo": f"bundled:{card_id}",
        "licence": "none",
        "parameters": parameters,
        "capabilities": ["embed_image", "embed_text", "chat"],
    }
    return Card.model_validate(fields | changes)


def make_catalog(*ids: str, **changes) -> Catalog:
    return Catalog(make_card(card_id, **changes) for card_id in ids)


class FakeModel(Model):
    """Answers with the words of `script`; `closed` and `stopped` tell what became of it."""

    script = ("a ", "red ", "star")

    def __init__(self, card, plan) -> None:
        super().__init__(card, plan)
        self.closed = self.stopped = False
        self.failure: Exception | None = None

    def chat(self, images, prompt, max_new_tokens=128, stop=None):
        try:
            for piece in (*self.script, f" ({prompt})"):
                if self.failure:
                    raise self.failure
                yield piece
        except GeneratorExit:
            self.stopped = True
            raise

    def count_image_tokens(self, image) -> int:
        return 64

    def memory_bytes(self) -> int:
        return 4_000_000

    def similarity(self, image, texts) -> Similarity:
        cosine = [1 / (1 + len(text)) for text in texts]
        return Similarity(cosine, cosine, cosine, cosine, "softmax")

    def embed_image(self, images):
        return self.embed_patches(images[0])[0][:1]

    def embed_text(self, texts):
        return self.make_vectors(len(texts), offset=5)

    def embed_patches(self, image):
        return self.make_vectors(6), PatchGrid(2, 3, (0.0, 0.0, *map(float, image.size)))

    @staticmethod
    def make_vectors(count: int, offset: int = 0):
        """[count, 4] unit rows that differ."""
        import torch

        angles = torch.arange(count * 4, dtype=torch.float32).reshape(count, 4) + offset
        return torch.nn.functional.normalize(angles.cos(), dim=-1)

    def close(self) -> None:
        self.closed = True


class Loader:
    """A `load` for the pool: counts its calls, can be slow, can wait for a go, can fail."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.calls, self.models = seconds, [], []
        self.failure: BaseException | None = None
        self.go = threading.Event()
        self.go.set()

    def __call__(self, card, plan, report):
        self.calls.append(card.id)
        report(f"half of {card.id}", 0.5)
        self.go.wait(10)
        time.sleep(self.seconds)
        if self.failure:
            raise self.failure
        self.models.append(FakeModel(card, plan))
        return self.models[-1]
