"""models.yaml is read strictly: each mistake names file, line, key and the nearest valid word."""

from pathlib import Path

import pytest

from patchwork.catalog import load_catalog
from patchwork.errors import Problem
from patchwork.families import get_family

GOOD = """
- id: one
  title: One
  family: clip
  repo: owner/one
  licence: MIT
  parameters: 5
  capabilities: [attention]
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "list.yaml"
    path.write_text(text)
    return load_catalog(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("licence", "license"), "list.yaml:6: unknown key 'license' (did you mean 'licence'?)"),
        (
            GOOD.replace("family: clip", "family: clpi"),
            "list.yaml:4: family: unknown family 'clpi' (did you mean 'clip'?)",
        ),
        (
            GOOD.replace("[attention]", "[attentoin]"),
            "list.yaml:8: capabilities.0: unknown word 'attentoin' (did you mean 'attention'?)",
        ),
        (GOOD + GOOD, "list.yaml:10: the id 'one' is already used in line 2"),
        (GOOD.replace("  title: One\n", ""), "list.yaml:2: title: Field required"),
        (GOOD.replace("parameters: 5", "parameters: -5"), "list.yaml:7: parameters: Input should be greater than 0"),
        ("a: [", "not valid YAML"),
        ("a: b", "must be a list of checkpoints"),
        ("- just words", "list.yaml:1: a checkpoint is a list of 'key: value' lines"),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    with pytest.raises(Problem) as raised:
        read(tmp_path, text)
    assert words in str(raised.value)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(Problem, match="Cannot read"):
        load_catalog(tmp_path / "nowhere.yaml")


def test_offering_filters_by_capability(tmp_path):
    catalog = read(tmp_path, GOOD + GOOD.replace("one", "two").replace("[attention]", "[chat]"))
    assert [card.id for card in catalog.offering({"chat"})] == ["two"]
    assert catalog.offering({"chat", "attention"}) == []


def test_cards_are_frozen(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        read(tmp_path, GOOD).cards[0].title = "Other"


@pytest.mark.parametrize("card", load_catalog().cards, ids=lambda card: card.id)
def test_shipped_cards_match_their_family(card):
    assert card.capabilities <= get_family(card.family).CAPABILITIES
    assert card.bundled or card.source, "a real checkpoint's facts need a source"
    if card.bundled:
        assert (Path(card.location) / "config.json").is_file()
