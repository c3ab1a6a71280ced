"""The command line: JSON that can be read back, exit codes, mistakes as sentences."""

import json

import pytest

from patchwork import cli


def run(capsys, *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    return ended.value.code, capsys.readouterr().out


def test_models_lists_every_card_with_its_fit(capsys):
    code, out = run(capsys, "models", "--json")
    rows = json.loads(out)
    assert code == 0 and {"tiny-clip", "tiny-llava", "smolvlm-256m-instruct"} <= {row["card_id"] for row in rows}
    assert all(row["memory_bytes"] > 0 for row in rows)


def test_doctor_knows_this_machine(capsys):
    code, out = run(capsys, "doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["hardware"]["cores"] >= 1 and found["versions"]["torch"]


def test_a_missing_list_is_a_sentence(capsys, tmp_path):
    code, _ = run(capsys, "models", "--models", str(tmp_path / "none.yaml"))
    assert "Cannot read the list of checkpoints" in code


def test_an_unknown_command_is_a_wrong_command_line(capsys):
    assert run(capsys, "modles")[0] == 2
