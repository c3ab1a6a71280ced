"""Who may import whom (the layering that lets a page open without torch, and a family be read alone)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "transformers", "timm", "accelerate", "bitsandbytes"}
PLAIN = {
    "address",
    "boxes",
    "catalog",
    "errors",
    "examples",
    "images",
    "lessons",
    "plan",
    "tiles",
}  # never torch, never gradio
LATE = {"demo", "endpoint", "hardware", "live", "pool", "recording"}  # torch only inside functions
WEIGHTLESS = {"patchwork.demo", "patchwork.errors", "patchwork.images", "patchwork.boxes", "patchwork.tiles"}
ENGINE = WEIGHTLESS | {
    "patchwork.attention",
    "patchwork.trace",
    "patchwork.quantize",
    "patchwork.catalog",
    "patchwork.plan",
    "patchwork.tiny",
    "patchwork.families",
    "patchwork.endpoint",
}


def list_modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def find_imports(tree: ast.AST, package: str, at_top: bool = False) -> set[str]:
    """Dotted names that are imported, relative ones made whole; `at_top` leaves out what waits in functions."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node) or (at_top and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names |= {f"{base}.{alias.name}" for alias in node.names} | {base}
        names |= find_imports(node, package, at_top)
    return names


def read_imports(path: Path, at_top: bool = False) -> set[str]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return find_imports(ast.parse(path.read_text(encoding="utf-8")), package, at_top)


def find_roots(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


def is_under(name: str, packages: set[str]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


PATCHWORK = list_modules("patchwork")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PATCHWORK, ids=name_of)
def test_the_engine_knows_no_page_and_no_lesson(path):
    roots = find_roots(read_imports(path))
    assert not roots & {"app", "demos", "lessons", "tests", "bench"}
    if "ui" not in path.relative_to(ROOT / "patchwork").parts:
        assert "gradio" not in roots
        assert not any(is_under(name, {"patchwork.ui"}) for name in read_imports(path))


@pytest.mark.parametrize(
    "path", [p for p in PATCHWORK if p.parent.name == "patchwork" and p.stem in PLAIN], ids=name_of
)
def test_plain_modules_use_neither_torch_nor_gradio(path):
    assert not find_roots(read_imports(path)) & (HEAVY | {"gradio"})


LAZY = [p for p in PATCHWORK if p.parent.name == "ui" or (p.parent.name == "patchwork" and p.stem in LATE | PLAIN)]


@pytest.mark.parametrize("path", [ROOT / "app.py", *LAZY, *list_modules("demos")], ids=name_of)
def test_torch_waits_until_a_model_is_needed(path):
    assert not find_roots(read_imports(path, at_top=True)) & HEAVY


@pytest.mark.parametrize("path", list_modules("patchwork/families"), ids=name_of)
def test_families_import_only_the_engine(path):
    names = {name for name in read_imports(path) if name.split(".")[0] == "patchwork" and name != "patchwork"}
    assert not {name for name in names if not is_under(name, ENGINE)}


def test_demos_never_import_each_other():
    for path in list_modules("demos"):
        assert not find_roots(read_imports(path)) & {"app", "demos", "lessons", "tests"}, name_of(path)


def test_the_page_is_imported_without_torch():
    code = f"import sys, app; print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("code", "at_top", "expected"),
    [
        ("import torch.nn", True, {"torch.nn"}),
        ("def f():\n import torch", True, set()),
        ("def f():\n import torch", False, {"torch"}),
        ("class A:\n from torch import nn", True, {"torch", "torch.nn"}),
        ("try:\n import torch\nexcept ImportError: pass", True, {"torch"}),
        ("if TYPE_CHECKING:\n import torch", False, set()),
        ("from .ui import page", True, {"patchwork.ui", "patchwork.ui.page"}),
    ],
)
def test_the_reader_of_imports_itself(code, at_top, expected):
    assert find_imports(ast.parse(code), "patchwork", at_top) == expected
