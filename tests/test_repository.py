"""What must hold for every file that is shipped."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
FILES = [ROOT / name for name in TRACKED.split("\0") if name and (ROOT / name).is_file()]
LARGE_ALLOWED = ("demos/recordings/", "patchwork/tiny/weights/", "patchwork/fusion_weights/", "docs/")
# Written in pieces so that this file does not hold what it looks for.
MACHINE_PATHS = re.compile(
    "|".join([r"(?<![\w.])/" + r"work/\w", r"(?<![\w.])/" + r"root/\w", r"/" + r"home/\w+/", r"/" + r"Users/\w+/"])
)
REMOTE_CODE = re.compile("trust_remote" + r"_code\s*[=:]\s*[\"']?True")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read_text(path: Path) -> str:
    """Text of a file; a binary file has none."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def find_lines(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name_of(path)}:{number}"
        for path in FILES
        for number, line in enumerate(read_text(path).splitlines(), start=1)
        if pattern.search(line)
    ]


def test_requirements_are_those_of_the_package():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert sorted(line for line in lines if line and not line.startswith("#")) == sorted(wanted)


def test_no_file_is_large():
    assert not [
        name_of(path) for path in FILES if path.stat().st_size > 250_000 and not name_of(path).startswith(LARGE_ALLOWED)
    ]


def test_every_yaml_parses():
    for path in FILES:
        if path.suffix in (".yaml", ".yml"):
            assert yaml.safe_load(path.read_text(encoding="utf-8")) is not None, name_of(path)


def test_no_path_of_one_machine():
    assert find_lines(MACHINE_PATHS) == []


def test_no_remote_code_is_trusted():
    assert find_lines(REMOTE_CODE) == []


@pytest.mark.parametrize(
    ("pattern", "found", "not_found"),
    [
        (
            MACHINE_PATHS,
            ["cd /" + "work/main", "'/" + "home/ann/x'", "/" + "Users/ann/x"],
            ["https://a.org/work/x", "a/work/x"],
        ),
        (
            REMOTE_CODE,
            ["trust_remote" + "_code=True", "trust_remote" + "_code: true".replace("true", "True")],
            ["trust_remote" + "_code=False"],
        ),
    ],
)
def test_the_patterns_themselves(pattern, found, not_found):
    assert all(pattern.search(text) for text in found)
    assert not any(pattern.search(text) for text in not_found)
