"""models.yaml → frozen model cards. Knows no machine and loads no model."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError, ValidationInfo, field_validator

from patchwork.address import check_address, find_host, is_loopback
from patchwork.errors import Problem

ROOT = Path(__file__).resolve().parent
DEFAULT = ROOT.parent / "models.yaml"
BUNDLED = "bundled:"
AT = "@"
CUT_HERE = frozenset({"llava"})
"""Families whose processor cuts no tiles: where a checkpoint of theirs reads pages, its card says how many at most."""

Precision = Literal["fp32", "bf16", "fp16", "int8", "nf4"]
Capability = Literal[
    "embed_image", "embed_text", "attention", "chat", "ground", "read_document", "trace", "train", "fusion", "several"
]


def list_families() -> list[str]:
    """The file names in `families/` are the families; helpers say so by having no `CAPABILITIES`."""
    files = sorted((ROOT / "families").glob("*.py"))
    return [
        path.stem for path in files if "\nCAPABILITIES" in path.read_text(encoding="utf-8") and path.stem != "protocol"
    ]


class Card(BaseModel):
    """One checkpoint, as models.yaml describes it. `parameters` and bytes are counts; None means not verified."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    title: str
    family: str
    repo: str
    revision: str | None = None
    licence: str
    gated: bool = False
    parameters: int = Field(gt=0)
    unquantized: int = Field(default=0, ge=0)
    stored: Literal["fp32", "bf16", "fp16"] = "bf16"
    refuses: frozenset[Precision] = frozenset()
    precision: Precision | None = None
    download_bytes: int | None = Field(default=None, gt=0)
    capabilities: frozenset[Capability]
    coordinates: str | None = None
    tiling: str | None = None
    letterbox: bool = False
    tiles: int = Field(default=0, ge=0, validate_default=True)
    pointing_heads: tuple[tuple[NonNegativeInt, NonNegativeInt], ...] = ()
    prompts: Mapping[str, str] = {}
    memory: Mapping[Precision, int] = {}
    weights: Literal["safetensors", "bin"] = "safetensors"
    files: tuple[str, ...] = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
    recommended_for: tuple[str, ...] = ()
    notes: str = ""
    source: tuple[str, ...] = ()

    @field_validator("family")
    @classmethod
    def family_has_a_file(cls, value: str) -> str:
        if value not in list_families():
            raise ValueError(f"unknown family {value!r}{suggest(value, list_families())}")
        return value

    @field_validator("tiles")
    @classmethod
    def tiles_are_for_reading(cls, value: int, info: ValidationInfo) -> int:
        family, reads = info.data.get("family"), "read_document" in info.data.get("capabilities", ())
        if value and family not in CUT_HERE:
            raise ValueError(f"the processors of {family} cut their own; only cards of {', '.join(CUT_HERE)} say it")
        if value and not reads:
            raise ValueError("a card with tiles reads pages; add read_document to its capabilities")
        if reads and family in CUT_HERE and not value:
            raise ValueError(f"a card of {family} that can read_document says how many tiles it was taught to read")
        return value

    @field_validator("pointing_heads")
    @classmethod
    def heads_point_at_tiles(cls, value: tuple, info: ValidationInfo) -> tuple:
        if value and not info.data.get("tiles"):
            raise ValueError("heads point at tiles, and this card has none; say how many with tiles")
        return value

    def in_precision(self, precision: Precision) -> Card:
        """The same checkpoint, answering in this precision only; named "id@precision"."""
        named = {"id": f"{self.id}{AT}{precision}", "title": f"{self.title} in {precision}"}
        return self.model_copy(update=named | {"precision": precision})

    @property
    def checkpoint(self) -> str:
        """Its id, whatever the precision."""
        return self.id.partition(AT)[0]

    @property
    def bundled(self) -> bool:
        return self.repo.startswith(BUNDLED)

    @property
    def location(self) -> str:
        """What `from_pretrained` takes: the shipped folder, or the repository's name."""
        return str(ROOT / "tiny" / "weights" / self.repo.removeprefix(BUNDLED)) if self.bundled else self.repo

    @property
    def host(self) -> str:
        """Which server answers, for a model that does not run here; else nothing."""
        return ""


class EndpointCard(Card):
    """A model behind an OpenAI-compatible server that the operator names: `repo` is what the server calls it.

    `key_variable`: the environment variable that holds the operator's key. `unencrypted`: http to the open network.
    """

    family: Literal["endpoint"] = "endpoint"
    licence: str = "not said"
    parameters: int = Field(default=0, ge=0, le=0)
    capabilities: frozenset[Literal["chat"]] = frozenset({"chat"})
    unencrypted: bool = False
    url: str
    key_variable: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")

    @field_validator("url")
    @classmethod
    def url_is_safe(cls, value: str, info: ValidationInfo) -> str:
        return check_address(value, info.data.get("unencrypted", False))

    @property
    def bundled(self) -> bool:
        return False

    @property
    def host(self) -> str:
        return find_host(self.url)

    @property
    def here(self) -> bool:
        """Whether the server runs on the machine that runs the page."""
        return is_loopback(self.url)

    @property
    def place(self) -> str:
        return "a server on this machine" if self.here else "remote: the picture and the question went there"


class Catalog:
    """Every card, in the order of the file: bundled first, then smallest first."""

    def __init__(self, cards: Iterable[Card]) -> None:
        self.cards = tuple(cards)
        self.by_id = {card.id: card for card in self.cards}

    def get(self, card_id: str) -> Card:
        """By its id, or "id@precision" for the same in a precision of one's choice."""
        name, _, precision = card_id.partition(AT)
        if name not in self.by_id:
            raise Problem(f"There is no checkpoint named {name!r}{suggest(name, self.by_id)}.")
        card = self.by_id[name]
        if not precision:
            return card
        if precision not in get_args(Precision):
            raise Problem(f"There is no precision named {precision!r}; one of {', '.join(get_args(Precision))}.")
        if precision in card.refuses or card.host:
            raise Problem(f"{card.title} cannot run in {precision}; choose another precision.")
        return card.in_precision(precision)

    def offering(self, needs: Iterable[str], remote: bool = False) -> list[Card]:
        """The cards with all these capabilities; models behind a server only for who asks for `remote` ones too."""
        wanted = frozenset(needs)
        return [card for card in self.cards if wanted <= card.capabilities and (remote or not card.host)]


def suggest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def load_catalog(path: Path | None = None) -> Catalog:
    """Read models.yaml or another list. Raises `Problem` naming file, line, key and the nearest valid word."""
    path = path or DEFAULT
    try:
        text = Path(path).read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        entries = yaml.safe_load(text)
    except OSError as error:
        raise Problem(f"Cannot read the list of checkpoints {path}: {error.strerror}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise Problem(
            f"{path}:{mark.line + 1 if mark else '?'}: not valid YAML: {getattr(error, 'problem', error)}."
        ) from None
    if not isinstance(entries, list):
        raise Problem(f"{path}:1: the file must be a list of checkpoints, each starting with '- id:'.")
    cards, seen = [], {}
    for entry, node in zip(entries, root.value, strict=True):
        cards.append(read_card(entry, node, path))
        line = node.start_mark.line + 1
        if cards[-1].id in seen:
            raise Problem(f"{path}:{line}: the id {cards[-1].id!r} is already used in line {seen[cards[-1].id]}.")
        seen[cards[-1].id] = line
    return Catalog(cards)


def read_card(entry: object, node: yaml.Node, path: Path) -> Card:
    if not isinstance(entry, dict):
        raise Problem(f"{path}:{node.start_mark.line + 1}: a checkpoint is a list of 'key: value' lines.")
    try:
        return (EndpointCard if entry.get("family") == "endpoint" else Card).model_validate(entry)
    except ValidationError as error:
        # a misspelt key explains a missing one, so it is told first
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise Problem(explain(first, node, path)) from None


def read_endpoint(option: str) -> EndpointCard:
    """`NAME=URL#MODEL`, then perhaps `,key=VARIABLE` and `,unencrypted`. Raises `Problem` without quoting all of it."""
    name, _, rest = option.partition("=")
    address, _, rest = rest.partition("#")
    model, *more = rest.split(",")
    words = dict(one.partition("=")[::2] for one in more)
    if not (name and address and model) or not set(words) <= {"key", "unencrypted"}:
        raise Problem("An endpoint is written NAME=URL#MODEL, then perhaps ,key=VARIABLE and ,unencrypted.")
    fields = {"id": name, "title": f"{name}: {model}", "repo": model, "url": address}
    extra = {"key_variable": words.get("key", ""), "unencrypted": "unencrypted" in words}
    try:
        return EndpointCard(**fields, **extra)
    except ValidationError as error:
        first = error.errors()[0]
        wrong = first["msg"].removeprefix("Value error, ")
        raise Problem(f"The endpoint {name!r} cannot be used: {first['loc'][0]}: {wrong}.") from None


def explain(error: dict, node: yaml.Node, path: Path) -> str:
    """One sentence for the first thing that is wrong with an entry."""
    location = [str(part) for part in error["loc"]]
    line = find_line(node, error["loc"])
    key = ".".join(location) or "entry"
    if error["type"] == "extra_forbidden":
        return f"{path}:{line}: unknown key {key!r}{suggest(key, EndpointCard.model_fields)}."
    if error["type"] == "literal_error":
        known = [word.strip(" '") for word in error["ctx"]["expected"].replace(" or ", ",").split(",")]
        return f"{path}:{line}: {key}: unknown word {error['input']!r}{suggest(str(error['input']), known)}."
    return f"{path}:{line}: {key}: {error['msg'].removeprefix('Value error, ')}."


def find_line(node: yaml.Node, location: tuple) -> int:
    """The line of the key (and list item) that an error names; the entry's first line when it is missing."""
    line = node.start_mark.line + 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == str(part)), None)
            if pair is None:
                return line
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
