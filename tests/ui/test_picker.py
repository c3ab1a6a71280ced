"""Which checkpoint answers: a preloaded one before the bundled one, and one true line about what pressing Run means."""

from types import SimpleNamespace

import pytest

from patchwork.catalog import Catalog, read_endpoint
from patchwork.pool import Pool
from patchwork.ui import picker
from tests.fakes import MACHINE, Loader, make_card

DEMO = SimpleNamespace(NAME="ask", TITLE="Ask", NEEDS=frozenset({"chat"}))
BUNDLED = make_card("tiny", capabilities=["chat"])
SMALL = make_card("small", repo="someone/small", capabilities=["chat"], recommended_for=["ask"])
GATED = make_card("gated", repo="someone/gated", capabilities=["chat"], gated=True)
FAR = read_endpoint("far=https://a.example/v1#m")
NEAR = read_endpoint("near=http://localhost:1/v1#m")
HUGE = make_card("huge", 10**12, repo="someone/huge", capabilities=["chat"])


@pytest.fixture
def cached(monkeypatch) -> set[str]:
    """Ids of the checkpoints that are on this machine."""
    found: set[str] = set()
    for module in ("patchwork.ui.picker", "patchwork.pool"):
        monkeypatch.setattr(f"{module}.is_cached", lambda card: card.bundled or card.id in found)
    return found


def make_page(offline: bool = False) -> SimpleNamespace:
    pool = Pool(Catalog([BUNDLED, SMALL, GATED, HUGE, FAR, NEAR]), MACHINE, load=Loader())
    return SimpleNamespace(catalog=pool.catalog, pool=pool, offline=offline)


def test_a_preloaded_checkpoint_is_the_default_else_the_bundled_one(cached):
    assert picker.choose_default(DEMO, make_page()) == "tiny"
    assert picker.recommend(DEMO, make_page()) is SMALL
    cached.add("small")
    assert picker.choose_default(DEMO, make_page()) == "small"
    assert picker.recommend(DEMO, make_page()) is None


def test_one_that_does_not_fit_is_never_the_default(cached):
    cached.add("huge")
    assert picker.choose_default(DEMO, make_page()) == "tiny"


def test_a_server_is_offered_only_where_the_demo_says_what_leaves_and_is_never_the_default(cached):
    arena = SimpleNamespace(NAME="arena", TITLE="Arena", NEEDS=frozenset({"chat"}), REMOTE=True)
    assert [card_id for _, card_id in picker.list_choices(DEMO, make_page())] == ["tiny", "small", "gated", "huge"]
    assert [card_id for _, card_id in picker.list_choices(arena, make_page())][-2:] == ["far", "near"]
    assert picker.choose_default(arena, make_page()) == "tiny"


@pytest.mark.parametrize(
    ("card", "offline", "reachable", "words"),
    [
        (FAR, False, True, "answers from a.example; the picture and the question leave this machine."),
        (NEAR, True, False, "answers from localhost:1; a server on the machine that runs this page."),
        (BUNDLED, False, True, "answers at once"),
        (SMALL, False, True, "of memory, on cpu"),
        (SMALL, True, True, "the page is offline"),
        (SMALL, False, False, "there is no network now"),
        (GATED, False, True, "Accept its licence first, at huggingface.co/someone/gated"),
        (HUGE, False, True, "which fits, or raise --budget"),
    ],
)
def test_one_line_says_what_run_means(cached, monkeypatch, card, offline, reachable, words):
    monkeypatch.setattr(picker, "is_reachable", lambda: reachable)
    assert words in picker.describe_choice(card, make_page(offline))


def test_where_a_demo_measures_a_checkpoint_may_stand_beside_itself_in_fewer_bits(cached):
    measuring = SimpleNamespace(**vars(DEMO), MEASURES=True)
    ids = [card_id for _, card_id in picker.list_beside(measuring, make_page())]
    assert ids[:4] == ["tiny", "small", "gated", "huge"] and "tiny@nf4" in ids and "small@int8" in ids
    assert [card_id for _, card_id in picker.list_beside(DEMO, make_page())] == ids[:4]


def test_a_server_may_stand_in_both_places_of_a_demo_that_asks_servers_and_never_in_fewer_bits(cached):
    asking = SimpleNamespace(**vars(DEMO), MEASURES=True, REMOTE=True)
    for choices in (picker.list_choices(asking, make_page()), picker.list_beside(asking, make_page())):
        assert {"far", "near"} <= {card_id for _, card_id in choices}
        assert not any(card_id.startswith(("far@", "near@")) for _, card_id in choices)
