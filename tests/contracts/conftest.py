"""Runs “Show me the code” as a reader would."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from patchwork.tiny import FRESH, draw_scene


@pytest.fixture
def run_snippet(tmp_path, monkeypatch, capsys):
    """Writes and runs it in an empty folder; what it printed. Its picture is square: letterboxing changes nothing."""

    def run(demo, card, alone: bool = False) -> str:
        monkeypatch.chdir(tmp_path)
        if not Path("picture.png").exists():
            draw_scene(FRESH + 11, 256).save("picture.png")
        code = demo.snippet(card)
        assert code.count(card.repo) == 1
        Path("snippet.py").write_text(code.replace(card.repo, card.location))
        if alone:
            command = [sys.executable, "snippet.py"]
            return subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout.strip()
        capsys.readouterr()
        runpy.run_path("snippet.py", run_name="__main__")
        return capsys.readouterr().out.strip()

    return run
