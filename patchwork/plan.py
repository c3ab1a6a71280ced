"""Card × machine → what loading it here would mean, before anything is loaded. Knows no model library."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from patchwork.catalog import Card, Precision
from patchwork.hardware import Hardware

BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.1, "nf4": 0.65}
"""Bytes a parameter takes in memory. The quantized figures include scales and the parts that stay in 16 bits."""

WORKSPACE = 0.15
"""Activations, caches and buffers, as a share of the weights; measured 7–20 % on models of 150 M to 2 B parameters."""

SHARE_OF_FREE = 0.6
READ_RATE = 400e6  # bytes of weights read and converted per second from a disk


class Plan(BaseModel):
    """`memory_bytes` is the expected peak; `download_bytes` is 0 when nothing has to be fetched."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    card_id: str
    title: str
    device: Literal["cuda", "mps", "cpu"]
    precision: Precision
    memory_bytes: int
    download_bytes: int | None
    cached: bool
    seconds: float
    fits: bool
    reason: str = ""

    def sentence(self) -> str:
        """For example: SmolVLM-256M · 513 MB · fits here in bf16."""
        cost = "on this machine" if self.cached else format_bytes(self.download_bytes)
        verdict = f"fits here in {self.precision}" if self.fits else "does not fit here"
        return f"{self.title} · {cost} · {verdict}"


def make_plan(
    card: Card,
    hardware: Hardware,
    budget_bytes: int | None = None,
    precision: Precision | None = None,
    cached: bool | None = None,
) -> Plan:
    """The first precision that is fast here and fits; else the smallest, with the reason why it does not fit."""
    budget = budget_bytes if budget_bytes is not None else int(SHARE_OF_FREE * hardware.free_bytes)
    choices = (precision,) if precision else choose_precisions(card, hardware)
    needs = [(estimate_memory(card, choice), choice) for choice in choices]
    memory, chosen = next(((need, choice) for need, choice in needs if need <= budget), min(needs))
    fits = memory <= budget
    cached = card.bundled if cached is None else cached
    return Plan(
        card_id=card.id,
        title=card.title,
        device=hardware.device,
        precision=chosen,
        memory_bytes=memory,
        download_bytes=0 if cached else card.download_bytes,
        cached=cached,
        seconds=round(1 + memory / READ_RATE, 1),
        fits=fits,
        reason="" if fits else explain_size(card, chosen, memory, budget),
    )


def choose_precisions(card: Card, hardware: Hardware) -> tuple[Precision, ...]:
    """The bundled models run in fp32: they are tiny, and their numbers are then the same on every machine."""
    return ("fp32",) if card.bundled else hardware.precisions


def estimate_memory(card: Card, precision: Precision) -> int:
    """Measured where the card says so, else parameters × bytes, and room to work."""
    if precision in card.memory:
        return card.memory[precision]
    return int(card.parameters * BYTES[precision] * (1 + WORKSPACE))


def explain_size(card: Card, precision: str, memory: int, budget: int) -> str:
    return (
        f"{card.title} needs about {format_bytes(memory)} even in {precision}, and {format_bytes(budget)} may be used "
        "here; choose a smaller checkpoint, or raise --budget."
    )


def format_bytes(count: int | None) -> str:
    """Decimal units, as download pages use: 513 MB, 14.1 GB."""
    if count is None:
        return "size unknown"
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB"
