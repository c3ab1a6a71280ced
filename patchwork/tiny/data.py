"""Scenes and pages as training data: pictures drawn ahead and kept, and for each patch the object that covers it."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from patchwork.tiny.catalogue import (
    FIELDS,
    GRIDS,
    Entry,
    Line,
    Page,
    find_card_owners,
    find_page_owners,
    invent_page,
    shrink_box,
)
from patchwork.tiny.shapes import KINDS
from patchwork.tiny.world import COLOURS, COUNTS, SIZES, TEXTURES, WORDS, Scene, Thing, invent_scene

SIDE, PATCH = 128, 16
GRID = SIDE // PATCH
MOST = max(COUNTS)  # objects in a scene
CARDS = max(rows * columns for rows, columns in GRIDS)  # on a page
ATTRIBUTES = {
    "kind": list(KINDS),
    "colour": list(COLOURS),
    "size": list(SIZES),
    "texture": list(TEXTURES),
    "word": [*WORDS, "a number", "no text"],
    "tens": list("0123456789"),
    "ones": list("0123456789"),
    "field": list(FIELDS),
    "about kind": list(KINDS),  # of a printed line: what the card shows
    "about colour": list(COLOURS),
}
COLUMNS = len(ATTRIBUTES) + 4


def find_owners(scene: Scene, fine: int = 64) -> np.ndarray:
    """int8 [GRID²]: which object is most to be seen in each patch, −1 for background (under an eighth covered)."""
    cover = np.zeros((len(scene.things), fine, fine), np.float32)
    for number, thing in enumerate(scene.things):
        mask = Image.new("L", (fine, fine), 0)
        pen = ImageDraw.Draw(mask)
        for polygons, value in zip(thing.polygons, (1, 0), strict=True):
            for polygon in polygons:
                pen.polygon([(x * fine, y * fine) for x, y in polygon], fill=value)
        cover[number] = np.asarray(mask)
        cover[:number] *= 1 - cover[number]  # later things lie on top
    cells = cover.reshape(-1, GRID, fine // GRID, GRID, fine // GRID).mean((2, 4)).reshape(len(cover), -1)
    return np.where(cells.max(0) > 0.12, cells.argmax(0), -1).astype(np.int8)


def describe(box: tuple[float, ...], **values: str) -> list[float]:
    """A row: attributes as indices (−1: has none), then the box."""
    named = {name.replace("_", " "): value for name, value in values.items()}
    return [*(names.index(named[name]) if name in named else -1 for name, names in ATTRIBUTES.items()), *box]


def describe_thing(thing: Thing) -> list[float]:
    number = thing.text if thing.text.isdigit() else ""
    word = "no text" if not thing.text else "a number" if number else thing.text
    digits = {"tens": number[0], "ones": number[1]} if number else {}
    names = {"kind": thing.kind, "colour": thing.colour, "size": thing.size, "texture": thing.texture, "word": word}
    return describe(thing.box, **names, **digits)


def describe_line(line: Line, thing: Thing) -> list[float]:
    digits = {"tens": line.value[0], "ones": line.value[1]}
    return describe(line.box, field=line.field, about_kind=thing.kind, about_colour=thing.colour, **digits)


def make_table(rows: list[list[float]], most: int) -> np.ndarray:
    """float32 [most, COLUMNS], −1 where there is no object."""
    table = np.full((most, COLUMNS), -1, np.float32)
    table[: len(rows)] = rows
    return table


def describe_objects(scene: Scene) -> np.ndarray:
    return make_table([describe_thing(thing) for thing in scene.things], MOST)


def describe_card(entry: Entry) -> np.ndarray:
    """The object, then the two lines, in shares of the tile."""
    return make_table([describe_thing(entry.thing), *(describe_line(line, entry.thing) for line in entry.lines)], CARDS)


def describe_page(page: Page) -> np.ndarray:
    """The objects of the cards, in shares of the overview; what is printed is too small there to be asked for."""
    rows = [
        describe(shrink_box(page, number), kind=entry.thing.kind, colour=entry.thing.colour)
        for number, entry in enumerate(page.entries)
    ]
    return make_table(rows, CARDS)


class Store:
    """Pictures drawn once and kept: memory-mapped files of `count` rows, and how many are `ready`, 0 … ready − 1."""

    def __init__(self, folder: Path, count: int, prefix: str) -> None:
        self.folder, self.count, self.prefix = folder, count, prefix
        folder.mkdir(parents=True, exist_ok=True)

    def open_file(self, name: str, kind: type, shape: tuple[int, ...]) -> np.memmap:
        path = self.folder / f"{self.prefix}{name}-{self.count}.npy"
        if path.exists():
            return np.load(path, mmap_mode="r+")
        return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(self.count, *shape))

    @property
    def progress(self) -> Path:
        return self.folder / f"{self.prefix}drawn-{self.count}.txt"

    @property
    def ready(self) -> int:
        return int(self.progress.read_text() or 0) if self.progress.exists() else 0

    def draw(self, until: int) -> None:
        """Draws what is missing of the first `until`."""
        for seed in range(self.ready, until):
            self.draw_one(seed)
            if seed % 100 == 99 or seed == until - 1:
                partial = self.progress.with_suffix(".part")
                partial.write_text(str(seed + 1))
                partial.replace(self.progress)

    def draw_one(self, seed: int) -> None:
        raise NotImplementedError


class SceneStore(Store):
    """Scenes of seeds 0 … count − 1, memory-mapped: `pictures` uint8 [n, 128, 128, 3], `owners` [n, 64], `objects`.

    A process of low priority draws them while training already runs on the first `ready` of them; what was drawn in an
    earlier run is kept (49 kB a scene).
    """

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder, count, "")
        self.pictures = self.open_file("pictures", np.uint8, (SIDE, SIDE, 3))
        self.owners = self.open_file("owners", np.int8, (GRID**2,))
        self.objects = self.open_file("objects", np.float32, (MOST, COLUMNS))

    def draw_one(self, seed: int) -> None:
        scene = invent_scene(seed)
        self.pictures[seed], self.owners[seed] = np.asarray(scene.draw(SIDE)), find_owners(scene)
        self.objects[seed] = describe_objects(scene)


class Curriculum:
    """Which scenes to learn from: those of at most `most` objects, more as they are mastered (`gate` is answered)."""

    def __init__(self, store: SceneStore, most: int, gate: float) -> None:
        self.store, self.most, self.gate, self.right = store, most, gate, 0.0

    def choose(self, batch: int, text: float = 0.35) -> np.ndarray:
        """Seeds, in order; a share `text` of them of scenes with a sign, because reading is learnt slowest."""
        seeds = np.random.randint(0, self.store.ready, 16 * batch)
        objects = self.store.objects[seeds]
        seeds_kept = (objects[..., 0] >= 0).sum(1) <= self.most
        signs = ((objects[..., 4] >= 0) & (objects[..., 4] != ATTRIBUTES["word"].index("no text"))).any(1)
        chosen = seeds[seeds_kept & signs][: round(text * batch)]
        return np.sort(np.concatenate([chosen, seeds[seeds_kept]])[:batch])

    def learn(self, right: float) -> None:
        self.right = 0.95 * self.right + 0.05 * right
        if self.right > self.gate and self.most < MOST:
            self.most, self.right = self.most + 1 if self.most < 5 else MOST, self.gate - 0.4


class PageStore(Store):
    """Pages of seeds 0 … count − 1, memory-mapped: `pictures` uint8 [n, 1 + CARDS, 128, 128, 3], the overview first,
    then the tiles; `owners` [n, 1 + CARDS, 64]; `objects` [n, 1 + CARDS, CARDS, COLUMNS]; `views` [n]: how many."""

    def __init__(self, folder: Path, count: int) -> None:
        super().__init__(folder, count, "page-")
        self.pictures = self.open_file("pictures", np.uint8, (1 + CARDS, SIDE, SIDE, 3))
        self.owners = self.open_file("owners", np.int8, (1 + CARDS, GRID**2))
        self.objects = self.open_file("objects", np.float32, (1 + CARDS, CARDS, COLUMNS))
        self.views = np.array([1 + len(invent_page(seed).entries) for seed in range(count)])

    def draw_one(self, seed: int) -> None:
        page, views = invent_page(seed), self.views[seed]
        drawn = page.draw(SIDE)
        self.pictures[seed, :views] = [np.asarray(view) for view in (page.see_whole(drawn), *page.cut(drawn))]
        owners = [find_page_owners(page, GRID), *(find_card_owners(entry, GRID) for entry in page.entries)]
        self.owners[seed, :views] = owners
        self.objects[seed, :views] = [describe_page(page), *map(describe_card, page.entries)]

    def choose_views(self, tiles: int, overviews: int) -> tuple[np.ndarray, np.ndarray]:
        """(page, view) of so many tiles and overviews, at random."""
        pages = np.sort(np.random.randint(0, self.ready, tiles + overviews))
        views = 1 + np.random.randint(0, self.views[pages] - 1)
        views[np.random.permutation(len(pages))[:overviews]] = 0
        return pages, views


def draw_ahead(scenes: SceneStore, pages: PageStore) -> multiprocessing.Process:
    """Starts the process that draws what is missing; it ends with the program."""
    arguments = (scenes.folder, scenes.count, pages.count)
    process = multiprocessing.get_context("spawn").Process(target=draw_gently, args=arguments, daemon=True)
    process.start()
    return process


def draw_gently(folder: Path, scenes: int, pages: int) -> None:
    """With the lowest priority; pages first, since they are fewer."""
    if hasattr(os, "nice"):
        os.nice(10)
    PageStore(folder, pages).draw(pages)
    SceneStore(folder, scenes).draw(scenes)
