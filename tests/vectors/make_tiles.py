"""Writes tiles.json: for 240 page sizes, the grid and the tokens that each family's own processor gives.

patchwork/tilings.py and the simulation of chapter 8 are held to this file; neither is used here. UReader and TextMonkey
have no processor in the library: theirs is the rule of their released code, written out here with torch.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

FILE = Path(__file__).with_name("tiles.json")
KNOWN = [(336, 336), (1000, 1400), (1240, 1754), (224, 224), (2048, 512), (512, 2048), (448, 448), (896, 896)]
COUNT = 240
ANCHORS = """1x1 1x2 2x1 1x3 3x1 1x4 2x2 4x1 1x5 5x1 1x6 2x3 3x2 6x1 1x7 7x1 1x8 2x4 4x2 8x1 1x9 3x3 9x1 1x10 2x5 5x2
10x1 1x11 11x1 2x6 3x4 4x3 6x2 2x7 7x2 3x5 5x3 2x8 4x4 8x2 2x9 3x6 6x3 9x2 2x10 4x5 5x4 10x2"""
"""Rows × columns, in the order of UReader/configs/sft/release.yaml."""


def draw_sizes() -> list[tuple[int, int]]:
    chance = random.Random(8)
    drawn = [tuple(round(60 * (3000 / 60) ** chance.random()) for _ in range(2)) for _ in range(COUNT - len(KNOWN))]
    return KNOWN + drawn


def count_llava_next(width: int, height: int) -> list[int]:
    from transformers.image_processing_utils import select_best_resolution
    from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
    from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor

    processor = LlavaNextProcessor.__new__(LlavaNextProcessor)
    processor.image_processor, processor.patch_size = LlavaNextImageProcessorPil(), 14
    processor.num_additional_image_tokens = 1
    tokens = (
        processor._get_number_of_features(height, width, 336, 336) - 1
    )  # without CLS, as the default strategy has it
    high, wide = select_best_resolution((height, width), LlavaNextImageProcessorPil.image_grid_pinpoints)
    return [wide // 336, high // 336, tokens]


def count_internvl(width: int, height: int) -> list[int]:
    from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor, get_optimal_tiled_canvas

    processor = GotOcr2ImageProcessor(size={"height": 448, "width": 448}, crop_to_patches=True)
    columns, rows = get_optimal_tiled_canvas((height, width), (448, 448), 1, 12)
    return [columns, rows, 256 * processor.get_number_of_image_patches(height, width, {})]


def count_idefics3(width: int, height: int, longest: int, tile: int, tokens: int) -> list[int]:
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    processor = Idefics3ImageProcessorPil(size={"longest_edge": longest}, max_image_size={"longest_edge": tile})
    views, rows, columns = processor.get_number_of_image_patches(height, width)
    return [max(columns, 1), max(rows, 1), tokens * max(views, 1)]


def count_qwen2vl(width: int, height: int) -> list[int]:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    high, wide = smart_resize(height, width)
    return [1, 1, wide * high // 784]


def count_ureader(width: int, height: int) -> list[int]:
    import torch
    from torchvision.ops import box_area

    grids = [tuple(int(side) for side in pair.split("x")) for pair in ANCHORS.split()]
    boxes = torch.tensor([[0, 0, columns * 224, rows * 224] for rows, columns in grids])
    shaped = boxes.clone()
    shaped[:, 3] = height / width * boxes[:, 2]
    page = torch.tensor([[0, 0, width, height]])

    def rate(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        shared = torch.minimum(first, second)[:, 2:].prod(1)
        return shared / (box_area(first) + box_area(second) - shared + 1e-5)

    best = int(torch.argmax(rate(boxes, shaped) * 100 + rate(boxes, page.expand_as(boxes))))
    rows, columns = grids[best]
    return [columns, rows, 65 * (rows * columns + 1)]


def count_all(size: tuple[int, int]) -> dict[str, list[int]]:
    """[columns, rows, tokens] of each; 1 × 1 where nothing is cut."""
    return {
        "llava": [1, 1, 576],
        "ureader": count_ureader(*size),
        "llava_next": count_llava_next(*size),
        "internvl": count_internvl(*size),
        "idefics3": count_idefics3(*size, 4 * 364, 364, 169),
        "smolvlm": count_idefics3(*size, 4 * 512, 512, 64),
        "qwen2vl": count_qwen2vl(*size),
        "textmonkey": [2, 2, 512 + 256],
    }


def make_text() -> str:
    rows = [json.dumps({"size": size, "counts": count_all(size)}, separators=(",", ":")) for size in draw_sizes()]
    return "[\n" + ",\n".join(rows) + "\n]\n"


if __name__ == "__main__":
    FILE.write_text(make_text(), encoding="utf-8")
