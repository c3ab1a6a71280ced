"""Plans: the fast precision when it fits, the smallest when not, and a reason with a way out."""

import pytest

from patchwork.plan import format_bytes, make_plan
from tests.fakes import MACHINE, make_card

GPU = MACHINE.model_copy(update={"device": "cuda", "precisions": ("bf16", "int8", "nf4", "fp32")})
REAL = {"repo": "owner/name", "download_bytes": 513_000_000}


def test_the_first_precision_that_fits_is_chosen():
    card = make_card(parameters=10**9, **REAL)
    assert make_plan(card, GPU, 3 * 10**9).precision == "bf16"  # 2.1 GB
    assert make_plan(card, GPU, 1_500_000_000).precision == "int8"  # 1.2 GB
    assert make_plan(card, GPU, 10**9).precision == "nf4"  # 0.7 GB


def test_what_does_not_fit_says_so():
    plan = make_plan(make_card(parameters=10**9, **REAL), GPU, 10**8)
    assert not plan.fits and plan.precision == "nf4"
    assert "needs about 690 MB even in nf4" in plan.reason and "100 MB may be used" in plan.reason


def test_bundled_models_are_exact_everywhere():
    plan = make_plan(make_card(), GPU)
    assert plan.precision == "fp32" and plan.cached and plan.download_bytes == 0


def test_measured_memory_wins_over_the_estimate():
    card = make_card(memory={"fp32": 123}, **REAL)
    assert make_plan(card, MACHINE).memory_bytes == 123


def test_the_sentence():
    card = make_card(title="SmolVLM-256M", **REAL)
    assert make_plan(card, GPU).sentence() == "SmolVLM-256M · 513 MB · fits here in bf16"
    assert make_plan(card, GPU, cached=True).sentence() == "SmolVLM-256M · on this machine · fits here in bf16"


@pytest.mark.parametrize(("count", "words"), [(None, "size unknown"), (513_000_000, "513 MB"), (14.13e9, "14.1 GB")])
def test_format_bytes(count, words):
    assert format_bytes(count) == words
