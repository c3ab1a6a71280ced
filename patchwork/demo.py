"""The contract of a live demo: typed inputs in, a stream of JSON-able events out.

It knows nothing about models or pages. The page, the API, recordings and tests all stand on these types, so a
replayed recording and a live run pass through the same rendering.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Protocol

from PIL import Image
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, SerializeAsAny

from patchwork.images import load_picture


class Data(BaseModel):
    """Plain typed data: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def picture_to_url(image: Image.Image) -> str:
    """RGB picture → `data:image/png;base64,…`."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def picture_from_url(value: Any) -> Any:
    """Inverse of `picture_to_url`; a picture that is one already passes through. `Problem` for a bad one."""
    if not isinstance(value, str):
        return value
    head, _, body = value.partition(",")
    if not head.startswith("data:image/"):
        raise ValueError("a picture is written as a data:image/… URL")
    return load_picture(base64.b64decode(body))


Picture = Annotated[Image.Image, BeforeValidator(picture_from_url), PlainSerializer(picture_to_url, return_type=str)]
"""A `PIL.Image` in RGB that pydantic writes to JSON as a PNG data URL and reads back."""


def check_question(longest: int, needed: bool = True) -> AfterValidator:
    """Marks a text as the reader's question: at most `longest` characters, with words if `needed`; it is stripped."""

    def check(value: str) -> str:
        if needed and not value.strip():
            raise ValueError("There is no question yet; type one beside the picture")
        if len(value) > longest:
            raise ValueError(f"The question has {len(value)} characters; the limit is {longest}, so shorten it")
        return value.strip()

    return AfterValidator(check)


Grid = list[list[float]]
"""Rows of patches, top to bottom; each row left to right."""


class Progress(Data):
    """Something is happening: one sentence, and how far (0–1) when that is known."""

    kind: Literal["progress"] = "progress"
    message: str
    fraction: float | None = Field(default=None, ge=0, le=1)


class PartialText(Data):
    """The whole text generated so far (not only the newest piece)."""

    kind: Literal["text"] = "text"
    text: str


class Map(Data):
    """One value per patch, to be laid over `region` (x1, y1, x2, y2 in pixels of the original picture)."""

    kind: Literal["map"] = "map"
    label: str
    grid: Grid
    region: tuple[float, float, float, float]


class Box(Data):
    """A labelled rectangle in pixels of the original picture."""

    label: str
    x1: float
    y1: float
    x2: float
    y2: float
    score: float | None = None


class Boxes(Data):
    kind: Literal["boxes"] = "boxes"
    boxes: list[Box]


class Metric(Data):
    """One measured number: `value` in `unit` (empty for a plain number), `note` says what it is."""

    label: str
    value: float
    unit: str = ""
    note: str = ""


class Metrics(Data):
    kind: Literal["metrics"] = "metrics"
    metrics: list[Metric]


class Answerer(Data):
    """Who answered: shown under every live panel."""

    model_id: str
    title: str
    device: str
    precision: str
    seconds: float
    bundled: bool = False
    note: str = ""


class Result(Data):
    """The last event of every run; each demo adds its own fields."""

    kind: Literal["result"] = "result"
    answered_by: Answerer


Event = SerializeAsAny[Progress | PartialText | Map | Boxes | Metrics | Result]


class Demo(Protocol):
    """What a module in `demos/` offers. `NEEDS` holds capability names; `run` ends with exactly one `RESULT`.

    Where the tray's picture and question do not suit it, `example()` gives the fields of an example of its own.
    `REMOTE = True`: it may ask models behind a server, and says on the page what leaves this machine.
    """

    NAME: str
    TITLE: str
    ABOUT: str
    NEEDS: frozenset[str]
    Inputs: type[Data]
    RunResult: type[Result]

    def run(self, inputs: Any, model: Any) -> Iterator[Event]: ...
    def render(self, event: Event, inputs: Any) -> str: ...
    def snippet(self, card: Any) -> str: ...
