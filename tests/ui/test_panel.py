"""A second checkpoint beside the first: it answers the same request, and its failure hides nothing."""

from types import SimpleNamespace

from PIL import Image

from demos import ask
from patchwork.pool import Pool
from patchwork.ui.panel import stream_beside
from tests.fakes import MACHINE, Loader, make_catalog

INPUTS = ask.Inputs(picture=Image.new("RGB", (8, 8)), question="why")


def show_beside(loader: Loader) -> list[str]:
    pool = Pool(make_catalog("two"), MACHINE, budget_bytes=10**9, load=loader)
    return list(stream_beside(ask, SimpleNamespace(pool=pool), INPUTS, "two", "<p>first</p>"))


def test_the_first_result_stays_while_the_second_grows():
    shown = show_beside(Loader())
    assert all(page.startswith('<div class="pw-pair"><div><p>first</p></div>') for page in shown)
    assert "a red star (why)" in shown[-1] and "Answered by Two" in shown[-1]


def test_a_failure_of_the_second_stands_in_its_own_place():
    loader = Loader()
    loader.failure = MemoryError()
    *_, last = show_beside(loader)
    assert last.startswith('<div class="pw-pair"><div><p>first</p></div><div><p class="pw-problem"')
