"""The command line: JSON that can be read back, exit codes, mistakes as sentences."""

import json

import pytest

from patchwork import cli
from tests.hub_stand_in import serve
from tests.tiny_models import shared_folder

CARD = """
- id: small
  title: Small
  family: clip
  repo: someone/small
  licence: none
  parameters: 100000
  capabilities: [attention]
- id: gone
  title: Gone
  family: clip
  repo: someone/gone
  licence: none
  parameters: 100000
  capabilities: [attention]
"""


def run(capsys, *arguments: str) -> tuple[int | str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code, capsys.readouterr().out


def test_models_lists_every_card_with_its_fit(capsys):
    code, out = run(capsys, "models", "--json")
    rows = json.loads(out)
    assert code == 0 and {"tiny-clip", "tiny-llava", "smolvlm-256m-instruct"} <= {row["card_id"] for row in rows}
    assert all(row["memory_bytes"] > 0 and row["licence"] for row in rows)


def test_models_by_what_they_can_do(capsys):
    code, out = run(capsys, "models", "--can", "embed_text")
    ids = [line.split()[0] for line in out.splitlines()[1:]]
    assert code == 0 and "tiny-clip" in ids and "tiny-llava" not in ids and "dinov2-small" not in ids


def test_doctor_knows_this_machine(capsys):
    code, out = run(capsys, "doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["hardware"]["cores"] >= 1 and found["versions"]["torch"]


def test_doctor_says_what_to_do(capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(cli, "find_free_disk", lambda: 10**9)
    monkeypatch.setattr(cli, "read_versions", lambda: {"torch": None, "timm": "1"})
    code, out = run(capsys, "doctor")
    assert code == 1
    for words in ("pip install -r requirements.txt", "set HTTPS_PROXY", "set HF_HOME"):
        assert words in out


def test_prefetch_fetches_what_it_can_and_says_what_it_cannot(capsys, monkeypatch, tmp_path):
    from huggingface_hub import constants

    (tmp_path / "list.yaml").write_text(CARD)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with serve({"someone/small": shared_folder("clip")}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        code, out = run(capsys, "prefetch", "gone", "small", "--json", "--models", str(tmp_path / "list.yaml"))
        gone, small = json.loads(out)
        assert code == 1 and small["cached"] and not gone["cached"] and "removed" in gone["problem"]
        assert run(capsys, "prefetch", "small", "--models", str(tmp_path / "list.yaml")) == (0, "")


def test_prefetch_of_nothing_is_a_sentence(capsys):
    assert "Name checkpoints" in run(capsys, "prefetch")[0]


def test_a_missing_list_is_a_sentence(capsys, tmp_path):
    code, _ = run(capsys, "models", "--models", str(tmp_path / "none.yaml"))
    assert "Cannot read the list of checkpoints" in code


@pytest.mark.parametrize("line", [["modles"], [], ["models", "--can", "fly"], ["verify", "--device", "abacus"]])
def test_nonsense_is_a_wrong_command_line(capsys, line):
    assert run(capsys, *line)[0] == 2


@pytest.mark.parametrize("command", ["models", "prefetch", "verify", "doctor"])
def test_help_shows_examples_and_exit_codes(capsys, command):
    code, out = run(capsys, command, "--help")
    assert code == 0 and f"patchwork {command}" in out.split("Examples:")[1] and "Exit code 0" in out


def test_an_unknown_checkpoint_names_the_nearest(capsys):
    assert "did you mean 'tiny-clip'" in run(capsys, "verify", "tiny-clp")[0]
