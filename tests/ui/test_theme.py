"""Colours are readable: contrast ratios of the page's variables, by the formula of WCAG 2.2."""

from __future__ import annotations

import re

import pytest

from patchwork.ui.theme import STATIC, build_head, build_theme

CSS = (STATIC / "app.css").read_text(encoding="utf-8")
CODED = ["visual", "text", "output", "frozen", "trainable", "wrong"]
READABLE = [(word, paper) for word in ["ink", "ink-soft", "muted", "link", *CODED] for paper in ["paper", "surface"]]
READABLE += [("ink", "sunken"), ("muted", "sunken"), ("paper", "ink"), ("paper", "ink-soft")]
READABLE += [(name, f"{name}-soft") for name in CODED] + [("ink", f"{name}-soft") for name in CODED]


def read_variables(selector: str) -> dict[str, str]:
    block = re.search(rf"^{re.escape(selector)} {{(.*?)^}}", CSS, re.DOTALL | re.MULTILINE)[1]
    return dict(re.findall(r"--pw-([\w-]+): (#[0-9a-f]{6});", block))


def measure_luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def measure_contrast(one: str, other: str) -> float:
    low, high = sorted([measure_luminance(one), measure_luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_the_formula_knows_black_white_and_a_published_grey():
    assert measure_contrast("#000000", "#ffffff") == pytest.approx(21)
    assert measure_contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("selector", [":root", ".dark"])
@pytest.mark.parametrize(("word", "paper"), READABLE)
def test_words_are_readable(selector, word, paper):
    colours = read_variables(selector)
    assert measure_contrast(colours[word], colours[paper]) >= 4.5


@pytest.mark.parametrize("selector", [":root", ".dark"])
def test_edges_of_fields_are_visible(selector):
    colours = read_variables(selector)
    assert measure_contrast(colours["edge"], colours["surface"]) >= 3


def test_dark_names_the_same_colours_as_light():
    assert read_variables(".dark").keys() == read_variables(":root").keys()


def test_nothing_is_fetched_from_elsewhere():
    everything = build_head({"present": False}) + build_theme()._get_theme_css()
    assert re.findall(r"https?://(?!www\.w3\.org/)[^\s\"')]+", everything) == []


def test_rules_for_the_stage_stand_where_they_reach_the_page():
    """Gradio puts the other sheets behind a selector inside of the element that is marked as presenting."""
    for path in STATIC.glob("*.css"):
        if path.stem != "app":
            rules = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
            assert ".pw-presenting" not in rules, path
