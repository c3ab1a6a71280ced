"""The plan's memory figures against what was measured: fitted without a model, they predict it within a fifth."""

from __future__ import annotations

import json

import pytest

from bench.memory import DOCUMENT, MARKS, RECORD, fit, leave_one_out, total, write_table
from patchwork.plan import FITTED

RECORDED = json.loads(RECORD.read_text(encoding="utf-8"))
ROWS = [row for row in RECORDED["rows"] if row["copy"]]


def name(row: dict) -> str:
    return f"{row['name']}-{row['stored']}-{row['precision']}"


def test_eight_models_from_twenty_million_to_two_billion_parameters():
    sizes = {row["name"]: row["parameters"] for row in ROWS}
    assert len(sizes) >= 8 and min(sizes.values()) < 30e6 and max(sizes.values()) > 1.6e9


LEFT_OUT = [pytest.param(row, memory, id=name(row)) for row, memory in leave_one_out(ROWS)]


@pytest.mark.parametrize(("row", "memory"), LEFT_OUT)
def test_a_model_that_was_left_out_is_predicted_within_a_fifth(row, memory):
    assert memory.total == pytest.approx(total(row), rel=0.2)


def test_the_constants_are_those_of_the_record():
    found = fit(ROWS)
    for field in ("start", "work", "libraries", "touched"):
        assert getattr(FITTED, field) == pytest.approx(getattr(found, field), rel=0.02, abs=1e-3), field
    assert FITTED.copied == pytest.approx(found.copied, rel=0.02)
    assert FITTED.unpacked == pytest.approx(found.unpacked, rel=0.02)


def test_the_document_shows_the_record():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text.split(MARKS[0])[1].split(MARKS[1])[0].strip() == write_table(RECORDED).strip()
