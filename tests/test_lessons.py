"""A teacher's mistakes are found when the lesson is read, and named with file, line and the nearest valid word."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from patchwork.errors import Problem
from patchwork.lessons import load_chapter, load_chapters

FRONT = """---
id: sample
title: A sample
goal: You will know what a sample is.
minutes: 3
sources:
  - {key: ann, year: 2020, text: "Ann, On samples", url: "https://example.org/ann"}
---
"""
PROSE = "A fact [@ann].\n"
QUIZ = """- id: first
  question: Which?
  options:
    - text: This
      correct: true
      why: It is this one.
    - text: That
      why: It is not that one.
"""
SIMULATION = {"simulation.html": "<p></p>", "simulation.css": "", "simulation.js": ""}


@pytest.fixture
def write(tmp_path):
    """Files of one chapter → its folder; `lesson` is the prose below the front matter, unless it brings its own."""

    def write_files(lesson: str = PROSE, **files: str) -> Path:
        folder = tmp_path / "lessons" / "ch01_sample"
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
        (folder / "lesson.md").write_text(lesson if lesson.startswith("---") else FRONT + lesson, encoding="utf-8")
        return folder

    return write_files


def read_problem(folder: Path) -> str:
    with pytest.raises(Problem) as caught:
        load_chapter(folder)
    return str(caught.value)


def test_a_lesson_becomes_blocks_with_their_lines(write):
    prose = "First [@ann].\n\n{{ simulation }}\n\n$$\na^2\n$$\nLast.\n{{demo: similarity}}\n{{quiz}}\n"
    chapter = load_chapter(write(prose, quiz__yaml=QUIZ, **{k.replace(".", "__"): v for k, v in SIMULATION.items()}))
    assert [(block.kind, block.text.strip(), block.line) for block in chapter.blocks] == [
        ("prose", "First [@ann].", 9),
        ("simulation", "", 11),
        ("formula", "a^2", 13),
        ("prose", "Last.", 16),
        ("demo", "similarity", 17),
        ("quiz", "", 18),
    ]
    assert (chapter.id, chapter.number, chapter.minutes) == ("sample", 1, 3)
    assert chapter.quiz[0].options[0].correct and not chapter.quiz[0].options[1].correct
    with pytest.raises(ValidationError):
        chapter.title = "another"


@pytest.mark.parametrize(
    ("lesson", "words"),
    [
        (FRONT.replace("goal:", "gaol:") + PROSE, "lesson.md:4: unknown key 'gaol' (did you mean 'goal'?)"),
        (FRONT.replace("minutes: 3", "minutes: 99") + PROSE, "lesson.md:5: minutes:"),
        (FRONT.replace("year: 2020", "yaer: 2020") + PROSE, "lesson.md:7: unknown key 'sources.0.yaer' (did you mean"),
        (FRONT.replace("https://", "http://") + PROSE, "lesson.md:7: sources.0.url:"),
        (FRONT.replace("title: A sample", "title: A: sample") + PROSE, "lesson.md:3: not valid YAML"),
        ("A fact [@anna].\n", "lesson.md:9: there is no source 'anna' (did you mean 'ann'?)"),
        ("A fact [@ann; @bob].\n", "lesson.md:9: there is no source 'bob'"),
        ("No fact.\n", "lesson.md:1: the source 'ann' is never mentioned"),
        (PROSE + "\n{{simulatoin}}\n", "lesson.md:11: unknown directive 'simulatoin' (did you mean 'simulation'?)"),
        (PROSE + "{{demo}}\n", "lesson.md:10: demo needs a name"),
        (PROSE + "{{quiz: hard}}\n", "lesson.md:10: quiz takes no name"),
        (PROSE + "{{quiz\n", "lesson.md:10: unknown directive '{{quiz'"),
        (PROSE + "{{simulation}}\n", "lesson.md:10: there is no simulation in this folder"),
        (PROSE + "\n$$\nx\n", "lesson.md:11: the formula that starts here has no closing"),
        (PROSE + "{{figure: eye.svg}}\n", "lesson.md:10: a figure says in words what it shows"),
        (PROSE + "{{figure: lessen.md | an eye}}\n", "no file 'lessen.md' in this chapter (did you mean 'lesson.md'?)"),
    ],
)
def test_a_mistake_in_the_lesson_is_named(write, lesson, words):
    assert words in read_problem(write(lesson))


def test_a_lesson_without_its_head_is_refused(write):
    folder = write()
    (folder / "lesson.md").write_text(PROSE)
    assert read_problem(folder).startswith("lessons/ch01_sample/lesson.md:1: a lesson starts with")


@pytest.mark.parametrize(
    ("quiz", "words"),
    [
        (QUIZ.replace("correct: true", "corect: true"), "quiz.yaml:5: unknown key 'options.0.corect' (did you mean"),
        (QUIZ.replace("      correct: true\n", ""), "quiz.yaml:1: exactly one option is 'correct: true'; here 0 are"),
        (QUIZ.replace("why: It is not", "correct: true\n      why: It is not"), "here 2 are"),
        (QUIZ.replace("text: That", "text: This"), "two options are the same"),
        (QUIZ.replace("why: It is this one.", "why: Yes."), "quiz.yaml:6: options.0.why:"),
        (QUIZ.replace("Which?", "Which {nubmer}?"), "{nubmer} is not in 'generated'"),
        (
            QUIZ.replace("  question: Which?", "  generated: [number]\n  question: Which {nubmer}?"),
            "did you mean 'number'?",
        ),
        (QUIZ + QUIZ, "quiz.yaml:9: the id 'first' is used twice"),
        ("id: first\n", "quiz.yaml:1: a quiz is a list of questions"),
        ("- first\n", "quiz.yaml:1: expected 'key: value' lines"),
    ],
)
def test_a_mistake_in_the_quiz_is_named(write, quiz, words):
    assert words in read_problem(write(PROSE + "{{quiz}}\n", quiz__yaml=quiz))


@pytest.mark.parametrize("missing", SIMULATION)
def test_a_simulation_is_complete_or_absent(write, missing):
    files = {name.replace(".", "__"): text for name, text in SIMULATION.items() if name != missing}
    assert f"lessons/ch01_sample/{missing}:1: a simulation needs" in read_problem(write(PROSE, **files))


def test_what_lies_in_the_folder_is_shown(write):
    assert "the quiz of this folder is not shown" in read_problem(write(PROSE, quiz__yaml=QUIZ))


def test_a_simulation_stands_once(write):
    files = {name.replace(".", "__"): text for name, text in SIMULATION.items()}
    assert "lesson.md:11: {{simulation}} stands twice" in read_problem(
        write(PROSE + "{{simulation}}\n{{simulation}}\n", **files)
    )


TABLE = "| Model | Width | Source |\n|---|---|---|\n| {name} | {width} | {source} |\n\n" + PROSE


@pytest.mark.parametrize(
    ("row", "ok"),
    [
        ({"name": "A", "width": "1024", "source": "the paper"}, False),
        ({"name": "A", "width": "1024", "source": "[@ann]"}, True),
        ({"name": "A", "width": "1024 [@ann]", "source": "as said"}, True),
        ({"name": "ViT-B/16", "width": "unknown", "source": "none"}, True),  # the first cell is a name
    ],
)
def test_a_number_in_a_table_has_a_source(write, row, ok):
    folder = write(TABLE.format(**row))
    if ok:
        load_chapter(folder)
    else:
        assert "lesson.md:11: the number in '1024' has no source; add [@key]" in read_problem(folder)


def test_every_table_of_a_lesson_is_checked(write):
    rows = "| Model | Width |\n|---|---|\n| A | 1 [@ann] |\n\nBetween.\n\n| Model | Depth |\n|---|---|\n| B | 24 |\n"
    assert "lesson.md:17: the number in '24'" in read_problem(write(rows))


def test_sources_are_numbered_in_the_order_of_first_mention(write):
    second = '  - {key: bob, year: 2021, text: "Bob, More samples", url: "https://example.org/bob"}\n---\n'
    head, _, _ = FRONT.rpartition("---\n")
    chapter = load_chapter(write(head + second + "One [@bob]. Two [@ann; @bob].\n"))
    assert [chapter.cite("bob"), chapter.cite("ann")] == [1, 2]
    twice = read_problem(write(head + second.replace("bob", "ann") + PROSE))
    assert "the source 'ann' is given twice" in twice


def test_chapters_are_found_by_id_and_ids_are_unique(write, tmp_path):
    folder = write()
    assert list(load_chapters(tmp_path / "lessons")) == ["sample"]
    other = folder.with_name("ch02_sample")
    other.mkdir()
    (other / "lesson.md").write_text(FRONT + PROSE)
    with pytest.raises(Problem, match=r"ch02_sample/lesson.md:2: the id 'sample' is used by another chapter"):
        load_chapters(tmp_path / "lessons")


def test_a_file_that_cannot_be_read_is_named(write):
    folder = write()
    (folder / "lesson.md").write_bytes(b"\xff\xfe")
    assert "Cannot read lessons/ch01_sample/lesson.md" in read_problem(folder)
