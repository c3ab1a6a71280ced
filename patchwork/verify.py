"""Known-answer pictures through every demo that a checkpoint serves → a dated report and recordings.

For the first machine with a network. It is handed the demos, and knows neither their pages nor what they are.
"""

from __future__ import annotations

import datetime
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from PIL import Image, ImageDraw, ImageFont

from patchwork import __version__, recording
from patchwork.boxes import iou
from patchwork.demo import Data, Progress
from patchwork.errors import Problem
from patchwork.hardware import Hardware
from patchwork.live import run_live
from patchwork.plan import format_bytes
from patchwork.pool import Lease
from patchwork.versions import read_versions

if TYPE_CHECKING:
    from patchwork.catalog import Card, Catalog
    from patchwork.demo import Demo, Result
    from patchwork.pool import Pool
    from patchwork.tiny.catalogue import Page

SIDE = 448
CIRCLE, SQUARE = (40, 124, 190, 274), (258, 124, 408, 274)
"""Pixels of the red circle and of the blue square on the plain picture."""

WORDS = "PATCHWORK 42"
ENOUGH = 0.5  # overlap of a box with the true one, as intersection over union


class Row(Data):
    """One run. `right` is None where a run has no right answer, such as a map."""

    demo: str
    case: str
    expected: str
    answered: str = ""
    right: bool | None = None
    seconds: float = 0.0
    problem: str = ""


class Checked(Data):
    """One checkpoint. Bytes: what the plan said the process would grow by at its peak, and what it grew by."""

    card_id: str
    title: str
    repo: str
    device: str = ""
    precision: str = ""
    ready_seconds: float = 0.0
    planned_bytes: int = 0
    peak_bytes: int = 0
    problem: str = ""
    rows: tuple[Row, ...] = ()


class Report(Data):
    """What `patchwork verify` writes; the names and meanings of its fields are kept from version to version."""

    format: int = 1
    date: str
    patchwork: str
    hardware: Hardware
    versions: dict[str, str | None]
    checked: tuple[Checked, ...]

    def failures(self) -> list[str]:
        """What did not run; a wrong answer is an answer."""
        cards = [f"{one.title}: {one.problem}" for one in self.checked if one.problem]
        rows = [f"{one.title}, {row.demo}: {row.problem}" for one in self.checked for row in one.rows if row.problem]
        return cards + rows


@dataclass(frozen=True)
class Case:
    """Inputs of one demo whose answer is known. `judge` reads the result; `answer` puts it into words."""

    name: str
    demo: str
    fields: dict[str, Any]
    expected: str = ""
    answer: Callable[[Result], str] = lambda result: ""
    judge: Callable[[Result], bool | None] = lambda result: None


@dataclass
class Peak:
    """The most that this process grew while the block ran, sampled ten times a second."""

    start: int = 0
    most: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Peak:
        self.start = self.most = psutil.Process().memory_info().rss
        threading.Thread(target=self.sample, daemon=True).start()
        return self

    def sample(self) -> None:
        while not self.ended.wait(0.1):
            self.most = max(self.most, psutil.Process().memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self.most = max(self.most, psutil.Process().memory_info().rss)
        self.ended.set()

    @property
    def grown(self) -> int:
        return self.most - self.start


# ---- pictures whose answers are known


def draw_shapes() -> Image.Image:
    """A red circle on the left, a blue square on the right, on white."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(picture)
    pen.ellipse(CIRCLE, fill=(220, 30, 30))
    pen.rectangle(SQUARE, fill=(30, 60, 220))
    return picture


def draw_words() -> Image.Image:
    picture = Image.new("RGB", (SIDE, SIDE // 2), "white")
    ImageDraw.Draw(picture).text((30, 80), WORDS, fill="black", font=ImageFont.load_default(56))
    return picture


def says(*words: str) -> Callable[[Any], bool]:
    return lambda result: all(word in result.text.lower() for word in words)


def boxes_on(true: tuple[float, float, float, float]) -> Callable[[Any], bool]:
    return lambda result: any(iou((one.x1, one.y1, one.x2, one.y2), true) >= ENOUGH for one in result.boxes)


def ranks_first(caption: str) -> Callable[[Any], bool]:
    return lambda result: result.scores[0].caption == caption


def name_boxes(result: Any) -> str:
    return ", ".join(f"[{one.x1:.0f} {one.y1:.0f} {one.x2:.0f} {one.y2:.0f}]" for one in result.boxes) or "no box"


def is_a_map(result: Any) -> None:
    """A map has no right answer, but it has numbers. Raises `Problem` when it has not."""
    if not all(math.isfinite(value) for row in result.map.grid for value in row):
        raise Problem("The map holds values that are not numbers; choose another precision.")


def make_plain_cases() -> list[Case]:
    """For real checkpoints: plain shapes and plain words."""
    shapes, words = draw_shapes(), draw_words()
    true, false = "a red circle and a blue square", "a green triangle and a yellow star"
    return [
        case_of_words("colour", shapes, "What colour is the circle? Answer with one word.", "red"),
        case_of_words("shape", shapes, "Which shape is blue? Answer with one word.", "square"),
        case_of_words("words", words, "What is written in the picture?", "patchwork", "42"),
        case_of_captions(shapes, true, false, "a photograph of a dog"),
        Case("map", "attention", {"picture": shapes}, judge=is_a_map),
        case_of_box("circle", shapes, "red circle", CIRCLE),
        case_of_box("square", shapes, "blue square", SQUARE),
    ]


def make_drawn_cases() -> list[Case]:
    """For the bundled models: a scene of their own world, never trained on, asked in the words that they learnt."""
    from patchwork.tiny import FRESH, invent_scene
    from patchwork.tiny.catalogue import invent_page

    numbers = range(FRESH + 1, FRESH + 1000)
    scene = next(scene for scene in map(invent_scene, numbers) if len({one.kind for one in scene.things}) >= 2)
    picture, one = scene.draw(SIDE), scene.things[0]
    other = next(thing for thing in scene.things if thing.kind != one.kind)
    true, false = f"a {one.colour} {one.kind}", f"a {other.colour} {one.kind}"
    false = false if false != true else f"a {one.colour} zeppelin"
    box = tuple(SIDE * edge for edge in one.box)
    return [
        case_of_words("colour", picture, f"what colour is the {one.kind}?", one.colour),
        case_of_captions(picture, true, false),
        Case("map", "attention", {"picture": picture}, judge=is_a_map),
        case_of_box("thing", picture, f"{one.colour} {one.kind}", box),
        case_of_page(invent_page(FRESH + 1)),
    ]


def case_of_words(name: str, picture: Image.Image, question: str, *words: str) -> Case:
    fields = {"picture": picture, "question": question}
    return Case(name, "ask", fields, " ".join(words), lambda result: result.text, says(*words))


def case_of_captions(picture: Image.Image, true: str, *false: str) -> Case:
    fields = {"picture": picture, "captions": [*false, true]}
    return Case("captions", "similarity", fields, true, lambda result: result.scores[0].caption, ranks_first(true))


def case_of_box(name: str, picture: Image.Image, phrase: str, box: tuple) -> Case:
    words = "[{:.0f} {:.0f} {:.0f} {:.0f}]".format(*box)
    return Case(name, "ground", {"picture": picture, "phrase": phrase}, words, name_boxes, boxes_on(box))


def case_of_page(page: Page) -> Case:
    """What the first card of a price list prints in its first line."""
    entry, answer = page.entries[0], page.entries[0].lines[0].value
    fields = {"picture": page.draw(256), "question": f"what is the {entry.lines[0].field} of the {entry.thing.name}?"}
    return Case(
        "price list",
        "document",
        fields,
        answer,
        lambda result: result.reading.text,
        lambda result: result.reading.text.split() == [answer],
    )


def list_cases(card: Card, demos: Mapping[str, Demo]) -> list[tuple[Demo, Case]]:
    """Every case of a demo that this card can serve; a demo without one is run on its own defaults."""
    cases = make_drawn_cases() if card.bundled else make_plain_cases()
    cases = [*cases, Case("a few seconds", "train", {"seconds": 5})]  # not the two minutes that the page offers
    able = [demo for demo in demos.values() if frozenset(demo.NEEDS) <= card.capabilities]
    found = [(demo, case) for demo in able for case in cases if case.demo == demo.NAME]
    rest = [demo for demo in able if demo.NAME not in {case.demo for case in cases}]
    return found + [(demo, Case("as it opens", demo.NAME, fill(demo, cases[0]))) for demo in rest]


def fill(demo: Demo, case: Case) -> dict[str, Any]:
    """The picture and the question of another case, where the demo takes them."""
    return {name: value for name, value in case.fields.items() if name in demo.Inputs.model_fields}


# ---- running them


def choose_cards(catalog: Catalog, pool: Pool, ids: Iterable[str]) -> list[Card]:
    """The cards that are named; with no name the bundled ones, and the recommended ones that fit."""
    named = [catalog.get(card_id) for card_id in ids]
    return named or [card for card in catalog.cards if card.bundled or (card.recommended_for and pool.plan(card).fits)]


def verify(
    pool: Pool, demos: Mapping[str, Demo], cards: list[Card], folder: Path, tell: Callable[[str], None]
) -> Report:
    """Fetch, load and try each card; report.json and report.md go into a dated folder, recordings beside them."""
    now = datetime.datetime.now(datetime.UTC)
    out = folder / now.strftime("%Y-%m-%d-%H%M%S")
    checked = tuple(check_card(pool, demos, card, out / "recordings", tell) for card in cards)
    report = Report(
        date=now.isoformat(timespec="seconds"),
        patchwork=__version__,
        hardware=pool.hardware,
        versions=read_versions(),
        checked=checked,
    )
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out / "report.md").write_text(write_markdown(report), encoding="utf-8")
    tell(f"The report is in {out}.")
    return report


def check_card(pool: Pool, demos: Mapping[str, Demo], card: Card, folder: Path, tell: Callable[[str], None]) -> Checked:
    plan = pool.plan(card)
    facts = {"card_id": card.id, "title": card.title, "repo": card.repo, "device": plan.device}
    facts |= {"precision": plan.precision, "planned_bytes": plan.memory_bytes}
    start = time.monotonic()
    with Peak() as peak:
        try:
            make_ready(pool, card, tell)
        except Problem as problem:
            tell(f"{card.title}: {problem}")
            return Checked(**facts, problem=str(problem))
        ready = round(time.monotonic() - start, 1)
        rows = [run_case(pool, demo, case, card, folder, tell) for demo, case in list_cases(card, demos)]
    pool.drop(card.id)
    return Checked(**facts, ready_seconds=ready, peak_bytes=peak.grown, rows=tuple(rows))


def make_ready(pool: Pool, card: Card, tell: Callable[[str], None]) -> None:
    for step in pool.borrow(card.id):
        if isinstance(step, Progress):
            tell(step.message)
        elif isinstance(step, Lease):
            step.release()


def run_case(pool: Pool, demo: Demo, case: Case, card: Card, folder: Path, tell: Callable[[str], None]) -> Row:
    """One run, recorded; whatever goes wrong becomes the row's problem."""
    row = {"demo": demo.NAME, "case": case.name, "expected": case.expected}
    start = time.monotonic()
    try:
        inputs = demo.Inputs.model_validate(case.fields)
        path = folder / card.id / f"{demo.NAME}-{case.name.replace(' ', '-')}.json"
        *_, result = recording.record(demo, inputs, run_live(demo, inputs, pool, card.id), path, card.id)
        seconds = round(time.monotonic() - start, 2)
        row |= {"seconds": seconds, "answered": case.answer(result)[:200], "right": case.judge(result)}
    except Problem as problem:
        row |= {"problem": str(problem)}
    except (ValueError, AttributeError) as error:  # the demo takes or gives other fields than the case knows
        row |= {"problem": f"This case does not suit the demo {demo.NAME} ({type(error).__name__}); tell its authors."}
    found = Row(**row)
    tell(f"{card.title}, {demo.NAME}, {case.name}: {found.problem or describe(found)}")
    return found


def describe(row: Row) -> str:
    verdict = {True: "right", False: "wrong", None: "ran"}[row.right]
    return f"{verdict}, {row.seconds:.1f} s" + (f": {row.answered}" if row.answered else "")


def write_markdown(report: Report) -> str:
    """The report as people read it."""
    machine = report.hardware
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items() if version)
    lines = [
        f"# What answered on {report.date[:10]}",
        "",
        f"{machine.name} ({machine.device}), {machine.cores} cores, {format_bytes(machine.total_bytes)} of memory; "
        f"Patchwork {report.patchwork}, {versions}.",
        "",
        "| checkpoint | precision | ready in | memory planned / measured | right | wrong | ran | failed |",
        "|---|---|---|---|---|---|---|---|",
        *(summarise(one) for one in report.checked),
    ]
    for one in report.checked:
        lines += ["", f"## {one.title}", "", *list_rows(one)]
    return "\n".join(lines) + "\n"


def summarise(one: Checked) -> str:
    counts = [sum(row.right is value and not row.problem for row in one.rows) for value in (True, False, None)]
    failed = sum(bool(row.problem) for row in one.rows) + bool(one.problem)
    memory = f"{format_bytes(one.planned_bytes)} / {format_bytes(one.peak_bytes)}"
    return (
        f"| {one.title} | {one.precision} on {one.device} | {one.ready_seconds:.1f} s | {memory} | "
        + " | ".join(map(str, [*counts, failed]))
        + " |"
    )


def list_rows(one: Checked) -> list[str]:
    if one.problem:
        return [one.problem]
    cell = str.maketrans({"|": "/", "\n": " "})
    head = ["| demo | case | expected | answered | verdict | seconds |", "|---|---|---|---|---|---|"]
    return head + [
        f"| {row.demo} | {row.case} | {row.expected.translate(cell)} | "
        f"{(row.problem or row.answered).translate(cell)} | "
        f"{'failed' if row.problem else describe(row).split(',')[0]} | {row.seconds:.1f} |"
        for row in one.rows
    ]
