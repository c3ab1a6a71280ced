"""A scripted loader, a pool of one checkpoint that it loads, and a server on this machine that chats."""

from collections.abc import Iterator

import pytest

from patchwork.pool import Pool
from tests.chat_stand_in import Chat, serve_chat
from tests.fakes import MACHINE, Loader, make_catalog


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def pool(loader) -> Pool:
    return Pool(make_catalog("one"), MACHINE, budget_bytes=10**9, load=loader)


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    with serve_chat() as server:
        yield server
