"""Records one generation through hooks and the attention recorder, one row a layer and token. Knows no page.

State belongs to the call: hooks answer only inside the context of the generation that they were set for, so two
readers on one model never see each other's numbers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import nn
from transformers import LogitsProcessor, LogitsProcessorList

from patchwork.attention import NAME, Recorder, record
from patchwork.demo import PartialText, Progress
from patchwork.errors import Problem
from patchwork.families.chat import stream_generate
from patchwork.families.parts import Parts, find_parts
from patchwork.trace import Candidate, Place, Stage, Step, Trace, Word, choose_layers, estimate_bytes

if TYPE_CHECKING:
    from patchwork.families.chat import ChatModel

CANDIDATES = 5
TITLES = {
    "tower": "Vision tower",
    "projector": "Projector",
    "embed": "Word table",
    "prefill": "Decoder reads the prompt",
    "decode": "Decoder, one token after the other",
    "head": "Head",
}
watched: ContextVar[Watch | None] = ContextVar("watched", default=None)


@dataclass
class Call:
    """Forward passes of one part, added up."""

    times: int = 0
    seconds: float = 0.0
    input_shape: tuple[int, ...] = ()
    output_shape: tuple[int, ...] = ()
    output_bytes: int = 0


@dataclass
class Watch:
    """What the hooks have seen so far in one generation."""

    parts: Parts
    image: torch.Tensor  # bool [T]: which places of the prompt are the picture's
    calls: dict[str, Call] = field(default_factory=lambda: defaultdict(Call))
    started: float = 0.0
    projected: torch.Tensor | None = None  # [n, D]
    replaced: int = 0
    hidden: list[torch.Tensor] = field(default_factory=list)  # of this pass: each layer's last vector [D]
    logits: torch.Tensor | None = None  # of this pass [vocabulary]
    chosen: list[int] = field(default_factory=list)
    passes: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)  # (candidates, lens), each [n, 2]
    cache_bytes: int = 0


def trace_generation(
    model: ChatModel, image: Image.Image, prompt: str, most_tokens: int, stop: Flag | None = None
) -> Iterator[Progress | PartialText | Trace]:
    """What keeping will cost, then the text as it grows, then the `Trace`. Raises `Problem` for another kind of model.

    Attention is recorded beside the fast kernel: the answer is the one that the same model gives without recording.
    """
    parts = find_parts(model.model)
    if model.model.config._attn_implementation != NAME:
        model.model.set_attn_implementation(NAME)
    inputs = model.prepare([image], prompt)
    ids = inputs["input_ids"][0]
    text = parts.language.config
    expected = estimate_bytes(len(parts.layers), len(ids), most_tokens, text.hidden_size, text.vocab_size)
    yield Progress(
        message=f"Recording keeps at most {expected / 1000:,.0f} kB: one row of attention for each of "
        f"{len(parts.layers)} layers and up to {most_tokens} tokens"
    )
    watch = Watch(parts, ids == parts.image_token_id)
    with hooks(watch):
        recorder, stream = start(model, watch, inputs, most_tokens, stop)
        shown = ""
        with closing(stream):
            for piece in stream:
                shown += piece
                yield PartialText(text=shown)
    if not watch.passes:
        raise Problem("The generation was stopped before its first token; run it again.")
    yield build_trace(model, image, ids, watch, recorder, expected)


def start(
    model: ChatModel, watch: Watch, inputs: dict, most_tokens: int, stop: Flag | None
) -> tuple[Recorder, Iterator[str]]:
    """The recorder and the stream of text, begun. The generating thread copies the context that is set here only:
    between two pieces this iterator may be continued in any context."""
    modules = [layer.self_attn for layer in watch.parts.layers]
    token = watched.set(watch)
    try:
        with record(modules, rows=slice(-1, None), reduce=take_last_row) as recorder:
            stream = stream_generate(
                model.model,
                model.processor.tokenizer,
                inputs,
                stop,
                max_new_tokens=most_tokens,
                logits_processor=LogitsProcessorList([EndOfPass(watch)]),
            )
            first = next(stream, None)
    finally:
        watched.reset(token)
    return recorder, prepend(first, stream)


def prepend(first: str | None, stream: Iterator[str]) -> Iterator[str]:
    with closing(stream):
        if first is not None:
            yield first
            yield from stream


def take_last_row(weights: torch.Tensor) -> torch.Tensor:
    """[1, heads, 1, keys] → mean over heads [keys], in main memory."""
    return weights[0, :, -1].mean(0).float().cpu()


# ---------------------------------------------------------------- hooks


@contextmanager
def hooks(watch: Watch) -> Iterator[None]:
    """Every part and layer tells `watch` what it does, for as long as this block lasts."""
    parts = watch.parts
    with ExitStack() as handles:
        for name in ("tower", "projector", "embed", "language", "head"):
            module = getattr(parts, name)
            begin, end = before(watch, name), after(watch, name)
            handles.callback(module.register_forward_pre_hook(begin, with_kwargs=True).remove)
            handles.callback(module.register_forward_hook(end, with_kwargs=True).remove)
        for layer in parts.layers:
            handles.callback(layer.register_forward_hook(keep_hidden(watch)).remove)
        yield


def before(watch: Watch, name: str) -> Any:
    def begin(module: nn.Module, inputs: tuple, options: dict) -> None:
        if watched.get() is not watch:
            return
        if name == "language":
            compare_placeholders(watch, options["inputs_embeds"][0])
            watch.hidden.clear()
        wait_for(module)
        watch.started = time.perf_counter()

    return begin


def after(watch: Watch, name: str) -> Any:
    def end(module: nn.Module, inputs: tuple, options: dict, output: Any) -> None:
        if watched.get() is not watch:
            return
        wait_for(module)
        seconds = time.perf_counter() - watch.started
        tensor = output if isinstance(output, torch.Tensor) else output[0]
        key = name if name != "language" else "decode" if "prefill" in watch.calls else "prefill"
        given = (
            inputs[0] if inputs else options["inputs_embeds"] if name == "language" else next(iter(options.values()))
        )
        call = watch.calls[key]
        call.times += 1
        call.seconds += seconds
        if call.times == 1:
            call.input_shape, call.output_shape = tuple(given.shape[1:]), tuple(tensor.shape[1:])
            call.output_bytes = tensor.numel() * tensor.element_size()
        if name == "projector":
            watch.projected = tensor.detach().reshape(-1, tensor.shape[-1])
        elif name == "language":
            watch.cache_bytes = count_cache(find_cache(output))
        elif name == "head":
            watch.logits = tensor[0, -1].detach().float()

    return end


def keep_hidden(watch: Watch) -> Any:
    def keep(module: nn.Module, inputs: tuple, output: Any) -> None:
        if watched.get() is watch:
            hidden = output if isinstance(output, torch.Tensor) else output[0]
            watch.hidden.append(hidden[0, -1].detach().clone())

    return keep


def compare_placeholders(watch: Watch, vectors: torch.Tensor) -> None:
    """`vectors` [T, D] as the decoder gets them: at the picture's places they should be the projector's, unchanged."""
    if watch.projected is not None and len(vectors) == len(watch.image):
        picture = vectors[watch.image.to(vectors.device)]
        written = watch.projected.to(picture)
        if len(written) == len(picture):
            watch.replaced = int((picture == written).all(-1).sum())
        else:  # LLaVA-NeXT takes the patches of its padding out again, and ends each row with a vector of its own
            known = {row.tobytes() for row in written.float().cpu().numpy()}
            watch.replaced = sum(row.tobytes() in known for row in picture.float().cpu().numpy())


class EndOfPass(LogitsProcessor):
    """Runs after the generation settings, so the largest score is the token that greedy decoding takes."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        watch, parts = self.watch, self.watch.parts
        chosen = int(scores[0].argmax())
        token = watched.set(None)  # the lens runs the head once more, and that is no part of the generation
        try:
            read = (
                parts.head(parts.language.norm(torch.stack(watch.hidden))).float().softmax(-1)
            )  # [layers, vocabulary]
        finally:
            watched.reset(token)
        probabilities = watch.logits.softmax(-1)
        top = probabilities.topk(min(CANDIDATES, len(probabilities))).indices
        candidates = torch.cat([torch.tensor([chosen], device=top.device), top])
        watch.passes.append((pair(candidates, probabilities[candidates]), pair(read.argmax(-1), read.amax(-1))))
        watch.chosen.append(chosen)
        return scores


def pair(ids: torch.Tensor, probabilities: torch.Tensor) -> torch.Tensor:
    """Two rows of n → float64 [n, 2] in main memory."""
    return torch.stack([ids.double(), probabilities.double()], -1).cpu()


def wait_for(module: nn.Module) -> None:
    """A GPU works on while Python goes ahead; without waiting, times would be those of handing over the work."""
    if next(module.parameters()).is_cuda:
        torch.cuda.synchronize()


def find_cache(output: Any) -> Any:
    """Called `past_key_values` before transformers 5.24, which warns of the old name."""
    return next(output[name] for name in ("cache", "past_key_values") if name in output)


def count_cache(cache: Any) -> int:
    return sum(part.numel() * part.element_size() for layer in cache.layers for part in (layer.keys, layer.values))


# ---------------------------------------------------------------- from what was seen to plain data


def build_trace(
    model: ChatModel, image: Image.Image, ids: torch.Tensor, watch: Watch, recorder: Recorder, expected: int
) -> Trace:
    parts, tokenizer = watch.parts, model.processor.tokenizer
    rows = [recorder.calls[layer.self_attn] for layer in parts.layers]  # [layers][steps] of [keys]
    map_layers = choose_layers(len(parts.layers))
    grid = model.locate_tokens(image)
    fits = grid is not None and grid.rows * grid.columns == int(watch.image.sum())
    return Trace(
        prompt=read_prompt(ids.tolist(), parts.image_token_id, tokenizer),
        prompt_tokens=len(ids),
        image_tokens=int(watch.image.sum()),
        replaced=watch.replaced,
        layers=len(parts.layers),
        heads=parts.language.config.num_attention_heads,
        width=parts.language.config.hidden_size,
        stages=list_stages(watch),
        steps=list(list_steps(watch, rows, map_layers, tokenizer)),
        map_layers=map_layers,
        place=Place(rows=grid.rows, columns=grid.columns, region=grid.region) if fits else None,
        row_error=max(abs(1 - float(row.sum())) for layer in rows for row in layer),
        expected_bytes=expected,
        kept_bytes=recorder.stored_bytes(),
        cache_bytes=watch.cache_bytes,
    )


def read_prompt(ids: list[int], image_token: int, tokenizer: Any) -> list[Word]:
    """The prompt's tokens; a run of placeholders becomes one word."""
    words: list[Word] = []
    for token in ids:
        if token == image_token and words and words[-1].picture:
            words[-1] = words[-1].model_copy(update={"count": words[-1].count + 1})
        else:
            words.append(Word(id=token, text=tokenizer.decode([token]), picture=token == image_token))
    return words


def list_stages(watch: Watch) -> list[Stage]:
    """In the order in which a picture and a question pass through them. A tied weight counts where it first stands."""
    parts, counted, stages = watch.parts, set(), []
    for name in TITLES:
        if name not in watch.calls:
            continue
        call = watch.calls[name]
        module = parts.language if name in ("prefill", "decode") else getattr(parts, name)
        weights = [weight for weight in module.parameters() if id(weight) not in counted]
        counted |= {id(weight) for weight in weights}
        shared = "" if weights else "the word table" if name == "head" else "the line above"
        stages.append(
            Stage(
                name=name,
                title=TITLES[name],
                calls=call.times,
                input_shape=call.input_shape,
                output_shape=call.output_shape,
                parameters=sum(weight.numel() for weight in weights),
                parameter_bytes=sum(weight.numel() * weight.element_size() for weight in weights),
                output_bytes=call.output_bytes,
                seconds=round(call.seconds, 6),
                shared_with=shared,
            )
        )
    return stages


def list_steps(watch: Watch, rows: list, map_layers: list[int], tokenizer: Any) -> Iterator[Step]:
    picture = watch.image.cpu()
    texts = split_text(watch.chosen, tokenizer)
    for index, (candidates, lens) in enumerate(watch.passes):
        seen = [layer[index] for layer in rows]  # [layers] of [keys]
        (chosen, *others) = read_candidates(candidates, tokenizer)
        yield Step(
            id=chosen.id,
            text=texts[index],
            probability=chosen.probability,
            candidates=others,
            shares=[share_out(row, picture) for row in seen],
            lens=read_candidates(lens, tokenizer),
            maps=[seen[layer][: len(picture)][picture].tolist() for layer in map_layers],
        )


def split_text(ids: list[int], tokenizer: Any) -> list[str]:
    """What each token adds to the text; nothing while it ends inside a character (byte-level tokens)."""
    texts, before = [], ""
    for length in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:length])
        whole = length == len(ids) or not text.endswith("\ufffd")
        texts.append(text[len(before) :] if whole else "")
        before = text if whole else before
    return texts


def read_candidates(pairs: torch.Tensor, tokenizer: Any) -> list[Candidate]:
    return [
        Candidate(id=int(token), text=tokenizer.decode([int(token)]), probability=probability)
        for token, probability in pairs.tolist()
    ]


def share_out(row: torch.Tensor, picture: torch.Tensor) -> tuple[float, float, float]:
    """One attention row [keys] → its sums over the picture, over the rest of the prompt, over the answer so far."""
    prompt = row[: len(picture)]
    return float(prompt[picture].sum()), float(prompt[~picture].sum()), float(row[len(picture) :].sum())
