"""Whatever a reader uploads becomes a bounded, upright RGB picture, or one sentence."""

import io
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from patchwork import images
from patchwork.errors import Problem
from patchwork.images import from_fractions, letterbox, load_frames, load_picture, to_fractions
from tests.bad_pictures import BAD_PICTURES, paint_noise, save, write_png, write_rotated

NAMES = [picture.name for picture in BAD_PICTURES]


@pytest.mark.parametrize("picture", BAD_PICTURES, ids=NAMES)
def test_bad_pictures(picture):
    if picture.refused:
        with pytest.raises(Problem) as caught:
            load_picture(picture.data)
        sentence = str(caught.value)
        assert picture.refused in sentence and sentence.endswith(".") and sentence[0].isupper()
        return
    image = load_picture(picture.data)
    assert (image.mode, image.size) == ("RGB", picture.size)
    assert picture.pixels
    for at, colour in picture.pixels:
        assert image.getpixel(at) == pytest.approx(colour, abs=picture.tolerance)


def test_there_are_many_kinds_and_names_are_unique():
    assert len(set(NAMES)) == len(NAMES) >= 30


@pytest.mark.parametrize("picture", BAD_PICTURES, ids=NAMES)
def test_a_file_is_read_as_its_bytes_are_whatever_its_name(tmp_path, picture):
    path = tmp_path / "holiday.jpg"
    path.write_bytes(picture.data)
    if picture.refused:
        with pytest.raises(Problem, match=picture.refused):
            load_picture(str(path))
    else:
        assert load_picture(path).tobytes() == load_picture(picture.data).tobytes()


def test_paths_that_are_no_pictures(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    cases = {tmp_path: "folder", tmp_path / "gone.png": "no longer there", tmp_path / "pipe": "ordinary file"}
    for path, words in cases.items():
        with pytest.raises(Problem, match=words):
            load_picture(path)
    with pytest.raises(Problem):
        load_picture("nul\0.png")
    with pytest.raises(Problem):
        load_picture("a" * 5000)


def test_too_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_BYTES", 1000)
    data = save(paint_noise(), "PNG")
    (tmp_path / "big.png").write_bytes(data)
    for source in (data, tmp_path / "big.png"):
        with pytest.raises(Problem, match="larger than"):
            load_picture(source)


def test_a_bomb_is_refused_before_it_is_decoded():
    bomb = write_png(20000, 8000, 8, 2, bytes(30_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="160 million pixels"):
            load_picture(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_a_large_jpeg_is_decoded_smaller_and_a_progressive_one_refused():
    big = Image.new("RGB", (12000, 9000), "red")  # 108 million pixels: a telephone's camera
    assert load_picture(save(big, "JPEG")).size == (2048, 1536)
    with pytest.raises(Problem, match="108 million pixels"):
        load_picture(save(big, "JPEG", progressive=True))


def test_bound_and_antialiasing():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the result can show: must become grey, not stripes or black
    image = load_picture(save(Image.fromarray(stripes), "PNG"), max_side=50)
    assert image.size == (50, 50)
    assert np.abs(np.asarray(image).astype(float) - 127.5).max() < 12
    assert load_picture(save(Image.new("RGB", (30, 20)), "PNG"), max_side=50).size == (30, 20)
    with pytest.raises(ValueError, match="max_side"):
        load_picture(b"", max_side=0)


def test_where_it_was_taken_is_not_kept(tmp_path):
    image = load_picture(write_rotated(6))
    assert image.info == {} and not image.getexif()
    image.save(tmp_path / "again.jpg")
    assert b"Exif" not in (tmp_path / "again.jpg").read_bytes()


@pytest.mark.parametrize(
    ("size", "region", "corner"),
    [
        ((100, 60), (0, -20, 100, 80), (0, 20)),
        ((60, 100), (-20, 0, 80, 100), (20, 0)),
        ((50, 50), (0, 0, 50, 50), (0, 0)),
        ((5, 2), (0, -1, 5, 4), (0, 1)),  # odd padding: one row above, two below
        ((1, 7), (-3, 0, 4, 7), (3, 0)),
    ],
)
def test_letterbox_tells_where_the_square_lies(size, region, corner):
    square, found = letterbox(Image.new("RGB", size, "red"), fill=(1, 2, 3))
    assert found == region
    red = np.argwhere((np.asarray(square) == (255, 0, 0)).all(-1))
    assert square.size == (max(size), max(size))
    assert tuple(red.min(0)[::-1]) == corner and len(red) == size[0] * size[1]
    if size[0] != size[1]:
        assert square.getpixel((max(size) - 1, max(size) - 1)) == (1, 2, 3)


def test_boxes_between_square_and_picture():
    region = (0, -20, 100, 80)  # of a 100×60 picture
    assert to_fractions((0, 0, 100, 60), region) == pytest.approx((0, 0.2, 1, 0.8))
    assert from_fractions((0.25, 0.5, 0.75, 0.8), region) == pytest.approx((25, 30, 75, 60))


# ---- clips


def save_clip(frames: int, format: str = "GIF", size: tuple[int, int] = (20, 10)) -> bytes:
    """Frame n is grey 10 · n."""
    pictures = [Image.new("RGB", size, (10 * number,) * 3) for number in range(frames)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, format, save_all=True, append_images=pictures[1:], duration=100, lossless=True)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize(
    ("total", "count", "wanted"), [(10, 4, [0, 3, 6, 9]), (5, 2, [0, 4]), (3, 8, [0, 1, 2]), (7, 1, [0])]
)
def test_frames_are_evenly_spaced_first_and_last_among_them(format, total, count, wanted):
    frames = load_frames(save_clip(total, format), count)
    assert [(frame.mode, frame.size) for frame in frames] == [("RGB", (20, 10))] * len(wanted)
    assert [frame.getpixel((5, 5))[0] for frame in frames] == pytest.approx([10 * number for number in wanted], abs=1)


def test_a_still_picture_is_one_frame_and_a_long_clip_a_sentence(monkeypatch):
    assert len(load_frames(save(Image.new("RGB", (9, 9)), "PNG"), 4)) == 1
    monkeypatch.setattr(images, "MAX_FRAMES", 6)
    assert len(load_frames(save_clip(6), 3)) == 3
    with pytest.raises(Problem, match="more than the 6 frames"):
        load_frames(save_clip(7), 3)
    monkeypatch.setattr(images, "MAX_CLIP_PIXELS", 5 * 200)
    with pytest.raises(Problem, match="more than the 5 frames of its size"):
        load_frames(save_clip(6), 3)


def test_a_clip_cut_in_half_is_a_sentence():
    noisy = [paint_noise(40).rotate(90 * turn) for turn in range(4)]
    buffer = io.BytesIO()
    noisy[0].save(buffer, "GIF", save_all=True, append_images=noisy[1:])
    whole = buffer.getvalue()
    with pytest.raises(Problem, match="damaged"):
        load_frames(whole[: len(whole) // 2], 4)
    with pytest.raises(Problem, match="empty"):
        load_frames(b"", 4)
