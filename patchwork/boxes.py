"""Boxes as text: every convention by which a model writes coordinates, and back. Knows no model and no page.

Inside the package a box is x1, y1, x2, y2 in pixels of the original picture, floats; only this file knows otherwise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from patchwork.errors import Problem
from patchwork.images import Region, from_fractions, to_fractions

Box = tuple[float, float, float, float]
Size = tuple[int, int]
"""Width, height in pixels."""


@dataclass(frozen=True)
class Convention:
    """One way to write a box. `write` and `read` translate fractions 0…1 of the frame ↔ the numbers in the text.

    `pattern` matches one whole box; `piece` matches anything that can only be part of one, so that what is left of
    a cut-off or garbled box is noticed. `largest` is the largest number a text may hold (None: the frame decides).
    `label_before` (up to the box) and `label_after` (from its end): where the name of the thing stands, in group 1.
    """

    title: str
    source: str
    template: str
    pattern: str
    piece: str
    write: Callable[[Box, Size], tuple[float, ...]]
    read: Callable[[tuple[float, ...], Size], Box]
    largest: float | None
    frame: str = "original"  # or "square" (letterboxed) or "resized" (what the processor made of the picture)
    y_first: bool = False
    label_before: str = ""
    label_after: str = ""


@dataclass(frozen=True)
class Found:
    """One box in a model's text, in pixels of the original picture; spans are places in that text."""

    box: Box
    span: tuple[int, int]
    label_span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Malformed:
    """A part of a model's text that can only be meant as a box and is none; `reason` is one sentence."""

    reason: str
    span: tuple[int, int]


def write_fractions(box: Box, frame: Size) -> tuple[float, ...]:
    return box


def read_fractions(numbers: tuple[float, ...], frame: Size) -> Box:
    x1, y1, x2, y2 = numbers
    return x1, y1, x2, y2


def write_patches(box: Box, frame: Size) -> tuple[float, ...]:
    """Fractions → row-major indices, on a 32×32 grid, of the patches of the upper-left and lower-right corner."""
    x1, y1 = (min(31, max(0, math.floor(v * 32))) for v in box[:2])
    x2, y2 = (min(31, max(0, math.ceil(v * 32 - 1))) for v in box[2:])
    return y1 * 32 + x1, y2 * 32 + x2


def read_patches(numbers: tuple[float, ...], frame: Size) -> Box:
    """Corners lie at patch centres; when both lie in one row or column, at the outer edges, so that an area is left."""
    first, last = (int(n) for n in numbers)
    x1, y1, x2, y2 = first % 32, first // 32, last % 32, last // 32
    inset = 0.0 if x1 == x2 or y1 == y2 else 0.5
    return (x1 + inset) / 32, (y1 + inset) / 32, (x2 + 1 - inset) / 32, (y2 + 1 - inset) / 32


def write_pixels(box: Box, frame: Size) -> tuple[float, ...]:
    width, height = frame
    return round(box[0] * width), round(box[1] * height), round(box[2] * width), round(box[3] * height)


def read_pixels(numbers: tuple[float, ...], frame: Size) -> Box:
    width, height = frame
    x1, y1, x2, y2 = numbers
    return x1 / width, y1 / height, x2 / width, y2 / height


def floor_to(bins: int) -> Callable[[Box, Size], tuple[float, ...]]:
    """Fraction → index of the bin it falls into, 0 … bins - 1."""
    return lambda box, frame: tuple(min(bins - 1, max(0, math.floor(v * bins))) for v in box)


def round_to(steps: int, largest: int) -> Callable[[Box, Size], tuple[float, ...]]:
    """Fraction → nearest step, 0 … largest."""
    return lambda box, frame: tuple(min(largest, max(0, round(v * steps))) for v in box)


def divide_by(steps: int, inset: float = 0.0) -> Callable[[tuple[float, ...], Size], Box]:
    """Number → fraction; `inset` 0.5 reads the middle of a bin."""
    return lambda numbers, frame: read_fractions(tuple((n + inset) / steps for n in numbers), frame)


LOC = r"<loc_(\d+)>"
INTEGERS = r"(-?\d+(?:\.\d+)?)\s*,\s*"
JSON_LABEL_BEFORE = r'"label"\s*:\s*"([^"]*)"[^{}]*$'
JSON_LABEL_AFTER = r'[^{}]*"label"\s*:\s*"([^"]*)"'

CONVENTIONS: dict[str, Convention] = {
    "shikra": Convention(
        title="Decimals from 0 to 1, three places",
        source="Chen et al. 2023, arXiv:2306.15195; shikras/shikra, PlainBoxFormatter (precision=3), after "
        "Expand2square (config/_base_/model/shikra.py): the numbers count the padded square",
        template="[{:.3f},{:.3f},{:.3f},{:.3f}]",
        pattern=r"\[" + r"(\d(?:\.\d*)?)," * 3 + r"(\d(?:\.\d*)?)\]",
        piece=r"\[\s*-?[\d.]+\s*,?|\d\.\d+\s*,",
        write=write_fractions,
        read=read_fractions,
        largest=1,
        frame="square",
    ),
    "kosmos2": Convention(
        title="Two patch numbers on a 32×32 grid",
        source="Peng et al. 2023, arXiv:2306.14824; transformers, models/kosmos2/processing_kosmos2.py",
        template="<object><patch_index_{:04.0f}><patch_index_{:04.0f}></object>",
        pattern=r"<patch_index_(\d+)><patch_index_(\d+)>",
        piece=r"<patch_index|patch_index_",
        write=write_patches,
        read=read_patches,
        largest=1023,
        label_before=r"<phrase>([^<]*)</phrase><object>(?:<patch_index_\d+>|</delimiter_of_multi_objects/>)*$",
    ),
    "paligemma": Convention(
        title="Four location tokens of 1024, y first",
        source="Beyer et al. 2024, arXiv:2407.07726; written as in google-research/big_vision, "
        "pp/proj/paligemma/segmentation.py (round(1023 v)), read as in its demo's parser (n / 1024)",
        template="<loc{:04.0f}><loc{:04.0f}><loc{:04.0f}><loc{:04.0f}>",
        pattern=r"<loc(\d{4})>" * 4,
        piece=r"<loc",
        write=round_to(1023, 1023),
        read=divide_by(1024),
        largest=1023,
        y_first=True,
        label_after=r"(?:<seg\d+>|\s)*([^<;]*)",
    ),
    "florence2": Convention(
        title="Four location tokens of 1000",
        source="Xiao et al. 2023, arXiv:2311.06242; transformers, models/florence2/processing_florence2.py",
        template="<loc_{:.0f}><loc_{:.0f}><loc_{:.0f}><loc_{:.0f}>",
        pattern=LOC * 4,
        piece=r"<loc",
        write=floor_to(1000),
        read=divide_by(1000, inset=0.5),
        largest=999,
        label_before=r"([^<>]+)(?:<loc_\d+>)*$",
    ),
    "thousandths": Convention(
        title="Whole numbers from 0 to 1000",
        source="Wang et al. 2024, arXiv:2409.12191 (Qwen2-VL); QwenLM/Qwen3-VL, cookbooks/2d_grounding.ipynb",
        template="<|box_start|>({:.0f},{:.0f}),({:.0f},{:.0f})<|box_end|>",
        pattern=rf"[\[(]\s*{INTEGERS}(-?\d+(?:\.\d+)?)\s*(?:\)\s*,\s*\(|,)\s*{INTEGERS}(-?\d+(?:\.\d+)?)\s*[\])]",
        piece=r"<\|box_start\|>\s*\(|bbox_2d\W+\d|[\[(]\s*-?\d+\s*,",
        write=round_to(1000, 1000),
        read=divide_by(1000),
        largest=1000,
        label_before=r"<\|object_ref_start\|>([^<]*)<\|object_ref_end\|>(?:<\|box_start\|>|<\|box_end\|>|[\d(),\s])*$"
        + "|"
        + JSON_LABEL_BEFORE,
        label_after=JSON_LABEL_AFTER,
    ),
    "internvl": Convention(
        title="Whole numbers from 0 to 1000, in double brackets",
        source="Chen et al. 2023, arXiv:2312.14238; OpenGVLab/InternVL, eval/refcoco/evaluate_grounding.py",
        template="<box>[[{:.0f}, {:.0f}, {:.0f}, {:.0f}]]</box>",
        pattern=r"\[\s*" + INTEGERS * 3 + r"(-?\d+(?:\.\d+)?)\s*\]",
        piece=r"<box>\s*\[+\s*-?\d|\[\s*-?\d+\s*,",
        write=round_to(1000, 1000),
        read=divide_by(1000),
        largest=1000,
        label_before=r"<ref>([^<]*)</ref><box>[\[\]\d,.\s]*$",
    ),
    "thousandths_json": Convention(
        title="Whole numbers from 0 to 1000, in JSON",
        source="QwenLM/Qwen3-VL, cookbooks/2d_grounding.ipynb",
        template='{{"bbox_2d": [{:.0f}, {:.0f}, {:.0f}, {:.0f}]}}',
        pattern=r"\[\s*" + INTEGERS * 3 + r"(-?\d+(?:\.\d+)?)\s*\]",
        piece=r"bbox_2d\W+\d|\[\s*-?\d+\s*,",
        write=round_to(1000, 1000),
        read=divide_by(1000),
        largest=1000,
        label_before=JSON_LABEL_BEFORE,
        label_after=JSON_LABEL_AFTER,
    ),
    "qwen25_pixels": Convention(
        title="Pixels of the picture as the model received it",
        source="Bai et al. 2025, arXiv:2502.13923; size = image_grid_thw × 14, see smart_resize in transformers, "
        "models/qwen2_vl/image_processing_qwen2_vl.py",
        template='{{"bbox_2d": [{:.0f}, {:.0f}, {:.0f}, {:.0f}]}}',
        pattern=r"\[\s*" + INTEGERS * 3 + r"(-?\d+(?:\.\d+)?)\s*\]",
        piece=r"bbox_2d\W+\d|\[\s*-?\d+\s*,",
        write=write_pixels,
        read=read_pixels,
        largest=None,
        frame="resized",
        label_before=JSON_LABEL_BEFORE,
        label_after=JSON_LABEL_AFTER,
    ),
    "tiny_percent": Convention(
        title="Two digits, 00 to 99, of the picture padded to a square",
        source="this repository's own tiny model",
        template="[{:02.0f} {:02.0f} {:02.0f} {:02.0f}]",
        pattern=r"\[" + r"(\d\d) " * 3 + r"(\d\d)\]",
        piece=r"\[\s*\d|\d\s*\]",
        write=floor_to(100),
        read=divide_by(100, inset=0.5),
        largest=99,
        frame="square",
    ),
    "doctags": Convention(
        title="Four location tokens from 0 to 500",
        source="Nassar et al. 2025, arXiv:2503.11576; docling-project/docling-core, types/doc/tokens.py, "
        "get_location_token: round(500 v), at most 499",
        template="<loc_{:.0f}><loc_{:.0f}><loc_{:.0f}><loc_{:.0f}>",
        pattern=LOC * 4,
        piece=r"<loc",
        write=round_to(500, 499),
        read=divide_by(500),
        largest=500,
        label_before=r"<(\w+)>$",
    ),
}


def get_convention(name: str) -> Convention:
    if name not in CONVENTIONS:
        raise ValueError(f"unknown coordinate convention {name!r}; known: {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def find_frame(convention: Convention, size: Size, resized: Size | None) -> tuple[Region, Size]:
    """What the numbers count: (its region in pixels of the original picture, its own width and height)."""
    width, height = size
    if convention.frame == "square":
        side = max(size)
        left, top = (side - width) // 2, (side - height) // 2  # as in images.letterbox
        return (-left, -top, side - left, side - top), (side, side)
    if convention.frame == "resized":
        if resized is None:
            raise ValueError("this convention counts pixels of the resized picture: pass `resized`")
        return (0, 0, width, height), resized
    return (0, 0, width, height), size


def write_box(name: str, box: Box, size: Size, resized: Size | None = None) -> str:
    """Box in pixels of the original picture (width, height = `size`) → text in the named convention.

    The box is cut at the picture's edges. Raises `Problem` when nothing of it is left.
    """
    convention = get_convention(name)
    region, frame = find_frame(convention, size, resized)
    fractions = to_fractions(clip_box(box, size), region)
    numbers = convention.write(fractions, frame)
    if convention.y_first:
        numbers = (numbers[1], numbers[0], numbers[3], numbers[2])
    return convention.template.format(*numbers)


def read_boxes(name: str, text: str, size: Size, resized: Size | None = None) -> list[Box]:
    """Every box in a model's text, in order, in pixels of the original picture (width, height = `size`).

    No box at all is an empty list. Raises `Problem` when a box is cut off, out of range, or inside out.
    """
    found, malformed = find_boxes(name, text, size, resized)
    if malformed:
        raise Problem(malformed[0].reason)
    return [one.box for one in found]


def find_boxes(name: str, text: str, size: Size, resized: Size | None = None) -> tuple[list[Found], list[Malformed]]:
    """Every box in a model's text with its name, and every part that is a failed attempt at one; both in order."""
    convention = get_convention(name)
    region, frame = find_frame(convention, size, resized)
    found, malformed = [], find_pieces(convention, text)
    for match in re.finditer(convention.pattern, text):
        try:
            found.append(Found(read_one(convention, match, region, frame), match.span(), find_label(convention, match)))
        except Problem as problem:
            malformed.append(Malformed(str(problem), match.span()))
    return found, sorted(malformed, key=lambda one: one.span)


def find_pieces(convention: Convention, text: str) -> list[Malformed]:
    """What is left of boxes between the whole ones: one for each gap, from its first piece to the end of its last."""
    ends = [(match.start(), match.end()) for match in re.finditer(convention.pattern, text)]
    gaps = zip([0, *(end for _, end in ends)], [*(start for start, _ in ends), len(text)], strict=True)
    malformed = []
    for start, stop in gaps:
        pieces = list(re.finditer(convention.piece, text[start:stop]))
        if pieces:
            first, last = start + pieces[0].start(), start + pieces[-1].end()
            last += len(re.match(r"[^<>\[\](){}\n;]*[>\])]?", text[last:stop]).group())
            words = shorten(text[first:stop])
            malformed.append(
                Malformed(f"The model wrote a box that is incomplete ({words}); ask it again.", (first, last))
            )
    return malformed


def find_label(convention: Convention, box: re.Match[str]) -> tuple[int, int] | None:
    """Where the words stand that name this box, without the space around them; None when nothing names it."""
    before = convention.label_before and re.search(convention.label_before, box.string[: box.start()])
    after = convention.label_after and re.compile(convention.label_after).match(box.string, box.end())
    for match in (before, after):
        group = match and next((g for g in range(1, match.re.groups + 1) if match.group(g)), None)
        if group and match.group(group).strip():
            words = match.group(group)
            start = match.start(group) + len(words) - len(words.lstrip())
            return start, start + len(words.strip())
    return None


def read_one(convention: Convention, match: re.Match[str], region: Region, frame: Size) -> Box:
    numbers = tuple(float(group) for group in match.groups())
    largest = max(frame) if convention.largest is None else convention.largest
    if any(not 0 <= n <= largest for n in numbers):
        raise Problem(f"The model wrote a box outside the picture ({shorten(match.group())}); ask it again.")
    if convention.y_first:
        numbers = (numbers[1], numbers[0], numbers[3], numbers[2])
    fractions = convention.read(numbers, frame)
    if any(v > 1 for v in fractions):
        raise Problem(f"The model wrote a box outside the picture ({shorten(match.group())}); ask it again.")
    if fractions[2] < fractions[0] or fractions[3] < fractions[1]:
        raise Problem(f"The model wrote a box with its corners swapped ({shorten(match.group())}); ask it again.")
    return from_fractions(fractions, region)


def shorten(text: str) -> str:
    return text.strip()[:60]


def clip_box(box: Box, size: Size) -> Box:
    """The part of the box that lies on the picture; `Problem` when there is none."""
    x1, y1 = max(box[0], 0), max(box[1], 0)  # in this order NaN stays NaN, and is refused
    x2, y2 = min(box[2], size[0]), min(box[3], size[1])
    if not (x1 < x2 and y1 < y2):
        raise Problem("This box covers nothing of the picture; draw one on the picture.")
    return x1, y1, x2, y2


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0…1; 0 when both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = measure_area(a) + measure_area(b) - shared
    return shared / union if union > 0 else 0.0


def measure_area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
