"""The toy documents: price lists, a card for each article, with its picture and what is printed below. No model."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from patchwork.tiny.shapes import KINDS
from patchwork.tiny.world import COLOURS, HELD_OUT, Thing

SIDE = 128
"""Pixels of a card's side on the page as the encoder reads it: a card is a tile."""
FIELDS = ("price", "stock", "code", "year", "shelf", "box")
"""What a card can tell, each a number from 10 to 99; every card tells two."""
GRIDS = {(3, 2): 1, (3, 3): 2, (4, 3): 2}
"""(rows, columns) of cards on a page, and how often."""
GROUND = (127, 127, 127)
"""What fills an overview beside the page, as the app's letterbox does."""


@dataclass(frozen=True)
class Line:
    """One printed line. `box`: x1, y1, x2, y2 in shares of the card's side, from the field's name to its number."""

    field: str
    value: str
    box: tuple[float, float, float, float]
    size: float


@dataclass(frozen=True)
class Entry:
    """One card: an object, drawn in shares of the card's side, and two lines."""

    thing: Thing
    lines: tuple[Line, ...]
    ink: tuple[int, int, int]

    def value(self, field: str) -> str:
        """What the card prints for a field; empty where it does not."""
        return next((line.value for line in self.lines if line.field == field), "")


@dataclass(frozen=True)
class Page:
    """`entries` row by row. No two have the same colour and kind."""

    rows: int
    columns: int
    entries: tuple[Entry, ...]
    paper: tuple[int, int, int]
    seed: int

    def draw(self, side: int = SIDE) -> Image.Image:
        """RGB, `columns · side` × `rows · side` pixels."""
        page = Image.new("RGB", (self.columns * side, self.rows * side))
        for number, entry in enumerate(self.entries):
            row, column = divmod(number, self.columns)
            page.paste(paint_card(entry, self.paper, side), (column * side, row * side))
        return page

    def cut(self, page: Image.Image) -> list[Image.Image]:
        """The tiles of the drawn page, row by row."""
        side = page.width // self.columns
        return [
            page.crop((column * side, row * side, (column + 1) * side, (row + 1) * side))
            for row in range(self.rows)
            for column in range(self.columns)
        ]

    def see_whole(self, page: Image.Image) -> Image.Image:
        """The overview: the whole page in SIDE × SIDE pixels, letterboxed."""
        longest = max(page.size)
        square = Image.new("RGB", (longest, longest), GROUND)
        square.paste(page, self.margin(page.size))
        return square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)

    @staticmethod
    def margin(size: tuple[int, int]) -> tuple[int, int]:
        return (max(size) - size[0]) // 2, (max(size) - size[1]) // 2

    def place(self, number: int) -> tuple[float, float, float, float]:
        """The card's box in the overview, in shares of its side."""
        longest = max(self.rows, self.columns)
        left, top = (longest - self.columns) / 2, (longest - self.rows) / 2
        row, column = divmod(number, self.columns)
        x, y = (left + column) / longest, (top + row) / longest
        return x, y, x + 1 / longest, y + 1 / longest


def invent_entry(rng: random.Random, taken: set[str]) -> Entry:
    """A card whose object has another colour or kind than those in `taken`."""
    while True:
        colour, kind = rng.choice(list(COLOURS)), rng.choice([kind for kind in KINDS if kind != "sign"])
        if (colour, kind) not in HELD_OUT and f"{colour} {kind}" not in taken:
            break
    half = rng.uniform(0.225, 0.265)
    centre = (0.5 + rng.uniform(-0.2, 0.2), 0.04 + half + rng.uniform(0, 0.02))
    thing = Thing(kind, colour, "large", "plain", centre, half, rng.uniform(-0.08, 0.08))
    size, left, right = rng.uniform(0.165, 0.185), rng.uniform(0.04, 0.1), rng.uniform(0.9, 0.96)
    first = rng.uniform(0.575, 0.61)
    lines = []
    for number, field in enumerate(rng.sample(FIELDS, 2)):
        top = first + number * 0.2
        lines.append(Line(field, str(rng.randint(10, 99)), (left, top, right, top + size), size))
    return Entry(thing, tuple(lines), tuple(rng.randint(10, 60) for _ in range(3)))


def invent_page(seed: int, grid: tuple[int, int] | None = None) -> Page:
    """A price list of `grid` (rows, columns) cards, by default one of `GRIDS`."""
    rng = random.Random(seed)
    rows, columns = grid or rng.choices(list(GRIDS), GRIDS.values())[0]
    entries: list[Entry] = []
    while len(entries) < rows * columns:
        entries.append(invent_entry(rng, {entry.thing.name for entry in entries}))
    paper = tuple(rng.randint(228, 250) for _ in range(3))
    return Page(rows, columns, tuple(entries), paper, seed)


def paint_card(entry: Entry, paper: tuple[int, int, int], side: int) -> Image.Image:
    """RGB picture of side × side pixels, smooth because it is painted at twice the size."""
    from patchwork.tiny.paint import find_font, paint_thing

    big = 2 * side
    card = Image.new("RGB", (big, big), paper)
    pen = ImageDraw.Draw(card)
    edge = tuple(round(0.86 * value) for value in paper)
    pen.rectangle([0, 0, big - 1, big - 1], outline=edge, width=max(1, big // 128))
    paint_thing(card, entry.thing)
    for line in entry.lines:
        x1, y1, x2, y2 = (big * value for value in line.box)
        font, middle = find_font(round(big * line.size)), (y1 + y2) / 2
        pale = tuple((3 * ink + shade) // 4 for ink, shade in zip(entry.ink, paper, strict=True))
        pen.text((x1, middle), line.field.upper(), fill=pale, font=find_font(round(0.8 * big * line.size)), anchor="lm")
        pen.text((x2, middle), line.value, fill=entry.ink, font=font, anchor="rm", stroke_width=big * line.size / 48)
    return card.resize((side, side), Image.Resampling.BOX)


def find_card_owners(entry: Entry, grid: int) -> np.ndarray:
    """int8 [grid²]: for each patch of the tile 0 for the object, 1 and 2 for the lines, −1 for bare paper."""
    boxes = [entry.thing.box, *(line.box for line in entry.lines)]
    return assign_patches(boxes, grid)


def find_page_owners(page: Page, grid: int) -> np.ndarray:
    """int8 [grid²]: for each patch of the overview the number of the card whose object it shows, −1 for none."""
    return assign_patches([shrink_box(page, number) for number in range(len(page.entries))], grid, least=0.3)


def shrink_box(page: Page, number: int) -> tuple[float, float, float, float]:
    """The box of a card's object in the overview, in shares of its side."""
    x1, y1, x2, y2 = page.place(number)
    a, b, c, d = page.entries[number].thing.box
    return x1 + a * (x2 - x1), y1 + b * (y2 - y1), x1 + c * (x2 - x1), y1 + d * (y2 - y1)


def assign_patches(boxes: list[tuple[float, float, float, float]], grid: int, least: float = 0.25) -> np.ndarray:
    """The box that covers most of each patch, −1 where none covers a share `least` of it."""
    edges = np.arange(grid + 1) / grid
    cover = np.zeros((len(boxes), grid, grid))
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        across = np.clip(np.minimum(edges[1:], x2) - np.maximum(edges[:-1], x1), 0, None) * grid
        down = np.clip(np.minimum(edges[1:], y2) - np.maximum(edges[:-1], y1), 0, None) * grid
        cover[number] = down[:, None] * across[None]
    cover = cover.reshape(len(boxes), -1)
    return np.where(cover.max(0) > least, cover.argmax(0), -1).astype(np.int8)
