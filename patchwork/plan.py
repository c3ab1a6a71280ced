"""Card × machine → what loading it here would mean, before anything is loaded. Knows no model library.

The memory figures are fitted to measurements of full-size models: docs/memory.md tells how well they predict a model
that they were not fitted to, and `python -m bench.memory` measures again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from patchwork.catalog import Card, Precision
from patchwork.hardware import Hardware

WIDTH = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Bytes a parameter takes, in memory and on the disk."""


@dataclass(frozen=True)
class Constants:
    """What was fitted on a CPU. Anonymous bytes of one answer: `start` + `work` × parameters (activations, caches).
    File-backed bytes: `libraries` (pages of code that a first answer touches) + `touched` × the weights' file.
    `copied`, `unpacked`: bytes per quantized parameter, in the copy's file and anonymous; the rest stays in 16 bits."""

    start: float
    work: float
    libraries: float
    touched: float
    copied: Mapping[str, float]
    unpacked: Mapping[str, float]


FITTED = Constants(
    start=6.93e6,
    work=0.06718,
    libraries=38.07e6,
    touched=0.9055,
    copied={"int8": 0.8451, "nf4": 0.3371},
    unpacked={"int8": 1.189, "nf4": 0.9433},
)
"""Of `docs/memory.json`; tests/test_memory.py fits again and compares."""

ON_GPU = {"int8": 1.05, "nf4": 0.55}
"""Bytes per quantized parameter on a GPU, with scales; from the formats' definitions, not measured here."""

ROOM_ON_GPU = 300e6
"""Bytes that CUDA's own libraries and an answer take beside the weights; to be measured where there is a GPU."""

SHARE_OF_FREE = {"cpu": 0.6, "mps": 0.6, "cuda": 0.85}
"""What models may use of the free memory; a GPU has fewer other users than a computer's main memory."""

READ_RATE = 400e6  # bytes of weights read and converted per second from a disk
QUANTIZE_RATE = 15e6  # parameters per second, the first time on a CPU


@dataclass(frozen=True)
class Memory:
    """Peak growth of the process: `anonymous` bytes, and `file` pages that the system may drop and read again.

    `stays`: the weights are used from their file; else its pages are needed only while they are converted.
    """

    anonymous: float
    file: float
    stays: bool = True

    @property
    def total(self) -> int:
        return int(self.anonymous + self.file)

    @property
    def held(self) -> int:
        """What has to fit."""
        return self.total if self.stays else int(self.anonymous)


class Plan(BaseModel):
    """`memory_bytes` is the expected peak, `file_bytes` the part of it that lies in files, `held_bytes` what has to
    fit; `download_bytes` is 0 when nothing has to be fetched, and `about` says that it is computed, not looked up."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    card_id: str
    title: str
    device: Literal["cuda", "mps", "cpu", "remote"]
    precision: Precision | Literal["not said"]
    memory_bytes: int
    file_bytes: int = 0
    held_bytes: int = 0
    download_bytes: int
    about: bool = False
    cached: bool
    seconds: float
    fits: bool
    reason: str = ""
    host: str = ""

    @property
    def anonymous_bytes(self) -> int:
        return self.memory_bytes - self.file_bytes

    def cost(self) -> str:
        """513 MB, about 4.4 GB, or on this machine; for a model behind a server, where that is."""
        if self.host:
            return f"at {self.host}"
        if self.cached:
            return "on this machine"
        return f"{'about ' if self.about else ''}{format_bytes(self.download_bytes)}"

    def sentence(self) -> str:
        """For example: SmolVLM-256M · 513 MB · fits here in bf16."""
        if self.host:
            return f"{self.title} · answers from {self.host}"
        verdict = f"fits here in {self.precision}" if self.fits else "does not fit here"
        return f"{self.title} · {self.cost()} · {verdict}"


def allow_memory(hardware: Hardware) -> int:
    """The budget where nobody sets another."""
    return int(SHARE_OF_FREE[hardware.device] * hardware.free_bytes)


def make_plan(
    card: Card,
    hardware: Hardware,
    budget_bytes: int | None = None,
    precision: Precision | None = None,
    cached: bool | None = None,
) -> Plan:
    """The first precision that is fast here and fits; else the smallest, with the reason why it does not fit."""
    if card.host:
        return plan_remote(card)
    budget = budget_bytes if budget_bytes is not None else allow_memory(hardware)
    choices = (precision,) if precision else choose_precisions(card, hardware)
    needs = [(estimate_memory(card, choice, hardware.device), choice) for choice in choices]
    smallest = min(needs, key=lambda need: need[0].held)
    memory, chosen = next((need for need in needs if need[0].held <= budget), smallest)
    fits = memory.held <= budget
    cached = card.bundled if cached is None else cached
    return Plan(
        card_id=card.id,
        title=card.title,
        device=hardware.device,
        precision=chosen,
        memory_bytes=memory.total,
        file_bytes=int(memory.file),
        held_bytes=memory.held,
        download_bytes=0 if cached else estimate_download(card),
        about=card.download_bytes is None,
        cached=cached,
        seconds=round(1 + memory.total / READ_RATE, 1),
        fits=fits,
        reason="" if fits else explain_size(card, chosen, memory.held, budget),
    )


def plan_remote(card: Card) -> Plan:
    """A model behind a server takes no memory here, and nobody knows how long it will take."""
    return Plan(
        card_id=card.id,
        title=card.title,
        device="remote",
        precision="not said",
        memory_bytes=0,
        download_bytes=0,
        cached=True,
        seconds=0.0,
        fits=True,
        host=card.host,
    )


def choose_precisions(card: Card, hardware: Hardware) -> tuple[Precision, ...]:
    """The card's own, where it is for one only. The bundled models run in fp32: they are tiny, and their numbers are
    then the same on every machine."""
    if card.precision:
        return (card.precision,)
    return ("fp32",) if card.bundled else tuple(one for one in hardware.precisions if one not in card.refuses)


def estimate_download(card: Card) -> int:
    """The files' sizes where they were looked up, else parameters × the width in which they are stored."""
    return card.download_bytes or card.parameters * WIDTH[card.stored]


def estimate_memory(card: Card, precision: Precision, device: str = "cpu") -> Memory:
    """Measured where the card says so, else from the parameters."""
    if precision in card.memory:
        return Memory(card.memory[precision], 0)
    if device == "cpu":
        return estimate_on_cpu(card.parameters, card.unquantized, card.stored, precision)
    quantized = card.parameters - card.unquantized
    weights = (
        WIDTH[precision] * card.parameters
        if precision in WIDTH
        else 2 * card.unquantized + ON_GPU[precision] * quantized
    )
    return Memory(weights + ROOM_ON_GPU + FITTED.work * card.parameters, 0)


def estimate_on_cpu(
    parameters: int, unquantized: int, stored: str, precision: str, constants: Constants = FITTED
) -> Memory:
    """Weights stored in the wanted width stay in their file. Others are converted while the file is mapped, and it is
    let go before the first answer touches the libraries."""
    work = constants.start + constants.work * parameters
    if precision == stored:
        return Memory(work, constants.libraries + constants.touched * WIDTH[stored] * parameters)
    if precision in WIDTH:
        file = max(constants.libraries, WIDTH[stored] * parameters)
        return Memory(work + WIDTH[precision] * parameters, file, stays=False)
    quantized = parameters - unquantized
    file = constants.libraries + 2 * constants.touched * unquantized + constants.copied[precision] * quantized
    return Memory(constants.start + constants.unpacked[precision] * quantized, file)


def explain_size(card: Card, precision: str, memory: int, budget: int) -> str:
    return (
        f"{card.title} needs about {format_bytes(memory)} even in {precision}, and {format_bytes(budget)} may be used "
        "here; choose a smaller checkpoint, or raise --budget."
    )


def suggest_instead(plan: Plan, card: Card, others: Iterable[tuple[Card, Plan]]) -> Plan:
    """A plan that does not fit names the largest checkpoint that does and shares the most abilities."""
    fitting = [
        (len(card.capabilities & other.capabilities), other.parameters, other.title)
        for other, one in others
        if one.fits and not (other.bundled or other.host) and card.capabilities & other.capabilities
    ]
    if plan.fits or not fitting:
        return plan
    words = f"choose {max(fitting)[2]}, which fits, or raise --budget."
    return plan.model_copy(
        update={"reason": plan.reason.replace("choose a smaller checkpoint, or raise --budget.", words)}
    )


def format_bytes(count: int | None) -> str:
    """Decimal units, as download pages use: 513 MB, 14.1 GB."""
    if count is None:
        return "size unknown"
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB"
