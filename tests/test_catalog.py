"""models.yaml is read strictly: each mistake names file, line, key and the nearest valid word."""

import json
from pathlib import Path

import pytest
import yaml

from bench.memory import MODELS
from patchwork.catalog import Catalog, load_catalog, read_endpoint
from patchwork.errors import Problem
from patchwork.families import get_family
from patchwork.plan import WIDTH
from patchwork.quantize import count_unquantized

GOOD = """
- id: one
  title: One
  family: clip
  repo: owner/one
  licence: MIT
  parameters: 5
  capabilities: [attention]
"""

LLAVA = GOOD.replace("clip", "llava").replace("attention", "chat")
SERVER = """
- id: far
  title: Far
  family: endpoint
  repo: big/model:7b
  url: https://api.example.com/v1/
"""
PAGES = LLAVA.replace("chat", "read_document") + "  tiles: 4\n"


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
        (GOOD + "  tiles: 4\n", "list.yaml:9: tiles: the processors of clip cut their own"),
        (LLAVA + "  tiles: 4\n", "list.yaml:9: tiles: a card with tiles reads pages; add read_document"),
        (LLAVA.replace("chat", "read_document"), "list.yaml:2: tiles: a card of llava that can read_document says how"),
        (LLAVA + "  pointing_heads: [[1, 0]]\n", "list.yaml:9: pointing_heads: heads point at tiles"),
        (PAGES + "  pointing_heads: [[1, -1]]\n", "list.yaml:10: pointing_heads.0.1: Input should be greater than"),
        (SERVER.replace("url", "ulr"), "list.yaml:6: unknown key 'ulr' (did you mean 'url'?)"),
        (SERVER.replace("https", "http"), "list.yaml:6: url: api.example.com is not on a private network"),
        (SERVER + "  capabilities: [ground]\n", "list.yaml:7: capabilities.0: unknown word 'ground'"),
        ("a: [", "not valid YAML"),
        ("a: b", "must be a list of checkpoints"),
        ("- just words", "list.yaml:1: a checkpoint is a list of 'key: value' lines"),
    ],
)
def test_mistakes_are_named(tmp_path, text, words):
    with pytest.raises(Problem) as raised:
        read(tmp_path, text)
    assert words in str(raised.value)


def test_a_card_says_how_it_reads_pages(tmp_path):
    (card,) = read(tmp_path, PAGES + "  pointing_heads: [[1, 0], [2, 3]]\n").cards
    assert (card.tiles, card.pointing_heads) == (4, ((1, 0), (2, 3)))


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(Problem, match="Cannot read"):
        load_catalog(tmp_path / "nowhere.yaml")


def test_offering_filters_by_capability(tmp_path):
    catalog = read(tmp_path, GOOD + GOOD.replace("one", "two").replace("[attention]", "[chat]"))
    assert [card.id for card in catalog.offering({"chat"})] == ["two"]
    assert catalog.offering({"chat", "attention"}) == []


def test_a_server_is_a_card_that_only_some_demos_are_offered(tmp_path):
    catalog = read(tmp_path, LLAVA + SERVER)
    card = catalog.get("far")
    assert (card.host, card.url, card.capabilities) == ("api.example.com", "https://api.example.com/v1", {"chat"})
    assert not card.bundled and not card.here
    assert [one.id for one in catalog.offering({"chat"})] == ["one"]
    assert [one.id for one in catalog.offering({"chat"}, remote=True)] == ["one", "far"]


def test_an_option_names_a_server():
    card = read_endpoint("near=http://127.0.0.1:11434/v1#qwen2.5vl:3b")
    assert (card.id, card.title, card.repo) == ("near", "near: qwen2.5vl:3b", "qwen2.5vl:3b")
    assert (card.host, card.here, card.key_variable) == ("127.0.0.1:11434", True, "")
    assert read_endpoint("far=https://a.example/v1#m,key=MY_KEY").key_variable == "MY_KEY"
    assert read_endpoint("far=http://a.example/v1#m,unencrypted").unencrypted


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("http://127.0.0.1:11434/v1", "NAME=URL#MODEL"),
        ("near=http://127.0.0.1:11434/v1", "NAME=URL#MODEL"),
        ("near=http://127.0.0.1/v1#m,password=sk-secret", "NAME=URL#MODEL"),
        ("near=http://127.0.0.1/v1#m,key=sk-secret", "'near' cannot be used: key_variable"),
        ("far=http://a.example/v1#m", "'far' cannot be used: url: a.example is not on a private network"),
        ("Far One=https://a.example/v1#m", "'Far One' cannot be used: id"),
    ],
)
def test_an_option_that_is_wrong_is_a_sentence_without_a_key(option, words):
    with pytest.raises(Problem) as raised:
        read_endpoint(option)
    assert words in str(raised.value) and "secret" not in str(raised.value)


def test_cards_are_frozen(tmp_path):
    with pytest.raises(ValueError, match="frozen"):
        read(tmp_path, GOOD).cards[0].title = "Other"


@pytest.mark.parametrize("card", load_catalog().cards, ids=lambda card: card.id)
def test_shipped_cards_match_their_family(card):
    assert card.capabilities <= get_family(card.family).CAPABILITIES
    assert card.bundled or card.source, "a real checkpoint's facts need a source"
    if card.bundled:
        settings = json.loads((Path(card.location) / "config.json").read_text()).get("text_config", {})
        for layer, head in card.pointing_heads:
            assert layer < settings["num_hidden_layers"] and head < settings["num_attention_heads"]


REAL = [card for card in load_catalog().cards if not card.bundled]


def test_a_laptop_has_a_choice():
    """At least two real checkpoints below 600 million parameters for everything that a demo may ask for."""
    small = [card for card in REAL if card.parameters < 600_000_000]
    for ability in ("embed_image", "embed_text", "attention", "chat", "ground", "read_document", "trace"):
        assert sum(ability in card.capabilities for card in small) >= 2, ability
    assert len(REAL) >= 25


def test_bundled_first_then_smallest_first():
    cards = load_catalog().cards
    assert [card.bundled for card in cards] == sorted((card.bundled for card in cards), reverse=True)
    assert [card.parameters for card in REAL] == sorted(card.parameters for card in REAL)


@pytest.mark.parametrize("card", REAL, ids=lambda card: card.id)
def test_facts_of_a_real_checkpoint_agree_with_each_other(card):
    assert f"https://huggingface.co/{card.repo}" in card.source and card.licence
    assert card.unquantized < card.parameters
    if card.download_bytes:  # what the hub lists, against parameters × the width in which they are stored
        assert card.download_bytes == pytest.approx(card.parameters * WIDTH[card.stored], rel=0.01)
    if card.gated:
        assert "accepted" in card.notes


COUNTED = sorted({card.id for card in REAL} & set(MODELS) - {"llava-interleave-qwen-0.5b"})


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_are_those_of_the_published_architecture(name):
    """Built without weights; the library counts, not the list."""
    import torch
    import transformers

    kind, config_kind, settings, _ = MODELS[name]
    with torch.device("meta"):
        model = getattr(transformers, kind)(getattr(transformers, config_kind)(**settings))
    card = load_catalog().get(name)
    assert sum(weight.numel() for weight in model.parameters()) == card.parameters
    assert count_unquantized(model) == card.unquantized


def test_a_space_preloads_cards_of_the_list():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    preloaded = [line.split()[0] for line in yaml.safe_load(readme.split("---")[1])["preload_from_hub"]]
    assert preloaded and set(preloaded) <= {card.repo for card in REAL if card.recommended_for}


def test_any_checkpoint_can_be_asked_in_one_precision(tmp_path):
    catalog = read(tmp_path, GOOD + "  refuses: [int8]\n")
    variant = catalog.get("one@nf4")
    assert (variant.id, variant.title, variant.precision) == ("one@nf4", "One in nf4", "nf4")
    assert variant.checkpoint == "one" and variant.location == catalog.get("one").location
    with pytest.raises(Problem, match="no precision named 'nf5'; one of fp32"):
        catalog.get("one@nf5")
    with pytest.raises(Problem, match="One cannot run in int8"):
        catalog.get("one@int8")
    with pytest.raises(Problem, match="did you mean 'one'"):
        catalog.get("onee@nf4")


def test_a_model_behind_a_server_has_a_precision_of_its_own():
    catalog = Catalog([read_endpoint("near=http://127.0.0.1:11434/v1#qwen2.5vl:3b")])
    with pytest.raises(Problem, match="cannot run in nf4"):
        catalog.get("near@nf4")
