"""Pictures that are not of the drawn world: textures, light, clutter. Drawn from numbers; no photograph is used."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 128


def draw_clouds(rng: np.random.Generator, start: int = 2) -> np.ndarray:
    """Noise of several scales added up → [SIDE, SIDE] in 0–1."""
    total, strength, cells = np.zeros((SIDE, SIDE)), 1.0, start
    while cells <= 64:
        noise = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        total += strength * np.asarray(noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        strength *= rng.uniform(0.4, 0.8)
        cells *= 2
    return (total - total.min()) / (np.ptp(total) + 1e-6)


def draw_fractal(rng: np.random.Generator) -> np.ndarray:
    """Two colours mixed by clouds, like rock, sky, skin or leaves → [SIDE, SIDE, 3]."""
    first, second = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    share = draw_clouds(rng, start=int(rng.integers(2, 7)))[..., None]
    pixels = first * share + second * (1 - share)
    if rng.random() < 0.6:
        pixels = pixels + rng.uniform(20, 120) * (np.stack([draw_clouds(rng) for _ in range(3)], -1) - 0.5)
    return pixels


def draw_clutter(rng: np.random.Generator) -> np.ndarray:
    """Many random shapes over clouds, a little out of focus."""
    picture = Image.fromarray(np.clip(draw_fractal(rng), 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(4, 60))):
        colour = tuple(int(value) for value in rng.uniform(0, 255, 3))
        (x, y), (width, height) = rng.uniform(-20, 140, 2), rng.exponential(22, 2) + 2
        shape = rng.integers(4)
        if shape == 0:
            pen.ellipse([x, y, x + width, y + height], fill=colour)
        elif shape == 1:
            pen.rectangle([x, y, x + width, y + height], fill=colour)
        elif shape == 2:
            pen.polygon([tuple(rng.uniform(-20, 148, 2)) for _ in range(int(rng.integers(3, 7)))], fill=colour)
        else:
            pen.line([x, y, *rng.uniform(0, SIDE, 2)], fill=colour, width=int(rng.integers(1, 9)))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0, 2.5)))), float)


def draw_regions(rng: np.random.Generator) -> np.ndarray:
    """Regions of different clouds under a soft light: a rough stand-in for what photographs have in common."""
    pixels = draw_fractal(rng)
    for _ in range(int(rng.integers(2, 6))):
        region = draw_clouds(rng, start=int(rng.integers(2, 5))) > rng.uniform(0.4, 0.75)
        soft = Image.fromarray((region * 255).astype(np.uint8)).filter(
            ImageFilter.GaussianBlur(float(rng.uniform(0, 3)))
        )
        share = np.asarray(soft, float)[..., None] / 255
        pixels = pixels * (1 - share) + draw_fractal(rng) * share
    ys, xs = np.mgrid[0:SIDE, 0:SIDE] / (SIDE / 2) - 1
    return pixels * (1 + rng.uniform(-0.6, 0.6) * xs + rng.uniform(-0.6, 0.6) * ys)[..., None]


def draw_noise(rng: np.random.Generator) -> np.ndarray:
    cells = int(rng.choice([4, 8, 16, 32, 64, 128]))
    pixels = rng.uniform(0, 255, (cells, cells, 3 if rng.random() < 0.6 else 1)) * np.ones(3)
    return np.asarray(Image.fromarray(pixels.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST), float)


def draw_waves(rng: np.random.Generator) -> np.ndarray:
    ys, xs = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    pixels = np.full((SIDE, SIDE, 3), 128.0)
    for _ in range(3):
        phase = 2 * math.pi * (rng.uniform(1, 20) * xs + rng.uniform(1, 20) * ys) + rng.uniform(0, 6)
        pixels += np.sin(phase)[..., None] * rng.uniform(-80, 80, 3)
    return pixels


MAKERS = (draw_regions, draw_regions, draw_regions, draw_clutter, draw_clutter, draw_fractal, draw_noise, draw_waves)


def draw_outside(seed: int) -> np.ndarray:
    """One picture from outside the world, RGB uint8 [SIDE, SIDE, 3]; some grey, some letterboxed as uploads are."""
    rng = np.random.default_rng(seed)
    pixels = MAKERS[int(rng.integers(len(MAKERS)))](rng)
    pixels = (pixels - 128) * rng.uniform(0.4, 1.4) + rng.uniform(70, 180)
    if rng.random() < 0.2:
        pixels = pixels.mean(-1, keepdims=True) * np.ones(3)
    picture = np.clip(pixels, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        bar = int(rng.integers(8, 40))
        picture[:bar] = picture[-bar:] = 127
        if rng.random() < 0.5:
            picture = picture.transpose(1, 0, 2).copy()
    return picture
