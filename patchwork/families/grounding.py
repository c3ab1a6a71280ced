"""Boxes in answers, as every grounding family gives them. Knows no family's prompt."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from PIL import Image

from patchwork.boxes import Box, find_boxes, write_box
from patchwork.errors import Problem
from patchwork.families.chat import ChatModel
from patchwork.families.protocol import GroundedBox, Grounding


class GroundingModel(ChatModel):
    """A `ChatModel` that writes boxes in the convention of its card, or of its family where the card names none.

    Prompts come from the card (`prompts`: ground, ground_all, describe_region), else from the family. `{phrase}` and
    `{box}` stand for what is asked; a family without words for a task was not trained to do it.
    """

    coordinates = ""
    prompts: dict[str, str] = {}  # noqa: RUF012 (a table that nothing changes)

    def convention(self) -> str:
        return self.card.coordinates or self.coordinates

    def resized(self, image: Image.Image) -> tuple[int, int] | None:
        """(width, height) of the picture as the model receives it, where its boxes count those pixels."""
        return None

    def ask(self, task: str, refusal: str, **words: str) -> str:
        prompt = self.card.prompts.get(task, self.prompts.get(task))
        if prompt is None:
            raise Problem(f"{self.card.title} was not trained to {refusal}.")
        return prompt.format(**words)

    def ground(
        self, image: Image.Image, phrase: str, max_new_tokens: int = 256, stop: threading.Event | None = None
    ) -> Iterator[str | Grounding]:
        if phrase.strip():
            prompt = self.ask("ground", "find a phrase in a picture", phrase=phrase.strip())
        else:
            prompt = self.ask("ground_all", "list everything in a picture with boxes; type what to find")
        text = ""
        for piece in self.stream([image], prompt, max_new_tokens, stop, raw=True):
            text += piece
            yield piece
        yield self.read_grounding(text, image, phrase.strip())

    def read_grounding(self, text: str, image: Image.Image, phrase: str = "") -> Grounding:
        """What the model wrote → its boxes on the original picture, and the parts that fail to be one."""
        found, malformed = find_boxes(self.convention(), text, image.size, self.resized(image))
        boxes = [
            GroundedBox(text[slice(*one.label_span)] if one.label_span else phrase, one.box, one.span, one.label_span)
            for one in found
        ]
        return Grounding(text, tuple(boxes), tuple(malformed))

    def describe_region(
        self, image: Image.Image, box: Box, max_new_tokens: int = 64, stop: threading.Event | None = None
    ) -> Iterator[str]:
        words = write_box(self.convention(), box, image.size, self.resized(image))
        prompt = self.ask("describe_region", "describe a part of a picture", box=words)
        yield from self.stream([image], prompt, max_new_tokens, stop)
