"""Paints scenes at any size: gradient, clutter, shadows, textures, light, and the text of signs."""

from __future__ import annotations

import math
import random
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from patchwork.tiny.shapes import BOARD
from patchwork.tiny.world import COLOURS, Scene, Thing

SHADOW = (40, 36, 48)


def paint_scene(scene: Scene, side: int) -> Image.Image:
    """RGB picture of side × side pixels, smooth because it is painted at twice the size."""
    big = 2 * side
    picture = paint_background(scene, side).resize((big, big))
    paint_clutter(picture, scene)
    for thing in scene.things:
        paint_thing(picture, thing)
    return picture.resize((side, side), Image.Resampling.BOX)


def paint_background(scene: Scene, side: int) -> Image.Image:
    first, second, angle = scene.background
    line = np.arange(side, dtype=np.float32) / side - 0.5
    share = np.clip(0.5 + line[None] * math.cos(angle) + line[:, None] * math.sin(angle), 0, 1)[..., None]
    noise = np.random.default_rng(scene.seed).standard_normal((side, side, 1), np.float32) * 2
    pixels = np.float32(first) + (np.float32(second) - np.float32(first)) * share + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def paint_clutter(picture: Image.Image, scene: Scene) -> None:
    """Thin lines and confetti, a little darker or lighter than the ground: there, but nothing to speak of."""
    rng, pen, big = random.Random(scene.seed), ImageDraw.Draw(picture), picture.width
    for _ in range(scene.clutter):
        colour = tuple(min(255, max(0, c + rng.choice((-30, 18)))) for c in scene.background[rng.randrange(2)])
        x, y = rng.uniform(0, big), rng.uniform(0, big)
        if rng.random() < 0.4:
            pen.line([x, y, rng.uniform(0, big), rng.uniform(0, big)], fill=colour, width=max(1, round(0.006 * big)))
        else:
            radius = rng.uniform(0.006, 0.014) * big
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def paint_thing(picture: Image.Image, thing: Thing) -> None:
    big = picture.width
    pad = round(0.03 * big)
    x1, y1, x2, y2 = (round(v * big) for v in thing.box)
    left, top = max(0, x1 - pad), max(0, y1 - pad)
    mask = cut_mask(thing, big, (left, top, min(big, x2 + pad), min(big, y2 + pad)))
    offset = round(0.012 * big)
    shadow = mask.filter(ImageFilter.BoxBlur(0.012 * big)).point([v * 70 // 255 for v in range(256)])
    picture.paste(SHADOW, (left + offset, top + offset), shadow)
    skin = paint_texture(thing, mask.size, big)
    inner = mask.filter(ImageFilter.BoxBlur(0.005 * big)).point([255 if v > 205 else 0 for v in range(256)])
    skin = Image.composite(skin, skin.point([int(v * 0.74) for v in range(256)] * 3), inner)  # a darker rim
    skin.paste((255, 255, 255), (0, 0), light(False).resize(skin.size))
    skin.paste((0, 0, 0), (0, 0), light(True).resize(skin.size))
    picture.paste(skin, (left, top), mask)
    if thing.text:
        paint_text(picture, thing)


def cut_mask(thing: Thing, big: int, frame: tuple[int, int, int, int]) -> Image.Image:
    """255 where the thing is, inside `frame` (left, top, right, bottom) of a picture `big` pixels wide."""
    left, top, right, bottom = frame
    mask = Image.new("L", (right - left, bottom - top), 0)
    pen = ImageDraw.Draw(mask)
    for polygons, value in zip(thing.polygons, (255, 0), strict=True):
        for polygon in polygons:
            pen.polygon([(x * big - left, y * big - top) for x, y in polygon], fill=value)
    return mask


@cache
def light(shade: bool) -> Image.Image:
    """A soft lamp from the upper left: how strongly to lighten, or to shade, each place."""
    line = np.linspace(-1, 1, 32, dtype=np.float32)
    slope = (line[None] + line[:, None]) / 2 * (1 if shade else -1)
    return Image.fromarray((np.clip(slope, 0, 1) * (66 if shade else 72)).astype(np.uint8))


def paint_texture(thing: Thing, size: tuple[int, int], big: int) -> Image.Image:
    colour = COLOURS[thing.colour]
    skin = Image.new("RGB", size, colour)
    if thing.texture == "plain":
        return skin
    dark = sum(colour) / 3 < 190
    other = tuple(int(c + (255 - c) * 0.66) if dark else int(c * 0.55) for c in colour)
    pen, step = ImageDraw.Draw(skin), max(6, round(0.05 * big))
    if thing.texture == "striped":
        for x in range(-size[1], size[0] + step, step):
            pen.line([(x, 0), (x + size[1], size[1])], fill=other, width=max(2, round(step * 0.42)))
        return skin
    radius = step * 0.3
    for row, y in enumerate(range(step // 2, size[1] + step, step)):
        for x in range((row % 2) * step // 2, size[0] + step, step):
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=other)
    return skin


@cache
def find_font(size: int) -> ImageFont.FreeTypeFont:
    """The font inside Pillow: the same on every machine."""
    return ImageFont.load_default(size)


def paint_text(picture: Image.Image, thing: Thing) -> None:
    """A sign's word in capitals, or its number, as large as the board allows."""
    big, words = picture.width, thing.text.upper()
    x1, y1, x2, y2 = (big * (thing.centre[i % 2] + thing.half * v) for i, v in enumerate(BOARD))
    size = round(0.95 * (y2 - y1))
    wide = find_font(size).getlength(words)
    size = round(size * min(1, 0.86 * (x2 - x1) / wide))
    ink = (20, 20, 24) if sum(COLOURS[thing.colour]) / 3 > 120 else (255, 255, 255)
    pen = ImageDraw.Draw(picture)
    pen.text(((x1 + x2) / 2, (y1 + y2) / 2), words, fill=ink, font=find_font(size), anchor="mm", stroke_width=size / 40)
