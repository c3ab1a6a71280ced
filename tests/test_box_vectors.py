"""Every convention on a thousand pictures: the vectors come from the libraries' processors and the papers' definitions.

The simulation of chapter 7 is held to the same file, in js/boxes.test.mjs.
"""

import json
from pathlib import Path

import pytest

from patchwork.boxes import CONVENTIONS, read_boxes, write_box

VECTORS = json.loads((Path(__file__).parent / "vectors" / "boxes.json").read_text(encoding="utf-8"))


def test_the_vectors_are_what_the_processors_say_today():
    from tests.vectors import make_boxes

    assert make_boxes.make_text() == make_boxes.FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("place", range(len(VECTORS["names"])), ids=VECTORS["names"])
def test_a_thousand_pictures(place):
    name = VECTORS["names"][place]
    convention = CONVENTIONS[name]
    for case in VECTORS["cases"]:
        size, resized, box = tuple(case["size"]), tuple(case["resized"]), tuple(case["box"])
        text = convention.template.format(*case["numbers"][place])
        assert write_box(name, box, size, resized) == text
        (back,) = read_boxes(name, text, size, resized)
        if "back" in case:  # Florence-2's own processor cuts to whole pixels
            assert back == pytest.approx(case["back"][place], abs=1 if name == "florence2" else 0.0051)
        for value, wanted, allowed in zip(back, box, find_bounds(case, name), strict=True):
            assert abs(value - wanted) <= allowed


def find_bounds(case, name):
    """One pixel, or one step of the convention where that is larger, for x1, y1, x2, y2."""
    step, (width, height) = VECTORS["step"][name], case["size"]
    if CONVENTIONS[name].frame == "square":
        width = height = max(width, height)
    if CONVENTIONS[name].frame == "resized":
        return [max(1, side / other) for side, other in zip((width, height), case["resized"], strict=True)] * 2
    return [max(1, step * width), max(1, step * height)] * 2
