"""Streaming answers, as every chatting family gives them. Knows no family's prompt."""

from __future__ import annotations

import contextlib
import contextvars
import math
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from transformers import StoppingCriteria, StoppingCriteriaList
from transformers.generation.streamers import BaseStreamer

from patchwork.errors import Problem
from patchwork.families.encoders import find_region
from patchwork.families.loading import count_bytes
from patchwork.families.protocol import Model, PatchGrid
from patchwork.images import letterbox
from patchwork.tiles import ALL_TILES, View

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
    piece of a short answer. Only a piece that ends inside a character (byte-level tokens) waits here. `raw` keeps the
    special tokens, among which are those of places, but for the ones that begin, end and fill a sequence.
    """

    def __init__(self, tokenizer: Any, raw: bool = False) -> None:
        self.tokenizer, self.raw = tokenizer, raw
        self.tokens, self.shown = [], ""
        self.pieces: queue.SimpleQueue = queue.SimpleQueue()
        self.prompt_seen = False
        self.hidden = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} if raw else set()

    def put(self, value: torch.Tensor) -> None:
        if not self.prompt_seen:  # generate sends the prompt first
            self.prompt_seen = True
            return
        self.tokens += [token for token in value.flatten().tolist() if token not in self.hidden]
        self.emit(self.decode())

    def decode(self) -> str:
        return self.tokenizer.decode(self.tokens, skip_special_tokens=not self.raw)

    def emit(self, text: str) -> None:
        if len(text) > len(self.shown) and not text.endswith("\ufffd"):
            self.pieces.put(text[len(self.shown) :])
            self.shown = text

    def end(self) -> None:
        text = self.decode()
        if len(text) > len(self.shown):
            self.pieces.put(text[len(self.shown) :])


def stream_generate(
    model: Any, tokenizer: Any, inputs: dict, stop: threading.Event | None = None, raw: bool = False, **options: Any
) -> Iterator[str]:
    """Greedy decoding, piece by piece. Closing the iterator stops the generation and waits for its thread.

    A checkpoint whose own settings ask for beams gets one: beams cannot be streamed. `raw` keeps special tokens. The
    thread runs in the caller's context, so that a recorder of attention sees it.
    """
    closed = threading.Event()  # the caller's own flag may serve other runs too, and is never set here
    streamer = PieceStreamer(tokenizer, raw)
    failure: list[BaseException] = []

    def work() -> None:
        try:
            with torch.inference_mode():
                model.generate(
                    **inputs,
                    do_sample=False,
                    num_beams=1,
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
        self.turn = threading.Lock() if self.one_at_a_time else contextlib.nullcontext()

    one_at_a_time = False
    """For an architecture that keeps something of a generation on itself: a second reader waits for the first."""

    # ---- from pictures and words to tensors

    def prepare(self, images: Sequence[Image.Image], prompt: str, max_tiles: int | None = None) -> dict:
        """Pictures (letterboxed where the card says so) and prompt → tensors on the model's device."""
        pictures = [letterbox(image)[0] if self.card.letterbox else image for image in images]
        text = self.write_prompt(len(pictures), prompt)
        options = self.image_options(pictures, max_tiles) if pictures else {}
        inputs = self.processor(images=pictures or None, text=text, return_tensors="pt", **options)
        return inputs.to(self.model.device, self.model.dtype)

    def write_prompt(self, pictures: int, prompt: str) -> str:
        content = [*({"type": "image"} for _ in range(pictures)), {"type": "text", "text": prompt}]
        known = str(self.processor.chat_template)
        options = {name: value for name, value in self.template_options.items() if name in known}
        turns = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(turns, add_generation_prompt=True, **options)

    template_options: Mapping[str, Any] = {}
    """Variables of the chat template, for the checkpoints of a family whose template has them."""

    def image_options(self, images: Sequence[Image.Image], max_tiles: int | None) -> dict[str, Any]:
        """What the processor is told about tiles."""
        return {}

    def stream(
        self,
        images: Sequence[Image.Image],
        prompt: str,
        max_new_tokens: int,
        stop: threading.Event | None = None,
        max_tiles: int | None = None,
        raw: bool = False,
    ) -> Iterator[str]:
        yield from self.stream_inputs(self.prepare(images, prompt, max_tiles), max_new_tokens, stop, raw)

    def stream_inputs(
        self, inputs: dict, max_new_tokens: int, stop: threading.Event | None = None, raw: bool = False
    ) -> Iterator[str]:
        tokenizer = self.processor.tokenizer
        options = {"max_new_tokens": max_new_tokens} | self.generate_options()
        with self.turn:
            yield from stream_generate(self.model, tokenizer, inputs, stop, raw, **options)

    def generate_options(self) -> dict[str, Any]:
        """What the checkpoint's own generation settings lack."""
        return {}

    # ---- what the page asks

    def chat(
        self,
        images: Sequence[Image.Image],
        prompt: str,
        max_new_tokens: int = 128,
        stop: threading.Event | None = None,
        max_tiles: int | None = None,
    ) -> Iterator[str]:
        yield from self.stream(images, prompt, max_new_tokens, stop, max_tiles)

    def read_document(
        self,
        images: Sequence[Image.Image],
        question: str = "",
        max_tiles: int | None = ALL_TILES,
        max_new_tokens: int = 512,
        stop: threading.Event | None = None,
    ) -> Iterator[str]:
        prompt = self.ask_document(question.strip())
        yield from self.stream(images, prompt, max_new_tokens, stop, max_tiles, raw=not question)

    def ask_document(self, question: str) -> str:
        """The question, or the checkpoint's own words for writing out a whole page (`prompts: {page: …}`)."""
        if question and "question" not in self.reads:
            raise Problem(f"{self.card.title} writes out whole pages and takes no question; leave it empty.")
        if question:
            return question
        if "page" not in self.reads and "page" not in self.card.prompts:
            raise Problem(f"{self.card.title} answers questions about a page; ask one.")
        return self.card.prompts.get("page", self.page_prompt)

    page_prompt = ""

    def count_image_tokens(self, image: Image.Image, max_tiles: int | None = None) -> int:
        return int(self.find_places(self.prepare([image], "", max_tiles)).sum())

    def find_places(self, inputs: dict) -> torch.Tensor:
        """Which tokens of the prompt stand for a piece of picture: bool [1, T]."""
        return inputs["input_ids"] == self.model.config.image_token_id

    def list_views(self, image: Image.Image, max_tiles: int | None = None) -> list[View]:
        """One view, as most processors make it: resized, the middle kept where they crop."""
        square, (left, top, *_) = letterbox(image) if self.card.letterbox else (image, (0.0, 0.0))
        settings = self.processor.image_processor.to_dict()
        size = settings.get("crop_size") if settings.get("do_center_crop") else settings["size"]
        seen = (size["width"], size["height"])
        tokens = self.count_image_tokens(image)
        return [View(find_region(square.size, settings, seen), seen, tokens, overview=True).shift(left, top)]

    def locate_tokens(self, image: Image.Image) -> PatchGrid | None:
        """How the picture's tokens lie on it; None where they are no single grid, or where it is not known."""
        return None

    def locate_square(self, image: Image.Image) -> PatchGrid | None:
        """The same for a family whose one view is a square of tokens in reading order; None for several views."""
        views = self.list_views(image)
        side = math.isqrt(views[0].tokens)
        return PatchGrid(side, side, views[0].region) if len(views) == 1 else None

    def memory_bytes(self) -> int:
        return count_bytes(self.model)

    def close(self) -> None:
        self.model = self.processor = None
