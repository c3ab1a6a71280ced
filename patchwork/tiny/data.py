"""Scenes as training data: pictures drawn once and kept, and for each patch the object that covers it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from patchwork.tiny.world import COLOURS, KINDS, SIZES, TEXTURES, Scene, invent_scene

SIDE, PATCH = 128, 16
GRID = SIDE // PATCH
MOST = 4  # objects in a scene
ATTRIBUTES = (list(KINDS), list(COLOURS), list(SIZES), list(TEXTURES))


def find_owners(scene: Scene, fine: int = 64) -> np.ndarray:
    """int8 [GRID²]: which object covers most of each patch, −1 for background (under an eighth covered)."""
    cover = []
    for thing in scene.things:
        mask = Image.new("L", (fine, fine), 0)
        pen = ImageDraw.Draw(mask)
        for polygons, value in zip(thing.polygons, (255, 0), strict=True):
            for polygon in polygons:
                pen.polygon([(x * fine, y * fine) for x, y in polygon], fill=value)
        cells = np.asarray(mask, np.float32).reshape(GRID, fine // GRID, GRID, fine // GRID)
        cover.append(cells.mean((1, 3)).ravel() / 255)
    cover = np.stack(cover)
    return np.where(cover.max(0) > 0.12, cover.argmax(0), -1).astype(np.int8)


def describe_objects(scene: Scene) -> np.ndarray:
    """float32 [MOST, 8]: kind, colour, size and texture as indices, then the box; −1 where there is no object."""
    table = np.full((MOST, 8), -1, np.float32)
    for row, thing in enumerate(scene.things):
        words = (thing.kind, thing.colour, thing.size, thing.texture)
        indices = [names.index(word) for names, word in zip(ATTRIBUTES, words, strict=True)]
        table[row] = [*indices, *thing.box]
    return table


def draw_one(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    scene = invent_scene(seed)
    return np.asarray(scene.draw(SIDE)), find_owners(scene), describe_objects(scene)


def draw_scenes(count: int, folder: Path, workers: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scenes of seeds 0 … count − 1: pictures uint8 [n, 128, 128, 3], owners [n, 64], objects [n, 4, 8].

    Drawn once into `folder` (49 kB a scene) and read from there, memory-mapped, the next time.
    """
    pictures, labels = folder / f"scenes-{count}.npy", folder / f"labels-{count}.npz"
    if not labels.exists():
        folder.mkdir(parents=True, exist_ok=True)
        store = np.lib.format.open_memmap(pictures, mode="w+", dtype=np.uint8, shape=(count, SIDE, SIDE, 3))
        owners, objects = np.empty((count, GRID**2), np.int8), np.empty((count, MOST, 8), np.float32)
        with ProcessPoolExecutor(workers) as pool:
            for i, drawn in enumerate(pool.map(draw_one, range(count), chunksize=200)):
                store[i], owners[i], objects[i] = drawn
        store.flush()
        np.savez(labels, owners=owners, objects=objects)
    saved = np.load(labels)
    return np.load(pictures, mmap_mode="r"), saved["owners"], saved["objects"]
