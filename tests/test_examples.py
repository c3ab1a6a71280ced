"""Every example opens, offline, and photographs name whom we owe them to."""

import re
import socket
from pathlib import Path

import pytest
from PIL import Image

from patchwork.examples import (
    PAGES,
    PHOTOGRAPHS,
    draw_clip,
    example_pages,
    example_pictures,
    first_scene,
    invent_clip,
)
from patchwork.images import load_picture
from patchwork.tiny import FRESH
from patchwork.tiny.catalogue import invent_page


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("an example asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_photographs_lie_in_the_package_and_open(no_network):
    pictures = example_pictures("photograph")
    assert [path.name for _, path in pictures] == [name for name, _, _ in PHOTOGRAPHS]
    for caption, path in pictures:
        assert "photo:" in caption and min(load_picture(path).size) >= 300


def test_credits_are_those_of_the_library():
    from skimage.data import _fetchers

    source = Path(_fetchers.__file__).read_text(encoding="utf-8")
    for name, _, credit in PHOTOGRAPHS:
        person, licence = credit.split(", ")
        body = source.split(f'"data/{name}"')[0].rsplit("\ndef ", 1)[1]
        assert person in body and licence in body


def test_drawn_scenes_are_drawn_once_and_open(no_network):
    pictures = example_pictures("drawn")
    assert len(pictures) >= 4 and pictures == example_pictures("drawn")
    opened = [load_picture(path) for _, path in pictures]
    assert {image.size for image in opened} == {(512, 512)}
    assert len({image.tobytes() for image in opened}) == len(opened)
    assert len({caption for caption, _ in pictures}) == len(pictures)


def test_an_unknown_kind_is_a_bug():
    with pytest.raises(ValueError, match="drawn"):
        example_pictures("painted")


def test_defaults_are_made_for_the_picture_that_is_shown_first():
    shown = load_picture(example_pictures("drawn")[0][1])
    assert first_scene().draw(shown.width).tobytes() == shown.tobytes()


def test_price_lists_come_with_questions_that_their_print_answers(no_network):
    words = re.compile(r"what is the (\w+) of the (\w+ \w+)(?: and of the (\w+ \w+))?\?")
    asked, grids = [], set()
    for example, seed in zip(example_pages(), PAGES, strict=True):
        assert example.page == invent_page(FRESH + seed)
        grids.add(tuple(side // 256 for side in example.draw().size))
        field, *names = words.fullmatch(example.question).groups()
        entries = {entry.thing.name: entry for entry in example.page.entries}
        values = [entries[name].value(field) for name in names if name]
        assert all(value.isdigit() for value in values)
        asked.append(len(values))
    assert asked == [1, 2, 1] and grids == {(3, 4), (3, 3), (2, 3)}


def test_in_the_clip_a_star_flies_over_the_house():
    scenes = invent_clip(4)
    stars = [next(thing for thing in scene.things if thing.kind == "star") for scene in scenes]
    houses = {next(thing for thing in scene.things if thing.kind == "house") for scene in scenes}
    places = [star.centre[0] for star in stars]
    assert places == sorted(set(places)) and places[1] < 0.5 < places[2] and len(houses) == 1
    assert all(0 <= edge <= 1 for star in stars for edge in star.box)
    first, *_, last = draw_clip(4)
    assert Image.open(first).tobytes() != Image.open(last).tobytes() and draw_clip(4)[0] == first
