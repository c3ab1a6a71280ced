"""Any OpenAI-compatible server as a model that chats: nothing is loaded, each question goes to the card's server."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator, Sequence
from threading import Event as Flag
from typing import TYPE_CHECKING

from PIL import Image

from patchwork.demo import Answerer
from patchwork.endpoint import Server, Usage, ask
from patchwork.families.protocol import Model, Report

if TYPE_CHECKING:
    from patchwork.catalog import EndpointCard
    from patchwork.plan import Plan

CAPABILITIES = frozenset({"chat"})


def load(card: EndpointCard, plan: Plan, report: Report) -> EndpointModel:
    return EndpointModel(card, plan, os.environ.get(card.key_variable, "") if card.key_variable else "")


class EndpointModel(Model):
    """The operator's key, where there is one, unless a reader brings their own."""

    capabilities = CAPABILITIES

    def __init__(self, card: EndpointCard, plan: Plan, key: str) -> None:
        super().__init__(card, plan)
        self.server = Server(card.url, card.repo, key.strip())

    def with_key(self, key: str) -> EndpointModel:
        """A model for one call, which never shares a key or a count with another's."""
        mine = copy.copy(self)
        mine.server = Server(self.server.url, self.server.model, key.strip() or self.server.key)
        return mine

    def chat(
        self,
        images: Sequence[Image.Image],
        prompt: str,
        max_new_tokens: int = 128,
        stop: Flag | None = None,
        max_tiles: int | None = None,
    ) -> Iterator[str]:
        """The server decides on tiles. While nothing comes, empty pieces."""
        for piece in ask(self.server, images, prompt, max_new_tokens):
            if stop is not None and stop.is_set():
                return
            if isinstance(piece, Usage):
                self.usage = piece
            else:
                yield piece

    def answerer(self, start: float) -> Answerer:
        return Answerer(
            model_id=self.card.id,
            title=self.card.title,
            device=self.card.host,
            precision=f"precision {self.plan.precision}",
            seconds=round(time.perf_counter() - start, 4),
            note=self.card.place,
        )

    def memory_bytes(self) -> int:
        return 0
