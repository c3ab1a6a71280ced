"""One recorded generation as plain data: the format that the page draws, files hold and tests check. Records nothing.

Written to JSON by pydantic, `docs/trace.md` explains it field by field. Knows no model and no page.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from patchwork.demo import Data

FORMAT = "patchwork-trace-1"


class Stage(Data):
    """What one part of the model did. Shapes without the batch; bytes of its weights and of what it put out."""

    name: Literal["tower", "projector", "embed", "prefill", "decode", "head"]
    title: str
    calls: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    parameter_bytes: int
    output_bytes: int
    seconds: float
    shared_with: str = ""


class Candidate(Data):
    """A token that could come next, with its probability before any generation setting forbids it."""

    id: int
    text: str
    probability: float


class Step(Candidate):
    """A generated token, and what the pass that chose it looked at. Lists by layer go from first to last."""

    candidates: list[Candidate]
    shares: list[tuple[float, float, float]]  # of attention, mean over heads: picture, prompt, own words
    lens: list[Candidate]  # what the head would have said after each layer
    maps: list[list[float]]  # for each of `Trace.map_layers`, attention on each of the picture's tokens


class Place(Data):
    """How the picture's tokens lie on it: `rows × columns` over `region` (x1, y1, x2, y2, pixels of the original)."""

    rows: int
    columns: int
    region: tuple[float, float, float, float]


class Word(Data):
    """A token of the prompt; the run of placeholders is one word with `count` of them."""

    id: int
    text: str
    count: int = 1
    picture: bool = False


class Trace(Data):
    """A generation from the prompt to the last token. `place` is None when the picture was cut into tiles."""

    format: Literal["patchwork-trace-1"] = FORMAT
    prompt: list[Word]
    prompt_tokens: int
    image_tokens: int
    replaced: int  # placeholders whose vector was the projector's, number for number, when the decoder read them
    layers: int
    heads: int
    width: int
    stages: list[Stage]
    steps: list[Step] = Field(min_length=1)
    map_layers: list[int]
    place: Place | None
    row_error: float  # how far the kept attention rows are from summing to 1, at most
    expected_bytes: int  # what keeping could cost, said before the run
    kept_bytes: int
    cache_bytes: int  # keys and values of the decoder at the end

    @model_validator(mode="after")
    def sizes_agree(self) -> Trace:
        """A file that was changed by hand must not reach the drawing."""
        for step in self.steps:
            if {len(step.shares), len(step.lens)} != {self.layers} or len(step.maps) != len(self.map_layers):
                raise ValueError("a step has another number of layers than the trace")
            if self.place and any(len(values) != self.place.rows * self.place.columns for values in step.maps):
                raise ValueError("a map has another number of patches than its place")
        return self


def choose_layers(layers: int, most: int = 8) -> list[int]:
    """At most `most` layers, evenly spread, the first and the last among them."""
    if layers <= most:
        return list(range(layers))
    return [round(index * (layers - 1) / (most - 1)) for index in range(most)]


def estimate_bytes(layers: int, prompt_tokens: int, most_tokens: int, width: int, vocabulary: int) -> int:
    """What a recording keeps at most: one float32 row a layer and token; for one pass, vectors and logits."""
    rows = sum(prompt_tokens + step for step in range(most_tokens))
    return 4 * (layers * rows + layers * width + vocabulary)
