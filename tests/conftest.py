"""A scripted loader, and a pool of one checkpoint that it loads."""

import pytest

from patchwork.pool import Pool
from tests.fakes import MACHINE, Loader, make_catalog


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def pool(loader) -> Pool:
    return Pool(make_catalog("one"), MACHINE, budget_bytes=10**9, load=loader)
