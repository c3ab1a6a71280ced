"""Pictures to try: photographs that scikit-image ships, scenes and price lists of the drawn world. Knows no model."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

    from patchwork.tiny.catalogue import Page
    from patchwork.tiny.world import Scene

PHOTOGRAPHS = (  # file in scikit-image's data folder, caption, credit as given in skimage/data/_fetchers.py
    ("chelsea.png", "A cat", "Stefan van der Walt, CC0"),
    ("coffee.png", "A cup of coffee", "Rachel Michetti, CC0"),
    ("astronaut.png", "An astronaut", "NASA, public domain"),
    ("rocket.jpg", "A rocket launch", "SpaceX, public domain"),
    ("camera.png", "A man with a camera", "Lav Varshney, CC0"),
)
SCENES = (456, 8, 10, 2, 146, 7)  # chosen by eye, for variety
SCENE_SIDE = 512
PAGES = (6, 1, 3)  # chosen for different grids of cards: four rows of three, three of three, three of two
CARD_SIDE = 256


@dataclass(frozen=True)
class PageExample:
    """A price list, and a question that its print answers."""

    caption: str
    page: Page
    question: str

    def draw(self) -> Image.Image:
        return self.page.draw(CARD_SIDE)

    def draw_small(self) -> Image.Image:
        return self.page.draw(CARD_SIDE // 4)


def example_pictures(kind: Literal["drawn", "photograph"]) -> list[tuple[str, Path]]:
    """(caption with credit, file) of every example of this kind; no network, the same on every call."""
    if kind == "photograph":
        return list_photographs()
    if kind == "drawn":
        return list(draw_examples())
    raise ValueError(f"kind is 'drawn' or 'photograph', not {kind!r}")


def first_scene() -> Scene:
    """What the first drawn example shows, for defaults that should fit it."""
    from patchwork.tiny import FRESH, invent_scene

    return invent_scene(FRESH + SCENES[0])


def list_photographs() -> list[tuple[str, Path]]:
    """Those photographs whose files lie inside the installed package; nothing is downloaded or imported."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "data"
    found = [(f"{caption} (photo: {credit})", folder / name) for name, caption, credit in PHOTOGRAPHS]
    return [(caption, path) for caption, path in found if path.is_file()]


@cache
def draw_examples() -> tuple[tuple[str, Path], ...]:
    """Drawn once per process, into a folder that goes with it (the page must be allowed to serve that folder)."""
    from patchwork.tiny import FRESH, draw_scene

    folder = examples_folder()
    examples = []
    for number, scene in enumerate(SCENES, start=1):
        path = folder / f"scene-{number}.png"
        draw_scene(FRESH + scene, SCENE_SIDE).save(path)  # from FRESH on: never trained on
        examples.append((f"Drawn scene {number}", path))
    return tuple(examples)


def example_pages() -> list[PageExample]:
    """Price lists, never trained on; every other question asks two of the cards. Drawn when they are looked at."""
    from patchwork.tiny import FRESH
    from patchwork.tiny.catalogue import invent_page

    pages = [invent_page(FRESH + seed) for seed in PAGES]
    return [
        PageExample(f"Drawn price list {number}", page, ask_print(page, 2 - number % 2))
        for number, page in enumerate(pages, start=1)
    ]


def invent_clip(frames: int) -> list[Scene]:
    """A star that flies over a house from left to right, at `frames` (at least 2) evenly spaced moments."""
    from patchwork.tiny.world import Scene, Thing

    house = Thing("house", "blue", "large", "plain", (0.5, 0.7), 0.18)
    places = [0.14 + 0.72 * number / (frames - 1) for number in range(frames)]
    stars = [Thing("star", "yellow", "medium", "plain", (x, 0.25), 0.125) for x in places]
    pale = ((214, 226, 240), (236, 226, 210), 1.2)
    return [Scene((house, star), pale, seed=0) for star in stars]


def draw_clip(frames: int) -> list[Path]:
    """The same as files, in the folder that the page may serve."""
    paths = [examples_folder() / f"clip-{frames}-{number}.png" for number in range(1, frames + 1)]
    for path, scene in zip(paths, invent_clip(frames), strict=True):
        if not path.exists():
            scene.draw(SCENE_SIDE).save(path)
    return paths


def ask_print(page: Page, most: int) -> str:
    """A question about what the last cards print: of as many as print the same field, at most `most`."""
    field = page.entries[-1].lines[0].field
    names = [entry.thing.name for entry in reversed(page.entries) if entry.value(field)]
    return f"what is the {field} of the {' and of the '.join(names[:most])}?"


@cache
def examples_folder() -> Path:
    """This process's own temporary folder for drawn examples."""
    folder = Path(tempfile.mkdtemp(prefix="patchwork-examples-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
