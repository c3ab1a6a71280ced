"""What the grounding demo makes of a model's text: several boxes, none, tiny, overlapping, at the border, malformed."""

import base64
import io
import json
import re

import pytest
from PIL import Image
from pydantic import ValidationError

from demos import ground
from patchwork.demo import PartialText
from patchwork.families.grounding import GroundingModel
from patchwork.plan import make_plan
from tests.fakes import MACHINE, make_card

PICTURE = Image.new("RGB", (200, 100), (90, 90, 90))


class Scripted(GroundingModel):
    """A grounding model whose words are given; what it makes of them is the real code."""

    coordinates = "florence2"
    prompts = {"ground": "find {phrase}", "ground_all": "all", "describe_region": "what is in {box}"}  # noqa: RUF012

    def __init__(self, text: str) -> None:
        card = make_card(title="Scripted")
        super().__init__(card, make_plan(card, MACHINE), None, None)
        self.words = text

    def stream(self, images, prompt, *args, **options):
        self.prompt = prompt
        yield from (self.words[:5], self.words[5:])

    def count_image_tokens(self, image, max_tiles=None):
        return 64


def run(text: str, **fields):
    inputs = ground.Inputs(picture=PICTURE, **{"phrase": "a cat"} | fields)
    *before, last = ground.run(inputs, Scripted(text))
    return inputs, before, last


def loc(*numbers: int) -> str:
    return "".join(f"<loc_{number}>" for number in numbers)


def test_several_boxes_keep_their_names_and_colours():
    inputs, before, last = run(f"cat{loc(0, 0, 499, 999)}dog{loc(500, 0, 999, 999)}{loc(100, 100, 200, 200)}")
    assert [box.label for box in last.boxes] == ["cat", "dog", "dog"]
    assert any(isinstance(event, PartialText) for event in before)
    drawn = ground.render(last, inputs)
    assert drawn.count('class="pw-ground-box"') == 3
    names = re.findall(r'class="pw-ground-name" style="--pw-mark:([^"]+)">(\w+)<', drawn)
    assert names[:2] == [(ground.draw.BOX_COLOURS[0], "cat"), (ground.draw.BOX_COLOURS[1], "dog")]


def test_no_box_is_said_and_nothing_is_drawn():
    inputs, _, last = run("There is no cat.")
    drawn = ground.render(last, inputs)
    assert last.boxes == [] and "no box to read" in drawn and "download" not in drawn


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [((0, 0, 999, 999), (0.1, 0.05, 199.9, 99.95)), ((500, 500, 500, 500), (100.1, 50.05, 100.1, 50.05))],
    ids=["whole picture", "one bin"],
)
def test_boxes_at_the_border_and_tiny_ones_are_drawn(numbers, expected):
    inputs, _, last = run(f"cat{loc(*numbers)}")
    assert ground.get_edges(last.boxes[0]) == pytest.approx(expected, abs=0.011)
    assert "<rect" in ground.render(last, inputs)


def test_overlap_with_the_readers_box():
    _, _, last = run(f"cat{loc(0, 0, 499, 999)}cat{loc(0, 0, 499, 999)}", region="100, 100, 0, 0")
    assert last.region.x1 == 0 and last.region.x2 == 100
    assert last.overlaps == pytest.approx([1, 1], abs=0.01)
    _, _, last = run(f"cat{loc(0, 0, 499, 999)}", region="50 0 150 100")
    assert last.overlaps == pytest.approx([1 / 3], abs=0.01)


def test_malformed_text_is_shown_as_such_beside_what_could_be_read():
    inputs, _, last = run(f"cat{loc(0, 0, 499, 999)} dog{loc(7, 8)}")
    assert len(last.boxes) == 1 and "incomplete" in last.problems[0]
    assert "<del" in ground.render(last, inputs)


def test_a_region_becomes_words():
    inputs, _, last = run("a grey cat", task="describe", region="20, 10, 100, 50")
    assert last.text == "a grey cat" and last.boxes == []
    assert "What is in the box" in ground.render(last, inputs)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"task": "describe"}, "no box yet"),
        ({"region": "1, 2, 3"}, "four numbers"),
        ({"region": "one two three four"}, "four numbers"),
        ({"phrase": "x" * 201}, "longer than 200"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(fields, words):
    with pytest.raises(ValidationError, match=words):
        ground.Inputs(picture=PICTURE, **fields)


def test_result_and_downloads_hold_the_same_boxes():
    inputs, _, last = run(f"cat{loc(250, 250, 750, 750)}", region="50, 25, 150, 75")
    assert type(last).model_validate_json(last.model_dump_json()) == last
    drawn = ground.render(last, inputs)
    png, record = (base64.b64decode(data) for data in re.findall(r'href="data:[\w/]+;base64,([^"]+)"', drawn))
    saved = json.loads(record)
    assert saved["picture_size"] == [200, 100] and saved["result"]["boxes"][0]["label"] == "cat"
    picture = Image.open(io.BytesIO(png))
    edge = picture.getpixel((100, round(saved["result"]["boxes"][0]["y1"])))
    assert picture.size == PICTURE.size and "#{:02x}{:02x}{:02x}".format(*edge) == ground.COLOURS[0]


def test_a_models_markup_stays_text():
    inputs, _, last = run(f"<img src=x>{loc(1, 2, 300, 400)}", phrase="<b>cat</b>")
    drawn = ground.render(last, inputs)
    assert "<img src=x" not in drawn and "<b>cat" not in drawn


def test_every_card_has_a_snippet_that_asks_in_its_own_words():
    for family, words in [("florence2", "CAPTION_TO_PHRASE"), ("kosmos2", "<grounding>"), ("llava", "Locate")]:
        card = make_card().model_copy(update={"family": family})
        assert words in ground.snippet(card)
