"""Fetching from a stand-in hub: what is fetched, going on after a break, stopping, and a way out of every failure."""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
import time
from pathlib import Path

import pytest

from patchwork import download, hub
from patchwork.catalog import Card, Catalog
from patchwork.errors import Problem
from patchwork.hub import fetch, is_cached
from patchwork.pool import Lease, Pool
from tests.fakes import MACHINE
from tests.hub_stand_in import StandIn, serve
from tests.tiny_models import shared_folder

REPO = "someone/tiny-llava"
TOKEN = "hf_" + "secretsecretsecretsecretsecretsecr"
NEVER = threading.Event()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A real tiny checkpoint, and beside it what its card does not ask for."""
    folder = tmp_path_factory.mktemp("repo")
    for path in shared_folder("llava").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "pytorch_model.bin").write_bytes(b"unwanted" * 4096)
    (folder / "README.md").write_text("unwanted")
    return folder


@pytest.fixture(scope="module")
def served(folder: Path):
    with serve({REPO: folder}) as hub:
        yield hub


@pytest.fixture
def stand_in(served: StandIn, tmp_path, monkeypatch) -> StandIn:
    """The stand-in behaving well, with an empty cache and a secret token."""
    from huggingface_hub import constants

    monkeypatch.setenv("HF_ENDPOINT", served.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(download, "STALL", 0.5)
    monkeypatch.setattr(download, "PAUSE", 0.01)
    served.behave()
    return served


@pytest.fixture
def card() -> Card:
    return Card(
        id="tiny",
        title="Tiny",
        family="llava",
        repo=REPO,
        licence="none",
        parameters=100_000,
        capabilities=frozenset({"chat"}),
    )


def run(card: Card, cancel: threading.Event = NEVER, offline: bool = False) -> list[tuple[str, float | None]]:
    told: list[tuple[str, float | None]] = []
    fetch(card, lambda message, fraction: told.append((message, fraction)), cancel, offline)
    return told


def find_blobs(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "hub" / "models--someone--tiny-llava" / "blobs").iterdir())


def test_only_what_the_card_asks_for_is_fetched(stand_in, card):
    told = run(card)
    assert is_cached(card) and told[-1][1] == 1.0
    assert "model.safetensors" in stand_in.fetched() and "chat_template.jinja" in stand_in.fetched()
    assert not {"pytorch_model.bin", "README.md"} & stand_in.fetched()
    assert {one.token for one in stand_in.requests} == {f"Bearer {TOKEN}"}  # the secret of the tests below is in use


def test_where_there_are_no_safetensors_the_older_file_is_fetched(card, folder, tmp_path, stand_in, monkeypatch):
    """openai/clip-vit-base-patch32 has none on its main branch; nobody's card need know that."""
    older = tmp_path / "older"
    older.mkdir()
    for path in folder.iterdir():
        if path.suffix != ".safetensors":
            (older / path.name).write_bytes(path.read_bytes())
    monkeypatch.setitem(stand_in.repos, "someone/older", older)
    old = card.model_copy(update={"repo": "someone/older"})
    run(old)
    assert is_cached(old) and "pytorch_model.bin" in stand_in.fetched()


def test_what_is_here_is_not_asked_for_again(stand_in, card):
    run(card)
    stand_in.behave(status=500)
    assert run(card) == [] and stand_in.requests == []


def test_a_break_goes_on_where_it_stopped(stand_in, card, folder, tmp_path):
    size = (folder / "model.safetensors").stat().st_size
    stand_in.behave(cut=size // 2, cuts=99)
    with pytest.raises(Problem, match="goes on from where it stopped"):
        run(card)
    assert not is_cached(card)
    half = next(path for path in find_blobs(tmp_path) if path.suffix == ".incomplete").stat().st_size
    assert 0 < half < size
    stand_in.behave()
    run(card)
    assert is_cached(card)
    assert [one.range for one in stand_in.requests if one.range] == [f"bytes={half}-"]
    assert not [path for path in find_blobs(tmp_path) if path.suffix == ".incomplete"]


def test_a_short_break_is_not_even_noticed(stand_in, card, folder):
    stand_in.behave(cut=8192, cuts=3)
    told = run(card)
    assert is_cached(card) and any("trying again" in message for message, _ in told)


def test_a_server_that_cannot_go_on_starts_over(stand_in, card, folder, tmp_path):
    stand_in.behave(cut=8192, cuts=1, no_range=True)
    run(card)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert (tmp_path / "hub" / "models--someone--tiny-llava" / "blobs" / digest).stat().st_size > 8192


def test_silence_is_told_and_tried_again(stand_in, card):
    stand_in.behave(cut=8192, cuts=1, stall=True)
    told = run(card)
    assert is_cached(card) and ("The network stalls; trying again (2 of 5)" in [message for message, _ in told])


def test_stop_is_quick_and_keeps_what_came(stand_in, card, tmp_path):
    behaviour = stand_in.behave(steps=threading.Semaphore(3))
    cancel = threading.Event()
    monitor = threading.Thread(target=stop_after_progress, args=(stand_in, cancel, behaviour.steps), daemon=True)
    monitor.start()
    with pytest.raises(Problem, match=r"^Stopped\. What was downloaded is kept"):
        run(card, cancel)
    monitor.join(10)
    assert [path for path in find_blobs(tmp_path) if path.suffix == ".incomplete"]
    stand_in.behave()
    run(card)
    assert is_cached(card)


def stop_after_progress(stand_in: StandIn, cancel: threading.Event, steps: threading.Semaphore) -> None:
    while "model.safetensors" not in stand_in.fetched():
        time.sleep(0.01)
    cancel.set()
    for _ in range(10_000):
        steps.release()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gated": True}, "asks you to accept its licence first: do so at http"),
        ({"status": 401, "headers": {"X-Error-Code": "RepoNotFound"}}, r"not at .* \(removed, renamed or private\)"),
        ({"status": 401}, "refuses this machine's access token"),
        ({"status": 403}, "refuses this machine's access token"),
        ({"status": 404}, r"not at .* \(removed, renamed or private\)"),
        ({"status": 429}, "too many requests.*in a few minutes"),
        ({"status": 429, "headers": {"Retry-After": "240"}}, "too many requests.*in 4 min"),
        ({"status": 500}, r"fault of its own \(error 500\)"),
        ({"pointer": True}, "placeholder .a Git LFS pointer. in place of model.safetensors"),
        ({"damage": True}, "arrived damaged"),
        ({"cut": 0, "cuts": 99, "stall": True}, "goes on from where it stopped"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_every_failure_is_one_sentence_with_a_way_out(stand_in, card, caplog, capfd, wrong, words):
    caplog.set_level(logging.DEBUG)
    stand_in.behave(**wrong)
    with pytest.raises(Problem, match=words) as raised:
        run(card)
    assert not is_cached(card) and str(raised.value).endswith(".") and "\n" not in str(raised.value)
    assert TOKEN not in str(raised.value) + caplog.text + "".join(capfd.readouterr())
    stand_in.behave()
    run(card)
    assert is_cached(card)


def test_a_renamed_repository_is_followed_and_said(stand_in, card):
    stand_in.behave(moved={"someone/old-name": REPO})
    old = card.model_copy(update={"repo": "someone/old-name"})
    assert f"Tiny has moved to {REPO}" in [message for message, _ in run(old)]
    assert is_cached(old)


def test_a_removed_repository_is_said(stand_in, card):
    with pytest.raises(Problem, match="removed, renamed or private"):
        run(card.model_copy(update={"repo": "someone/gone"}))


def test_a_full_disk_is_noticed_before_the_first_byte(stand_in, card, monkeypatch):
    monkeypatch.setattr(download, "SPARE", 10**18)
    with pytest.raises(Problem, match=r"of disk and .* are free.*HF_HOME"):
        run(card)
    assert stand_in.fetched() == set()


def test_two_programs_do_not_write_one_file(stand_in, card, tmp_path):
    from filelock import FileLock

    listing = download.list_files(REPO, None, ("config.json",))
    folder = tmp_path / "hub" / ".locks" / "models--someone--tiny-llava"
    folder.mkdir(parents=True)
    with FileLock(folder / f"{listing.files[0].digest}.lock"), pytest.raises(Problem, match="Another program"):
        run(card)


def test_a_part_of_the_weights_is_not_a_checkpoint(stand_in, card, tmp_path):
    run(card)
    snapshot = hub.find_cached(card, "config.json").parent
    weights = snapshot / "model.safetensors"
    (snapshot / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}'
    )
    weights.rename(snapshot / "1.safetensors")
    assert not is_cached(card)
    (snapshot / "2.safetensors").write_bytes(b"")
    assert is_cached(card)


def test_a_clone_without_its_weights_is_said(card, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(download.POINTER + b".github.com/spec/v1\n")
    with pytest.raises(Problem, match="git lfs pull"):
        run(card.model_copy(update={"repo": str(tmp_path)}))


def test_a_silent_network_is_given_up_before_it_answers(card, monkeypatch):
    """A network that accepts nothing and refuses nothing: the attempt still hangs when the reader is told."""
    release, ended = threading.Event(), []

    def swallow(*_: object, **__: object) -> None:
        release.wait(60)
        ended.append(True)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", swallow)
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Problem, match="there is no network; choose one that is here"):
        run(card.model_copy(update={"repo": "someone/else"}))
    assert ended == []
    release.set()


def test_offline_is_noticed_within_two_seconds():
    assert hub.PATIENCE <= 2


def test_offline_by_choice_asks_nothing(stand_in, card):
    with pytest.raises(Problem, match="there is no network"):
        run(card, offline=True)
    assert stand_in.requests == []


def test_behind_a_proxy_the_proxy_is_asked(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert hub.find_proxy("https://huggingface.co") == "http://127.0.0.1:3128"
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert hub.find_proxy("http://127.0.0.1:80") is None


def test_from_the_click_to_the_answer(stand_in, card):
    """The pool fetches with progress and loads what came, and the checkpoint answers."""
    from PIL import Image

    pool = Pool(Catalog([card]), MACHINE, budget_bytes=10**9)
    assert not pool.plan(card).cached
    *steps, lease = pool.borrow("tiny")
    assert isinstance(lease, Lease) and any("Downloading Tiny" in step.message for step in steps)
    assert any(step.fraction is not None for step in steps)
    with lease as model:
        assert "".join(model.chat([Image.new("RGB", (40, 40))], "what?", max_new_tokens=3)) is not None
        assert model.count_image_tokens(Image.new("RGB", (40, 40))) == 16
    assert pool.plan(card).cached


def test_after_a_stop_the_next_try_does_not_meet_the_old_one(stand_in, card):
    behaviour = stand_in.behave(cut=8192, cuts=1, stall=True)
    pool = Pool(Catalog([card]), MACHINE, budget_bytes=10**9)
    first = pool.borrow("tiny")
    next(first)
    while "model.safetensors" not in stand_in.fetched():
        time.sleep(0.01)
    first.close()
    behaviour.release.set()
    *_, lease = pool.borrow("tiny")
    assert isinstance(lease, Lease)
