"""Streaming answers, as every chatting family gives them. Knows no family's prompt."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from patchwork.families.loading import count_bytes
from patchwork.families.protocol import Model, PatchGrid
from patchwork.images import letterbox

if TYPE_CHECKING:
    from patchwork.catalog import Card
    from patchwork.plan import Plan

END = object()


class StopFlag(StoppingCriteria):
    """Stops after the current token once any of the flags is set."""

    def __init__(self, *flags: threading.Event | None) -> None:
        self.flags = [flag for flag in flags if flag is not None]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        stopped = any(flag.is_set() for flag in self.flags)
        return torch.full((input_ids.shape[0],), stopped, device=input_ids.device, dtype=torch.bool)


class PieceStreamer(BaseStreamer):
    """Token ids in, text pieces out, at once: a piece is what the newest token adds to the decoded text.

    transformers' own TextStreamer holds a word back until the next one starts, which doubles the time to the first
    piece of a short answer. Only a piece that ends inside a character (byte-level tokens) waits here.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer, self.tokens, self.shown = tokenizer, [], ""
        self.pieces: queue.SimpleQueue = queue.SimpleQueue()
        self.prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if not self.prompt_seen:  # generate sends the prompt first
            self.prompt_seen = True
            return
        self.tokens += value.flatten().tolist()
        self.emit(self.tokenizer.decode(self.tokens, skip_special_tokens=True))

    def emit(self, text: str) -> None:
        if len(text) > len(self.shown) and not text.endswith("\ufffd"):
            self.pieces.put(text[len(self.shown) :])
            self.shown = text

    def end(self) -> None:
        text = self.tokenizer.decode(self.tokens, skip_special_tokens=True)
        if len(text) > len(self.shown):
            self.pieces.put(text[len(self.shown) :])


def stream_generate(
    model: Any, tokenizer: Any, inputs: dict, stop: threading.Event | None = None, **options: Any
) -> Iterator[str]:
    """Greedy decoding, piece by piece. Closing the iterator stops the generation and waits for its thread.

    The thread runs in the caller's context, so that a recorder of attention sees it.
    """
    closed = threading.Event()  # the caller's own flag may serve other runs too, and is never set here
    streamer = PieceStreamer(tokenizer)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            with torch.inference_mode():
                model.generate(
                    **inputs,
                    do_sample=False,
                    streamer=streamer,
                    stopping_criteria=StoppingCriteriaList([StopFlag(stop, closed)]),
                    **options,
                )
        except BaseException as error:  # handed to the reader of the stream
            failure.append(error)
        finally:
            streamer.pieces.put(END)

    context = contextvars.copy_context()
    worker = threading.Thread(target=context.run, args=(work,), daemon=True, name="generate")
    worker.start()
    try:
        while (piece := streamer.pieces.get()) is not END:
            yield piece
    finally:
        closed.set()
        worker.join()
    if failure:
        raise failure[0]


class ChatModel(Model):
    """A processor with a chat template and a model with `generate`."""

    capabilities = frozenset({"chat"})

    def __init__(self, card: Card, plan: Plan, model: Any, processor: Any) -> None:
        super().__init__(card, plan)
        self.model, self.processor = model, processor

    def prepare(self, images: Sequence[Image.Image], prompt: str) -> dict:
        """Pictures (letterboxed where the card says so) and prompt → tensors on the model's device."""
        pictures = [letterbox(image)[0] if self.card.letterbox else image for image in images]
        content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": prompt}]
        text = self.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = self.processor(images=pictures or None, text=text, return_tensors="pt", **self.image_options())
        return inputs.to(self.model.device, self.model.dtype)

    def image_options(self) -> dict[str, Any]:
        return {}

    def chat(
        self,
        images: Sequence[Image.Image],
        prompt: str,
        max_new_tokens: int = 128,
        stop: threading.Event | None = None,
    ) -> Iterator[str]:
        inputs = self.prepare(images, prompt)
        yield from stream_generate(self.model, self.processor.tokenizer, inputs, stop, max_new_tokens=max_new_tokens)

    def count_image_tokens(self, image: Image.Image) -> int:
        inputs = self.prepare([image], "")
        return int((inputs["input_ids"] == self.model.config.image_token_id).sum())

    def locate_tokens(self, image: Image.Image) -> PatchGrid | None:
        """How the picture's tokens lie on it; None where they are no single grid, or where it is not known."""
        return None

    def memory_bytes(self) -> int:
        return count_bytes(self.model)

    def close(self) -> None:
        self.model = self.processor = None
