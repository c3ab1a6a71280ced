"""Verifying against the stand-in hub: every able demo runs, the report reads back, failures are rows, runs replay."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from PIL import Image

from demos import ask, attention, similarity
from patchwork import cli, download, recording
from patchwork.catalog import Card, Catalog, load_catalog
from patchwork.pool import Pool
from patchwork.verify import CIRCLE, SQUARE, Report, choose_cards, draw_shapes, list_cases, make_drawn_cases, verify
from tests.fakes import MACHINE, make_card
from tests.hub_stand_in import serve
from tests.tiny_models import shared_folder

DEMOS = {demo.NAME: demo for demo in (ask, attention, similarity)}


@pytest.fixture(scope="module")
def stand_in():
    with serve({"someone/llava": shared_folder("llava"), "someone/clip": shared_folder("clip")}) as hub:
        yield hub


@pytest.fixture
def catalog(stand_in, tmp_path, monkeypatch) -> Catalog:
    from huggingface_hub import constants

    stand_in.behave()
    monkeypatch.setenv("HF_ENDPOINT", stand_in.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(download, "PAUSE", 0.01)
    facts = {"licence": "none", "parameters": 100_000}
    return Catalog(
        [
            Card(id="llava", title="L", family="llava", repo="someone/llava", capabilities=["chat"], **facts),
            Card(
                id="clip",
                title="C",
                family="clip",
                repo="someone/clip",
                capabilities=["embed_image", "embed_text", "attention"],
                **facts,
            ),
            Card(id="gone", title="G", family="clip", repo="someone/gone", capabilities=["attention"], **facts),
        ]
    )


def test_the_plain_picture_holds_what_is_asked():
    picture = draw_shapes()
    for box, colour in ((CIRCLE, (220, 30, 30)), (SQUARE, (30, 60, 220))):
        assert picture.getpixel(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)) == colour
        assert picture.getpixel((box[0] - 2, box[1] - 2)) == (255, 255, 255)


def test_the_drawn_answers_are_true_of_the_scene():
    cases = {case.demo: case for case in make_drawn_cases()}
    colour = cases["ask"].expected
    assert f"{colour} " in cases["similarity"].expected and colour in cases["ground"].fields["phrase"]
    assert cases["similarity"].fields["captions"][0] != cases["similarity"].expected
    said = lambda text: SimpleNamespace(reading=SimpleNamespace(text=text))  # noqa: E731
    page = cases["document"]
    assert page.judge(said(f" {page.expected} ")) and not page.judge(said(f"{page.expected} 7"))


def test_checkpoints_are_fetched_run_and_reported(catalog, tmp_path):
    told: list[str] = []
    pool = Pool(catalog, MACHINE, budget_bytes=10**9)
    report = verify(pool, DEMOS, list(catalog.cards), tmp_path / "out", told.append)
    llava, clip, gone = report.checked
    assert [(row.demo, row.problem) for row in llava.rows] == [("ask", "")] * 3
    assert {row.demo for row in clip.rows} == {"attention", "similarity"}
    assert all(row.right in (True, False) for row in llava.rows) and llava.peak_bytes >= 0
    assert [row.right for row in clip.rows if row.demo == "attention"] == [None]
    assert "removed, renamed or private" in gone.problem and gone.rows == ()
    assert len(report.failures()) == 1 and pool.loaded() == []
    folder = next((tmp_path / "out").iterdir())
    assert Report.model_validate_json((folder / "report.json").read_text()) == report
    words = (folder / "report.md").read_text()
    assert "| L |" in words and "a red circle and a blue square" in words and gone.problem in words
    played = recording.load(folder / "recordings" / "llava" / "ask-colour.json", ask)
    assert played.moments[-1].event.answered_by.model_id == "llava"


def test_answers_are_judged():
    card = make_card("one", repo="owner/one", capabilities=["chat"])
    said = SimpleNamespace(text="A Red, er, square")
    results = {case.name: case.judge(said) for _, case in list_cases(card, DEMOS)}
    assert results == {"colour": True, "shape": True, "words": False}


def test_a_demo_without_a_case_runs_as_it_opens():
    class Other:
        NAME, NEEDS, Inputs = "other", frozenset({"attention"}), attention.Inputs

    card = make_card("one", repo="owner/one", capabilities=["attention"])
    (demo, case), *rest = [pair for pair in list_cases(card, {"other": Other}) if pair[0] is Other]
    assert rest == [] and case.name == "as it opens" and isinstance(case.fields["picture"], Image.Image)
    assert demo.Inputs.model_validate(case.fields)


def test_the_command_writes_a_report_and_says_what_failed(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(cli, "find_demos", lambda: {"similarity": similarity})
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", "tiny-clip", "clip-vit-base-patch32", "--offline", "--json", "--out", str(tmp_path)])
    report = Report.model_validate(json.loads(capsys.readouterr().out))
    assert ended.value.code == 1, "a checkpoint that is not here offline is a failure"
    assert report.checked[0].rows[0].problem == "" and "there is no network" in report.checked[1].problem
    assert report.checked[0].rows[0].expected.startswith("a ")


def test_nothing_named_means_the_bundled_and_the_recommended():
    pool = Pool(load_catalog(), MACHINE)
    chosen = choose_cards(pool.catalog, pool, [])
    assert {card.id for card in pool.catalog.cards if card.bundled} <= {card.id for card in chosen}
    assert all(card.bundled or card.recommended_for for card in chosen)
