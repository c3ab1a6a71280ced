"""Expected values come from the libraries' own processors, from papers' code, or are worked by hand."""

import pytest

from patchwork.boxes import CONVENTIONS, clip_box, find_boxes, iou, read_boxes, write_box
from patchwork.errors import Problem

SIZE = (640, 480)
BOXES = [(64, 48, 320, 240), (0, 0, 640, 480), (100.5, 33.3, 611.9, 70.1), (10, 20, 12, 23), (300, 0, 310, 480)]


def write_all(name, box):
    return write_box(name, box, SIZE, resized=(644, 476))


def read_all(name, text):
    return read_boxes(name, text, SIZE, resized=(644, 476))


@pytest.fixture(scope="module")
def florence():
    from types import SimpleNamespace

    from transformers.models.florence2.processing_florence2 import Florence2PostProcessor

    return Florence2PostProcessor({}, SimpleNamespace(all_special_tokens=[]))


@pytest.mark.parametrize("box", BOXES)
def test_florence2_agrees_with_its_post_processor(florence, box):
    import torch

    bins = florence.quantize(torch.tensor([box], dtype=torch.float64), SIZE)
    text = "".join(f"<loc_{n}>" for n in bins[0].tolist())
    assert write_box("florence2", box, SIZE) == text
    expected = florence.dequantize(bins, SIZE)[0].tolist()  # whole pixels, cut
    assert read_boxes("florence2", text, SIZE)[0] == pytest.approx([v + 0.5 for v in expected], abs=0.501)


@pytest.mark.parametrize("box", BOXES)
def test_kosmos2_agrees_with_its_processor(box):
    from transformers.models.kosmos2.processing_kosmos2 import coordinate_to_patch_index, patch_index_to_coordinate

    first, last = coordinate_to_patch_index((box[0] / 640, box[1] / 480, box[2] / 640, box[3] / 480), 32)
    text = f"<object><patch_index_{first:04d}><patch_index_{last:04d}></object>"
    assert write_box("kosmos2", box, SIZE) == text
    x1, y1, x2, y2 = patch_index_to_coordinate(first, last, 32)
    assert read_boxes("kosmos2", text, SIZE) == [pytest.approx((x1 * 640, y1 * 480, x2 * 640, y2 * 480))]


def test_qwen25_counts_pixels_of_the_resized_picture():
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    height, width = smart_resize(480, 640)
    assert write_box("qwen25_pixels", (64, 48, 320, 240), SIZE, (width, height)) == '{"bbox_2d": [64, 48, 322, 238]}'
    read = read_boxes("qwen25_pixels", '[{"bbox_2d": [161, 119, 644, 476], "label": "cat"}]', SIZE, (width, height))
    assert read == [pytest.approx((160, 120, 640, 480))]
    with pytest.raises(ValueError, match="resized"):
        read_boxes("qwen25_pixels", "", SIZE)


WRITTEN = {  # (64, 48, 320, 240) of 640×480 is (0.1, 0.1, 0.5, 0.5)
    "shikra": "[0.100,0.200,0.500,0.500]",  # of the square, as tiny_percent below
    "paligemma": "<loc0102><loc0102><loc0512><loc0512>",
    "thousandths": "<|box_start|>(100,100),(500,500)<|box_end|>",
    "internvl": "<box>[[100, 100, 500, 500]]</box>",
    "thousandths_json": '{"bbox_2d": [100, 100, 500, 500]}',
    "doctags": "<loc_50><loc_50><loc_250><loc_250>",
    "tiny_percent": "[10 20 50 50]",  # of the 640×640 square the box begins at (64, 128) and ends at (320, 320)
}


@pytest.mark.parametrize("name", WRITTEN)
def test_written_form(name):
    assert write_box(name, (64, 48, 320, 240), SIZE) == WRITTEN[name]


def test_paligemma_puts_y_first():
    assert read_boxes("paligemma", "<loc0256><loc0512><loc0768><loc1023> cat", SIZE) == [
        pytest.approx((320, 120, 1023 / 1024 * 640, 360))
    ]


def test_the_three_ways_of_thousandths():
    for text in ("<|box_start|>(250,500),(750,1000)<|box_end|>", '{"bbox_2d": [250, 500, 750, 1000]}'):
        assert read_boxes("thousandths", text, SIZE) == [pytest.approx((160, 240, 480, 480))]


def test_doctags_read_as_five_hundredths():
    text = "<picture><loc_125><loc_250><loc_375><loc_500></picture>"
    assert read_boxes("doctags", text, SIZE) == [pytest.approx((160, 240, 480, 480))]


def test_tiny_percent_reads_bin_centres_of_the_square():
    assert read_boxes("tiny_percent", "a red star [10 20 50 50]", SIZE) == [pytest.approx((67.2, 51.2, 323.2, 243.2))]


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("box", BOXES)
def test_there_and_back_stays_within_one_step(name, box):
    step = {"kosmos2": 1 / 32, "tiny_percent": 1 / 100, "doctags": 1 / 500}.get(name, 1 / 400)
    (back,) = read_all(name, write_all(name, box))
    assert back == pytest.approx(box, abs=step * 640)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_several_boxes_keep_their_order_and_plain_text_has_none(name):
    text = " and ".join(write_all(name, box) for box in BOXES[:2])
    assert len(read_all(name, text)) == 2
    assert read_all(name, text)[0] == read_all(name, write_all(name, BOXES[0]))[0]
    assert read_all(name, "There is a cat, and 2 dogs.") == []


BROKEN = {
    "shikra": ["[0.1,0.2,0.3", "[0.1,0.2,0.3]", "[0.5,0.5,0.2,0.6]", "[0.1,0.2,0.3,1.4]", "[0.1,0.2,0.3,-0.4]"],
    "kosmos2": [
        "<object><patch_index_0004></object>",
        "<patch_index_0005><patch_index_1024>",
        "<patch_index_0700><patch_index_0003>",
    ],
    "paligemma": ["<loc0001><loc0002><loc0003>", "<loc0001><loc0002><loc0003><loc1024>", "<loc0001><loc00"],
    "florence2": ["<loc_1><loc_2><loc_3>", "<loc_1><loc_2><loc_3><loc_1000>", "<loc_9><loc_2><loc_3><loc_4>"],
    "thousandths": ["<|box_start|>(1,2),(3", "(1,2),(3,1001)", "[1, 2, 3]", "(1,-2),(3,4)", '{"bbox_2d": [1, 2, 3'],
    "internvl": ["<box>[[1, 2, 3]]</box>", "<box>[[1, 2, 3, 1001]]</box>", "<box>[[9, 2, 3, 4]]</box>", "<box>[[1, 2"],
    "thousandths_json": ["[1, 2, 3]", "[1, 2, 3, 1001]", "[9, 2, 3, 4]", '{"bbox_2d": [1, 2, 3'],
    "qwen25_pixels": ["[1, 2, 3]", "[1, 2, 3, 4000]", "[1, 2, 3, 480]", "[9, 2, 3, 4]", '{"bbox_2d": [1, 2'],
    "tiny_percent": ["[10 20 30]", "[10 20 30 4]", "[90 20 30 40]", "[10 20 30", "[10 20 30 100]"],
    "doctags": ["<loc_1><loc_2><loc_3>", "<loc_1><loc_2><loc_3><loc_501>", "<loc_1><loc_9><loc_3><loc_4>"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_malformed_text_is_reported(name, text):
    with pytest.raises(Problem, match="The model wrote a box"):
        read_all(name, text)


def test_every_convention_has_broken_examples_and_a_source():
    assert set(BROKEN) == set(CONVENTIONS)
    assert all(convention.source for convention in CONVENTIONS.values())


def test_a_box_is_cut_at_the_edges():
    assert clip_box((-5, 10, 700, 500), SIZE) == (0, 10, 640, 480)
    for outside in [(700, 0, 800, 10), (5, 5, 5, 9), (9, 9, 1, 1), (float("nan"), 0, 1, 1)]:
        with pytest.raises(Problem):
            write_box("shikra", outside, SIZE)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (5, 0, 15, 10), 50 / 150),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),
        ((0, 0, 10, 10), (20, 20, 30, 30), 0),
        ((0, 0, 4, 4), (1, 1, 3, 3), 4 / 16),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0),
    ],
)
def test_iou(a, b, expected):
    assert iou(a, b) == iou(b, a) == pytest.approx(expected)


def test_unknown_convention_is_a_bug():
    with pytest.raises(ValueError, match="florence2"):
        write_box("florence", (0, 0, 1, 1), SIZE)


# ---- names of things, and what fails to be a box

CAT = (64, 48, 320, 240)
NAMED = {  # the forms in which the models' own pages and processors show an answer
    "florence2": ["A cat{0} sits on a mat{1}{0}.", "a cat{0}"],
    "kosmos2": ["An image of<phrase> a cat</phrase>{0}.", "<phrase>a cat</phrase>{0} sits"],
    "paligemma": ["{0} a cat ; {1} a mat", "{0} a cat<eos>"],
    "thousandths": [
        "<|object_ref_start|>a cat<|object_ref_end|>{0}",
        '[{{"bbox_2d": [100, 100, 500, 500], "label": "a cat"}}, {{"bbox_2d": [0, 0, 9, 9], "label": "mat"}}]',
        '{{"label": "a cat", "bbox_2d": [100, 100, 500, 500]}}',
    ],
    "internvl": ["<ref>a cat</ref>{0}", "<ref>a cat</ref><box>[[100, 100, 500, 500], [0, 0, 9, 9]]</box>"],
    "thousandths_json": ['[{{"bbox_2d": [100, 100, 500, 500], "label": "a cat"}}, {{"bbox_2d": [0, 0, 9, 9]}}]'],
    "qwen25_pixels": ['[\n\t{{"bbox_2d": [64, 48, 322, 238], "label": "a cat"}}\n]'],
}


@pytest.mark.parametrize(("name", "form"), [(name, form) for name, forms in NAMED.items() for form in forms])
def test_the_name_of_a_box_is_found(name, form):
    text = form.format(write_all(name, CAT), write_all(name, (0, 0, 30, 30)))
    found, malformed = find_boxes(name, text, SIZE, resized=(644, 476))
    assert malformed == []
    assert text[slice(*found[0].label_span)].lower() == "a cat"
    assert iou(found[0].box, CAT) > 0.85
    assert read_all(name, text[slice(*found[0].span)]) == [found[0].box]


def test_one_name_may_have_several_boxes():
    text = f"dogs{write_all('florence2', CAT)}{write_all('florence2', (0, 0, 30, 30))}cat{write_all('florence2', CAT)}"
    found, _ = find_boxes("florence2", text, SIZE)
    assert [text[slice(*one.label_span)] for one in found] == ["dogs", "dogs", "cat"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("florence2", "cat<loc_1><loc_2><loc_30> dog", "incomplete"),
        ("florence2", "cat<loc_9><loc_9><loc_3><loc_3>", "swapped"),
        ("kosmos2", "<phrase>cat</phrase><object><patch_index_0005></object>", "incomplete"),
        ("paligemma", "<loc0001><loc0002> cat", "incomplete"),
        ("thousandths", "<|box_start|>(100,100),(500", "incomplete"),
        ("thousandths", "(100,100),(500,2000)", "outside"),
        ("qwen25_pixels", '{"bbox_2d": [64, 48, 322', "incomplete"),
        ("tiny_percent", "[10 20 30", "incomplete"),
    ],
)
def test_a_failed_box_is_shown_beside_the_good_ones(name, text, words):
    good = write_all(name, CAT)
    found, malformed = find_boxes(name, f"{good} and {text}", SIZE, resized=(644, 476))
    assert [iou(one.box, CAT) > 0.85 for one in found] == [True]
    assert len(malformed) == 1 and words in malformed[0].reason
    start, stop = malformed[0].span
    assert len(good) < start < stop <= len(good) + 5 + len(text)


def test_an_answer_without_boxes_has_neither():
    assert find_boxes("florence2", "a quiet street", SIZE) == ([], [])
