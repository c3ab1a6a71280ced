"""Starting the page: what the command line and the environment may say, what the start may not do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest

import app
from app import Options, build_app, parse_options
from patchwork.errors import Problem

ROOT = Path(app.__file__).parent
ENDPOINTS = {
    "arena",
    "ask",
    "attention",
    "bridge",
    "document",
    "fusion",
    "ground",
    "honesty",
    "instructions",
    "kinds",
    "look",
    "measure",
    "several",
    "similarity",
    "trace",
    "train",
}


@pytest.fixture(scope="module")
def blocks():
    blocks = build_app(Options(offline=True, device="cpu"))
    yield blocks
    blocks.close(verbose=False)


def test_defaults_leave_the_choice_to_the_machine():
    assert parse_options([], {}) == Options()


def test_command_line():
    line = "--host 0.0.0.0 --port 7999 --offline --device cpu --budget 6.5 --warm tiny,clip --present"
    assert parse_options(line.split(), {}) == Options(
        host="0.0.0.0", port=7999, offline=True, device="cpu", budget=6.5, warm=("tiny", "clip"), present=True
    )


def test_environment_speaks_where_the_command_line_is_silent():
    environment = {"PATCHWORK_PORT": "7001", "PATCHWORK_OFFLINE": "1", "PATCHWORK_WARM": "a, b", "PATCHWORK_SHARE": "0"}
    assert parse_options(["--port", "7002"], environment) == Options(port=7002, offline=True, warm=("a", "b"))


NEAR, FAR = "near=http://127.0.0.1:1/v1#m", "far=https://a.example/v1#m,key=MY_KEY"


def test_servers_come_from_the_command_line_or_the_environment():
    assert parse_options(["--endpoint", NEAR, "--endpoint", FAR], {}).endpoints == (NEAR, FAR)
    environment = {"PATCHWORK_ENDPOINTS": f"{NEAR}\n {FAR}"}
    assert parse_options([], environment).endpoints == (NEAR, FAR)
    assert parse_options(["--endpoint", FAR], environment).endpoints == (FAR,)


def test_servers_stand_last_in_the_list_and_offline_only_those_of_this_machine():
    catalog = app.build_pool(Options(device="cpu", endpoints=(NEAR, FAR))).catalog
    assert [card.id for card in catalog.cards[-2:]] == ["near", "far"]
    assert app.build_pool(Options(device="cpu", offline=True, endpoints=(NEAR,))).catalog.get("near").here
    with pytest.raises(Problem, match=r"far answers from a\.example, and the page is offline"):
        app.build_pool(Options(device="cpu", offline=True, endpoints=(NEAR, FAR)))
    with pytest.raises(Problem, match="have the same name"):
        app.build_pool(Options(device="cpu", endpoints=(NEAR, NEAR)))


def test_how_long_a_room_waits_and_for_which_recordings():
    options = parse_options(["--replay", "mine"], {"PATCHWORK_PATIENCE": "2.5"})
    assert (options.replay, options.patience, Options().patience) == (Path("mine"), 2.5, 8.0)


def test_the_operators_recordings_come_before_the_shipped_ones(tmp_path):
    demos = app.load_demos()
    shipped = app.load_stand_ins(None, demos)
    assert set(shipped) == {"ask", "attention"}
    text = (app.hero.RECORDINGS / "ask.json").read_text(encoding="utf-8")
    (tmp_path / "ask.json").write_text(text.replace('"recorded": "20', '"recorded": "19', 1), encoding="utf-8")
    found = app.load_stand_ins(tmp_path, demos)
    assert found["ask"].day.endswith("19" + shipped["ask"].day[-2:]) and set(found) == set(shipped)


def test_a_folder_without_recordings_is_refused_at_the_start(tmp_path):
    with pytest.raises(Problem, match="holds no recording"):
        app.load_stand_ins(tmp_path, app.load_demos())


@pytest.mark.parametrize(
    "line",
    [
        "--port many",
        "--device abacus",
        "--budget much",
        "--unheard-of",
        "--patience -1",
        "--patience nan",
        "--patience soon",
    ],
)
def test_nonsense_is_refused(line):
    with pytest.raises(SystemExit):
        parse_options(line.split(), {})


@pytest.mark.parametrize(
    ("line", "environment", "allowed"),
    [
        ([], {}, True),
        ([], {"SPACE_ID": "me/space"}, False),
        (["--training", "on"], {"SPACE_ID": "me/space"}, True),
        (["--training", "off"], {}, False),
    ],
)
def test_training_is_off_on_a_shared_space_unless_its_owner_allows_it(line, environment, allowed):
    assert app.may_train(parse_options(line, {}), environment) is allowed
    if line:
        assert app.may_train(parse_options([], {"PATCHWORK_TRAINING": line[1]}), environment) is allowed


def test_training_that_is_off_leaves_a_sentence_and_no_endpoint():
    blocks = build_app(Options(offline=True, device="cpu", training="off"))
    assert "/train" not in blocks.get_api_info()["named_endpoints"]
    assert any("--training on" in str(getattr(block, "value", "")) for block in blocks.blocks.values())
    blocks.close(verbose=False)


def test_training_waits_in_a_queue_of_its_own(blocks):
    groups = {function.api_name: function.concurrency_id for function in blocks.fns.values()}
    assert groups["train"] == "train" and groups["ask"] == groups["trace"] == "device"


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr(app, "detect", app.detect_cpu)
    assert app.choose_hardware("cpu").device == "cpu"
    with pytest.raises(Problem, match="No mps device"):
        app.choose_hardware("mps")


def test_the_page_opens_without_torch_and_without_analytics():
    code = (
        "import os, sys, app; app.build_app(app.Options(offline=True, device='cpu')).close(verbose=False); "
        "print(sorted({'torch', 'transformers'} & set(sys.modules)), os.environ['GRADIO_ANALYTICS_ENABLED'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[] False", done.stderr


def test_only_the_live_demos_are_endpoints(blocks):
    assert set(blocks.get_api_info()["named_endpoints"]) == {f"/{name}" for name in ENDPOINTS}
    assert blocks.get_api_info()["unnamed_endpoints"] == {}


def test_the_page_serves_no_file_of_the_machine(blocks):
    from fastapi.testclient import TestClient

    fastapi, _, _ = app.launch_app(blocks, Options(), server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    client = TestClient(fastapi)
    assert client.get("/config").status_code == 200
    for path in [ROOT / "app.py", ROOT / "patchwork/ui/theme.py", "/etc/passwd"]:
        assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)


def test_a_machine_too_busy_to_draw_its_first_page_still_serves_it(monkeypatch):
    """Gradio would stop with a sentence about proxies when the first page took longer than three seconds."""
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)
    with gr.Blocks() as small:
        gr.HTML("here")
    _, address, _ = app.launch_app(small, Options(), server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    small.close(verbose=False)
    assert address.startswith("http://127.0.0.1")
