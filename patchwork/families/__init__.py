"""One file per model family; the file's name is the family's name in models.yaml."""

from __future__ import annotations

import importlib
from types import ModuleType

from patchwork.catalog import list_families, suggest
from patchwork.errors import Problem


def get_family(name: str) -> ModuleType:
    """The family's module, with `CAPABILITIES` and `load(card, plan, report)`. Raises `Problem` for an unknown one."""
    if name not in list_families():
        raise Problem(f"There is no model family named {name!r}{suggest(name, list_families())}.")
    return importlib.import_module(f"patchwork.families.{name}")
