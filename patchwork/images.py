"""Anything a reader may upload → one safe RGB picture; pictures ↔ squares. Knows no model and no page."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps

from patchwork.errors import Problem
from patchwork.examples import example_pictures as example_pictures

Region = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels of the original picture; may reach beyond its edges."""

MAX_BYTES = 50_000_000
MAX_PIXELS = 64_000_000  # decoded: at 4 bytes a pixel 256 MB, about what one reader may cost
MAX_FRAMES = 500
MAX_CLIP_PIXELS = 500_000_000  # of all frames together, one after the other: a few seconds of decoding
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
TAKEN = "PNG, JPEG, WebP, GIF, BMP, TIFF or AVIF"
DAMAGED = "This picture is damaged or incomplete; save or download it again and try once more."
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}


def load_picture(source: str | Path | bytes, max_side: int = 2048) -> Image.Image:
    """File or its bytes → upright RGB picture without metadata, longest side at most `max_side` pixels.

    Only the header is read before its size is judged. The format is told from the content, never from the name.
    Transparent parts become white, because most pictures with transparency (logos, diagrams) were drawn for a white
    page; black would swallow their dark lines. The first frame stands for an animation. Colour profiles are ignored,
    as the models' own processors ignore them. Raises `Problem` for everything that is not a whole, readable picture.
    """
    if max_side < 1:
        raise ValueError("max_side must be at least 1")
    data = source if isinstance(source, bytes) else read_file(Path(source))
    with open_picture(data) as image:
        return decode(image, max_side)


def load_frames(source: str | Path | bytes, count: int, max_side: int = 1024) -> list[Image.Image]:
    """An animated GIF, WebP or PNG → `count` of its frames in order, evenly spaced, the first and the last among them.

    All of them where there are fewer; a still picture is one frame. Bounded and safe as `load_picture`.
    """
    if count < 1:
        raise ValueError("count must be at least 1")
    data = source if isinstance(source, bytes) else read_file(Path(source))
    with open_picture(data) as image:
        total = count_frames(image)
    most = min(count, total)
    wanted = {round(number * (total - 1) / max(1, most - 1)) for number in range(most)}
    frames = []
    with open_picture(data) as image:
        for number in sorted(wanted):
            image.seek(number)
            frames.append(bound(to_rgb(image.copy()), max_side))
    return frames


def count_frames(image: Image.Image) -> int:
    """Counted by looking, because a header may claim anything. Raises `Problem` for a clip that is too long."""
    check_pixels(image)
    most = min(MAX_FRAMES, MAX_CLIP_PIXELS // (image.width * image.height))
    for number in range(1, most + 1):
        try:
            image.seek(number)
        except EOFError:
            return number
    raise Problem(f"This clip has more than the {most} frames of its size that can be opened here; shorten it.")


@contextmanager
def open_picture(data: bytes) -> Iterator[Image.Image]:
    """The opened, not yet decoded picture; whatever goes wrong with it, until the end of the block, is a `Problem`."""
    check_bytes(data)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Problem("This picture has too many pixels to open safely; make it smaller and try again.") from None
    except MemoryError:
        raise Problem("There was not enough memory to open this picture; make it smaller and try again.") from None
    except Image.UnidentifiedImageError:
        raise Problem(describe_unknown(data)) from None
    except Problem:
        raise
    except Exception:  # decoders raise OSError, SyntaxError, ValueError, struct.error, … on hostile bytes
        raise Problem(DAMAGED) from None


def read_file(path: Path) -> bytes:
    """The file's bytes, at most one more than `MAX_BYTES`; devices and pipes, which may never end, are refused."""
    try:
        if path.is_dir():
            raise Problem("This is a folder; choose one picture inside it.")
        if not path.exists():
            raise Problem("This picture is no longer there; choose it again.")
        if not path.is_file():
            raise Problem("This is not an ordinary file; choose a picture.")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError):  # ValueError: a NUL character in the name
        raise Problem("This picture could not be read; check that you may open it, or choose another one.") from None


def check_bytes(data: bytes) -> None:
    if not data:
        raise Problem("This file is empty; choose another picture.")
    if len(data) > MAX_BYTES:
        raise Problem(f"This file is larger than {MAX_BYTES // 1_000_000} MB; save a smaller version and try again.")


def decode(image: Image.Image, max_side: int) -> Image.Image:
    """An opened, not yet decoded picture → upright RGB, bounded."""
    if image.info.get("progressive"):
        check_pixels(image)  # such a JPEG is held whole in memory, however small it is then decoded
    shrink_while_decoding(image, max_side)
    check_pixels(image)
    image.load()
    picture = bound(to_rgb(turn_upright(image)), max_side)
    picture.info = {}  # where and when it was taken stays with the reader
    return picture


def check_pixels(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Problem(
            f"This picture has {width * height / 1e6:.0f} million pixels, more than the {MAX_PIXELS // 1_000_000} "
            "million that can be opened here; make it smaller and try again."
        )


def shrink_while_decoding(image: Image.Image, max_side: int) -> None:
    """Let the JPEG decoder skip detail that `bound` would remove; twice the size is left for its antialiasing."""
    scale = 2 * max_side / max(image.size)
    if scale < 1:
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def turn_upright(image: Image.Image) -> Image.Image:
    """Apply the camera's orientation note; a broken note is no reason to refuse the picture."""
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)  # in place: a copy would forget its format
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode → RGB. 16-bit grey is divided by 257; 32-bit and float grey have no agreed range: stretched."""
    if image.mode.startswith("I;16"):
        return grey_to_rgb(np.asarray(image).astype(np.float32) / 257)
    if image.mode in ("I", "F"):
        return grey_to_rgb(stretch(np.asarray(image).astype(np.float64)))
    if image.mode == "CMYK":
        return cmyk_to_rgb(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def cmyk_to_rgb(image: Image.Image) -> Image.Image:
    """Pillow takes every CMYK JPEG for an inverted one, as Adobe writes them; one without Adobe's mark is not."""
    if image.format in ("JPEG", "MPO") and "adobe" not in image.info:
        image = ImageChops.invert(image)
    return image.convert("RGB")


def stretch(values: np.ndarray) -> np.ndarray:
    """Finite values [rows, columns] → 0…255, lowest to highest; a flat picture → mid-grey, NaN and ±∞ → 0."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros_like(values)
    low, high = values[finite].min(), values[finite].max()
    if low == high:
        return np.where(finite, 127.0, 0.0)
    return np.where(finite, (np.where(finite, values, low) - low) / (high - low) * 255, 0.0)


def grey_to_rgb(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8)).convert("RGB")


def bound(image: Image.Image, max_side: int) -> Image.Image:
    """Shrink, never enlarge, so that the longest side is at most `max_side`; the shorter side keeps at least 1."""
    scale = max_side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def describe_unknown(data: bytes) -> str:
    """One sentence for bytes that are no picture we take: what they seem to be, and what to do."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"%PDF-"):
        return "This is a PDF, not a picture; save the page as PNG and choose that."
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS:
        return "This is a HEIC picture, which cannot be opened here; export it as JPEG and choose that."
    if b"<svg" in head.lower():
        return "This is an SVG drawing, which has no pixels of its own; export it as PNG and choose that."
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "This is an archive; unpack it and choose one picture inside."
    if looks_like_text(data[:1024]):
        return f"This is text, not a picture; choose a {TAKEN} file."
    if data.startswith(SIGNATURES) or data[8:12] == b"WEBP" or data[4:12] in (b"ftypavif", b"ftypavis"):
        return DAMAGED
    return f"This is not a picture that can be opened here; choose a {TAKEN} file."


def looks_like_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8", errors="strict" if len(data) < 1024 else "ignore")
    except UnicodeDecodeError:
        return False
    return len(text) > 0.9 * len(data) / 4 and all(c.isprintable() or c in "\t\r\n" for c in text)


def letterbox(image: Image.Image, fill: tuple[int, int, int] = (127, 127, 127)) -> tuple[Image.Image, Region]:
    """Picture (w, h) → (square of side max(w, h) with the picture in its middle, the square's region).

    The region is where the SQUARE lies, in pixels of the picture: a 100×60 picture gives (0, -20, 100, 80). A map
    computed over the square therefore lies right when it is stretched over this region. Nothing is resized. When the
    padding is odd, its extra pixel goes to the right or below.
    """
    side = max(image.size)
    left, top = (side - image.width) // 2, (side - image.height) // 2
    square = Image.new("RGB", (side, side), fill)
    square.paste(image, (left, top))
    return square, (float(-left), float(-top), float(side - left), float(side - top))


def to_fractions(box: Region, region: Region) -> Region:
    """Box in pixels of the original → 0…1 of `region` (as `letterbox` gives it); beyond it when the box is."""
    x1, y1, x2, y2 = region
    width, height = x2 - x1, y2 - y1
    return (box[0] - x1) / width, (box[1] - y1) / height, (box[2] - x1) / width, (box[3] - y1) / height


def from_fractions(fractions: Region, region: Region) -> Region:
    """Inverse of `to_fractions`: box in 0…1 of `region` → pixels of the original picture."""
    x1, y1, x2, y2 = region
    width, height = x2 - x1, y2 - y1
    return (
        x1 + fractions[0] * width,
        y1 + fractions[1] * height,
        x1 + fractions[2] * width,
        y1 + fractions[3] * height,
    )
