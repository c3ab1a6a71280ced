"""The README stays true: its tree names what is there, its commands exist, its picture is shipped."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def tree_lines() -> list[str]:
    """Lines of the code block under "Where things are"."""
    section = README.split("## Where things are", 1)[1]
    return re.search(r"```\n(.*?)```", section, re.S).group(1).splitlines()


def tree_paths() -> set[str]:
    """Paths in the tree: two spaces of indent are one folder level; a line may name several files of one folder."""
    folders: list[str] = []
    paths = set()
    for line in tree_lines():
        indent, names = re.match(r"( *)(\S+(?: · \S+)*)", line).groups()
        folders = folders[: len(indent) // 2]
        for name in names.split(" · "):
            paths.add("".join(folders) + name.rstrip("/"))
        if names.endswith("/"):
            folders.append(names)
    return paths


def test_every_path_in_the_tree_exists():
    missing = [path for path in tree_paths() if not list(ROOT.glob(path))]
    assert tree_paths() and not missing


def test_every_module_of_the_engine_and_every_demo_is_in_the_tree():
    shipped = {
        str(path.relative_to(ROOT))
        for folder in ("demos", "patchwork", "patchwork/families", "patchwork/ui", "patchwork/tiny")
        for path in (ROOT / folder).glob("*.py")
        if path.name != "__init__.py"
    }
    named = {str(found.relative_to(ROOT)) for path in tree_paths() for found in ROOT.glob(path)}
    assert shipped <= named, f"not in the README's tree: {sorted(shipped - named)}"


def test_pictures_of_the_readme_are_shipped():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures and all((ROOT / picture).stat().st_size > 10_000 for picture in pictures)


def test_front_matter_names_the_installed_gradio_and_a_real_file():
    front = yaml.safe_load(README.split("---")[1])
    assert (ROOT / front["app_file"]).is_file()
    assert front["sdk"] == "gradio" and front["sdk_version"].startswith("6.")
    assert len(front["short_description"]) <= 60  # longer ones are refused by Spaces


@pytest.mark.parametrize(
    "command", [["app.py", "--help"], ["-m", "patchwork.cli", "models"], ["-m", "patchwork.cli", "doctor"]]
)
def test_commands_of_the_readme_run(command):
    assert " ".join(command).replace("-m patchwork.cli", "patchwork") in README
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 100


def test_make_test_is_the_one_test_command():
    assert "make test" in README
    assert re.search(r"^make test$", (ROOT / ".ci/run").read_text(), re.M)
    assert re.search(r"^test:", (ROOT / "Makefile").read_text(), re.M)
