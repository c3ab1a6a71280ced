"""Bad and odd pictures, generated: what readers upload by accident, and what they might upload on purpose."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 128, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True)
class BadPicture:
    """`refused`: a word that the sentence to the reader must hold, or None when the picture must open, with
    `size` and, at each (x, y) of `pixels`, that colour within `tolerance`."""

    name: str
    data: bytes
    refused: str | None = None
    size: tuple[int, int] | None = None
    pixels: tuple[tuple[tuple[int, int], tuple[int, int, int]], ...] = ()
    tolerance: int = 3


def save(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def paint_halves(mode: str, left, right, size=(40, 20)) -> Image.Image:
    """Left half and right half in one colour each."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def paint_noise(side: int = 200) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8))


def write_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(width: int, height: int, depth: int, colour: int, body: bytes = b"") -> bytes:
    """A PNG by hand: its header says what we like, whatever the body holds."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(body)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(write_chunk(*chunk) for chunk in chunks)


def write_rotated(orientation: int, format: str = "JPEG") -> bytes:
    """20×40, red above blue, with the note that it must be turned."""
    image = Image.new("RGB", (20, 40), RED)
    image.paste(BLUE, (0, 20, 20, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return save(image, format, exif=exif, **({"quality": 95} if format == "JPEG" else {}))


def write_cmyk(adobe: bool) -> bytes:
    """Cyan left, yellow right. Without Adobe's mark the stored values are not inverted: Pillow always inverts."""
    cyan, yellow = (255, 0, 0, 0), (0, 0, 255, 0)
    if adobe:
        return save(paint_halves("CMYK", cyan, yellow), "JPEG", quality=95)
    inverted = paint_halves("CMYK", tuple(255 - v for v in cyan), tuple(255 - v for v in yellow))
    data = save(inverted, "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[start + 2 : start + 4])[0]
    return data[:start] + data[start + 2 + length :]


def write_palette() -> bytes:
    image = Image.new("P", (40, 20), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (20, 0, 40, 20))
    return save(image, "PNG", transparency=0)


def write_animation(format: str) -> bytes:
    frames = [Image.new("RGB", (30, 20), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if format == "WEBP" else {}
    return save(frames[0], format, save_all=True, append_images=frames[1:], duration=50, **options)


def write_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", save(Image.new("RGB", (4, 4)), "PNG"))
    return buffer.getvalue()


def write_float() -> Image.Image:
    values = np.zeros((20, 40), np.float32)
    values[:, :20], values[:, 20:], values[0, 0] = -3, 5, np.nan
    return Image.fromarray(values)


def write_16_bit() -> Image.Image:
    values = np.zeros((20, 40), np.uint16)
    values[:, :20], values[:, 20:] = 0x1234, 0xFFFF
    return Image.fromarray(values)


def flip_middle(data: bytes) -> bytes:
    """Spoil 64 bytes in the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes(255 - b for b in data[middle : middle + 64]) + data[middle + 64 :]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect/></svg>'
HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + b"\x00" * 200
LEFT, RIGHT = (5, 10), (35, 10)
GREY_1234 = (0x1234 // 257,) * 3


def _make() -> list[BadPicture]:
    noise = paint_noise()
    half_red = paint_halves("RGBA", (255, 0, 0, 128), (0, 0, 0, 0))
    bit = paint_halves("1", 0, 1)
    refused: list[tuple[str, bytes, str]] = [
        ("empty", b"", "empty"),
        ("one byte", b"\x89", "picture"),
        ("text", "Dear Madam, here is the picture you wanted. Ünïcode.".encode(), "text"),
        ("html", b"<!doctype html><html><body>Not found</body></html>", "text"),
        ("json", b'{"image": "cat.png"}', "text"),
        ("svg", SVG, "SVG"),
        ("svg with a byte-order mark", b"\xef\xbb\xbf" + SVG, "SVG"),
        ("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "PDF"),
        ("heic", HEIC, "HEIC"),
        ("zip", write_zip(), "archive"),
        ("gzip", b"\x1f\x8b\x08\x00" + bytes(50), "archive"),
        ("zeros", bytes(5000), "picture"),
        ("random bytes", np.random.default_rng(1).bytes(5000), "picture"),
        ("program", b"\x7fELF\x02\x01\x01" + bytes(200), "picture"),
        ("postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "picture"),
        ("png signature only", b"\x89PNG\r\n\x1a\n", "picture"),
        ("jpeg signature only", b"\xff\xd8\xff\xe0", "picture"),
        ("half a png", half(save(noise, "PNG")), "damaged"),
        ("half a jpeg", half(save(noise, "JPEG")), "damaged"),
        ("half a progressive jpeg", half(save(noise, "JPEG", progressive=True)), "damaged"),
        ("half a webp", half(save(noise, "WEBP")), "damaged"),
        ("half a bmp", half(save(noise, "BMP")), "damaged"),
        ("half a gif", half(save(noise.convert("P"), "GIF")), "damaged"),
        ("half a tiff", half(save(noise, "TIFF")), "picture"),
        ("half an avif", half(save(noise, "AVIF")), "damaged"),
        ("spoilt png", flip_middle(save(noise, "PNG")), "damaged"),
        ("png without pixels", write_png(50, 50, 8, 2), "damaged"),
        ("png of no width", write_png(0, 50, 8, 2), "picture"),
        ("bomb in the header", write_png(60000, 60000, 8, 2), "pixels"),
        ("bomb just under Pillow's limit", write_png(13000, 13000, 8, 2), "pixels"),
        ("bomb of one bit", write_png(40000, 40000, 1, 0), "pixels"),
        ("huge gif canvas", b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b";", "picture"),
    ]
    opened: list[tuple] = [  # name, data, size, pixels, tolerance
        ("1×1", save(Image.new("RGB", (1, 1), RED), "PNG"), (1, 1), {(0, 0): RED}),
        ("1×9000", save(Image.new("RGB", (1, 9000), BLUE), "PNG"), (1, 2048), {(0, 1000): BLUE}),
        ("9000×2", save(Image.new("RGB", (9000, 2), BLUE), "JPEG"), (2048, 1), {(99, 0): BLUE}),
        ("grey", save(paint_halves("L", 10, 200), "PNG"), (40, 20), {LEFT: (10,) * 3, RIGHT: (200,) * 3}),
        ("one bit", save(bit, "PNG"), (40, 20), {LEFT: BLACK, RIGHT: WHITE}),
        ("one bit tiff", save(bit, "TIFF", compression="group4"), (40, 20), {LEFT: BLACK, RIGHT: WHITE}),
        ("16-bit png", save(write_16_bit(), "PNG"), (40, 20), {LEFT: GREY_1234, RIGHT: WHITE}, 1),
        ("16-bit tiff", save(write_16_bit(), "TIFF"), (40, 20), {LEFT: GREY_1234, RIGHT: WHITE}, 1),
        ("float tiff with NaN", save(write_float(), "TIFF"), (40, 20), {LEFT: BLACK, RIGHT: WHITE}),
        ("32-bit tiff", save(paint_halves("I", 70000, 900000), "TIFF"), (40, 20), {LEFT: BLACK, RIGHT: WHITE}),
        ("cmyk jpeg, Adobe", write_cmyk(True), (40, 20), {LEFT: (0, 255, 255), RIGHT: (255, 255, 0)}, 6),
        ("cmyk jpeg, no mark", write_cmyk(False), (40, 20), {LEFT: (0, 255, 255), RIGHT: (255, 255, 0)}, 6),
        (
            "cmyk tiff",
            save(paint_halves("CMYK", (255, 0, 0, 0), (0, 0, 255, 0)), "TIFF"),
            (40, 20),
            {LEFT: (0, 255, 255), RIGHT: (255, 255, 0)},
        ),
        ("half-transparent png", save(half_red, "PNG"), (40, 20), {LEFT: (255, 127, 127), RIGHT: WHITE}),
        ("half-transparent webp", save(half_red, "WEBP", lossless=True), (40, 20), {RIGHT: WHITE}),
        ("grey with alpha", save(paint_halves("LA", (0, 255), (0, 0)), "PNG"), (40, 20), {LEFT: BLACK, RIGHT: WHITE}),
        ("palette with a clear colour", write_palette(), (40, 20), {LEFT: WHITE, RIGHT: BLUE}),
        (
            "rgb with a clear colour",
            save(paint_halves("RGB", RED, BLUE), "PNG", transparency=RED),
            (40, 20),
            {LEFT: WHITE, RIGHT: BLUE},
        ),
        ("animated gif", write_animation("GIF"), (30, 20), {(9, 9): RED}),
        ("animated webp", write_animation("WEBP"), (30, 20), {(9, 9): RED}),
        ("animated png", write_animation("PNG"), (30, 20), {(9, 9): RED}),
        ("many-page tiff", write_animation("TIFF"), (30, 20), {(9, 9): RED}),
        ("turned by 90°, jpeg", write_rotated(6), (40, 20), {LEFT: BLUE, RIGHT: RED}, 6),
        ("turned by 270°, jpeg", write_rotated(8), (40, 20), {LEFT: RED, RIGHT: BLUE}, 6),
        ("turned by 180°, png", write_rotated(3, "PNG"), (20, 40), {(9, 5): BLUE, (9, 35): RED}),
        ("turned by 90°, webp", write_rotated(6, "WEBP"), (40, 20), {LEFT: BLUE, RIGHT: RED}, 30),
        ("orientation that does not exist", write_rotated(99), (20, 40), {(9, 5): RED}, 6),
        (
            "broken exif",
            save(Image.new("RGB", (20, 20), RED), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff"),
            (20, 20),
            {(9, 9): RED},
        ),
        ("avif", save(paint_halves("RGB", RED, BLUE), "AVIF"), (40, 20), {LEFT: RED, RIGHT: BLUE}, 12),
        (
            "large jpeg",
            save(paint_halves("RGB", RED, BLUE, (9000, 6000)), "JPEG"),
            (2048, 1365),
            {(9, 9): RED, (2040, 9): BLUE},
        ),
        ("bytes after the end", save(Image.new("RGB", (9, 9), RED), "PNG") + b"trailing" * 9, (9, 9), {(4, 4): RED}),
    ]
    return [BadPicture(name, data, refused=word) for name, data, word in refused] + [
        BadPicture(name, data, size=size, pixels=tuple(pixels.items()), tolerance=rest[0] if rest else 3)
        for name, data, size, pixels, *rest in opened
    ]


BAD_PICTURES: list[BadPicture] = _make()
