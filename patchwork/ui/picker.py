"""Which checkpoint answers: the choices of one demo with what each would cost here. Loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from patchwork.errors import Problem
from patchwork.hub import is_cached, is_reachable
from patchwork.plan import format_bytes

if TYPE_CHECKING:
    from patchwork.catalog import Card, Precision
    from patchwork.demo import Demo
    from patchwork.ui.page import Page

QUANTIZED: tuple[Precision, ...] = ("int8", "nf4")


def list_choices(demo: Demo, page: Page) -> list[tuple[str, str]]:
    """(label, id) of every card that can do what the demo needs."""
    remote = getattr(demo, "REMOTE", False)
    return [(label_card(card, page), card.id) for card in page.catalog.offering(demo.NEEDS, remote)]


def list_beside(demo: Demo, page: Page) -> list[tuple[str, str]]:
    """The same for the second place. A demo that `MEASURES` may ask a checkpoint beside itself in fewer bits."""
    cards = page.catalog.offering(demo.NEEDS, getattr(demo, "REMOTE", False))
    here = [card for card in cards if not card.host]
    fewer = [card.in_precision(one) for card in here for one in QUANTIZED if one not in card.refuses]
    return [(label_card(card, page), card.id) for card in [*cards, *(fewer if hasattr(demo, "MEASURES") else [])]]


def label_card(card: Card, page: Page) -> str:
    """Title and one badge: bundled, on this machine, the download, or that it does not fit."""
    if card.bundled:
        return card.title
    if card.host:
        return f"{card.title} — at {card.host}"
    plan = page.pool.plan(card)
    if not plan.fits:
        return f"{card.title} — does not fit here"
    if plan.cached:
        return f"{card.title} — on this machine, {plan.precision}"
    return f"{card.title} — download {plan.cost()}, {plan.precision}"


def choose_default(demo: Demo, page: Page) -> str:
    """The first real card that is here already and fits, else the bundled one."""
    cards = page.catalog.offering(demo.NEEDS)
    if not cards:
        raise Problem(f"No checkpoint in the list can do what {demo.TITLE!r} needs.")
    ready = (card for card in cards if not card.bundled and is_cached(card) and page.pool.plan(card).fits)
    # where nothing that is bundled can do it, the recommended one stands first, though it is not here yet
    first = cards if cards[0].bundled else [*list_recommended(demo, page), *cards]
    return next(ready, first[0]).id


def recommend(demo: Demo, page: Page) -> Card | None:
    """The real checkpoint that the panel offers with one button, unless it is the choice and on this machine."""
    cards = list_recommended(demo, page)
    here = cards and cards[0].id == choose_default(demo, page) and is_cached(cards[0])
    return cards[0] if cards and not here else None


def list_recommended(demo: Demo, page: Page) -> list[Card]:
    return [card for card in page.catalog.offering(demo.NEEDS) if demo.NAME in card.recommended_for]


def describe_choice(card: Card, page: Page) -> str:
    """One line under the picker: what pressing Run will mean."""
    if card.bundled:
        return "Ships with this page; answers at once. It knows only a drawn world."
    plan = page.pool.plan(card)
    if card.host:
        where = (
            "a server on the machine that runs this page"
            if card.here
            else "the picture and the question leave this machine"
        )
        return f"{plan.sentence()}; {where}."
    if not plan.fits:
        return plan.reason
    if not plan.cached and page.offline:
        return f"{plan.sentence()}. It is not on this machine, and the page is offline."
    if not plan.cached and not is_reachable():
        return f"{plan.sentence()}. It is not on this machine, and there is no network now."
    licence = f" Accept its licence first, at huggingface.co/{card.repo}." if card.gated and not plan.cached else ""
    return f"{plan.sentence()}, about {format_bytes(plan.held_bytes)} of memory, on {plan.device}.{licence}"
