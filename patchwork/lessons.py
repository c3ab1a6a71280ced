"""lessons/chNN_name/ → frozen chapters. Knows no page: it neither imports Gradio nor draws anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from patchwork.catalog import find_line, suggest
from patchwork.errors import Problem

FOLDER = Path(__file__).resolve().parents[1] / "lessons"
DIRECTIVES = ("simulation", "demo", "quiz", "figure")
CITATION = re.compile(r"\[@([\w-]+(?:\s*;\s*@[\w-]+)*)\]")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
_FRONT = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_DIRECTIVE = re.compile(r"\{\{\s*([^:}]*?)\s*(?::\s*(.*?)\s*)?\}\}")


class Part(BaseModel):
    """Plain data read from a lesson's files: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Part):
    """Where a fact comes from; `[@key]` in the text refers to it."""

    key: str = Field(pattern=r"^[\w-]+$")
    text: str
    url: str = Field(pattern=r"^https://")
    year: int = Field(ge=1900, le=2100)


class Front(Part):
    """The head of lesson.md. `notes` are for the presenter; `minutes` is the reading time."""

    id: str = Field(pattern=r"^[a-z]+$")
    title: str
    goal: str
    minutes: int = Field(gt=0, le=60)
    notes: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()


class Option(Part):
    text: str
    why: str = Field(min_length=10)
    correct: bool = False


class Question(Part):
    """Exactly one option is correct. With `generated`, {names} stand for numbers that the simulation computes."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    question: str
    options: tuple[Option, ...] = Field(min_length=2)
    generated: tuple[str, ...] = ()

    @model_validator(mode="after")
    def has_one_answer(self) -> Question:
        right = sum(option.correct for option in self.options)
        if right != 1:
            raise ValueError(f"exactly one option is 'correct: true'; here {right} are")
        if len({option.text for option in self.options}) < len(self.options):
            raise ValueError("two options are the same")
        return self

    @model_validator(mode="after")
    def uses_known_names(self) -> Question:
        for text in self.texts():
            for name in PLACEHOLDER.findall(text):
                if name not in self.generated:
                    raise ValueError(f"{{{name}}} is not in 'generated'{suggest(name, self.generated)}")
        return self

    def texts(self) -> Iterator[str]:
        yield self.question
        for option in self.options:
            yield from (option.text, option.why)


class Block(Part):
    """A piece of the page. `text`: Markdown, TeX, a demo's name or a file's name; `line` is its place in lesson.md."""

    kind: Literal["prose", "formula", "simulation", "demo", "quiz", "figure"]
    text: str = ""
    alt: str = ""
    line: int


class Simulation(Part):
    html: str
    css: str
    js: str


class Chapter(Front):
    number: int
    folder: Path
    blocks: tuple[Block, ...]
    quiz: tuple[Question, ...] = ()
    simulation: Simulation | None = None

    def cite(self, key: str) -> int:
        """The number under which a source stands in this chapter's list: 1, 2, … in order of first mention."""
        return self.cited().index(key) + 1

    def cited(self) -> list[str]:
        found = (key for block in self.blocks if block.kind == "prose" for key in find_citations(block.text))
        return list(dict.fromkeys(found))

    def source(self, key: str) -> Source:
        return next(source for source in self.sources if source.key == key)


def load_chapters(folder: Path = FOLDER) -> dict[str, Chapter]:
    """Every written chapter by id, in order. Raises `Problem` naming file, line and the nearest valid word."""
    chapters = [load_chapter(path.parent) for path in sorted(folder.glob("ch[0-9][0-9]_*/lesson.md"))]
    by_id: dict[str, Chapter] = {}
    for chapter in chapters:
        if chapter.id in by_id:
            raise Problem(f"{_name(chapter.folder)}/lesson.md:2: the id {chapter.id!r} is used by another chapter.")
        by_id[chapter.id] = chapter
    return by_id


def load_chapter(folder: Path) -> Chapter:
    """One chapter's folder. Raises `Problem` for the first mistake in any of its files."""
    path = folder / "lesson.md"
    text = _read(path)
    front, start = read_front(text, path)
    blocks = tuple(split_blocks(text[start:], text[:start].count("\n") + 1, folder))
    chapter = Chapter(
        **front.model_dump(),
        number=int(folder.name[2:4]),
        folder=folder,
        blocks=blocks,
        quiz=load_quiz(folder / "quiz.yaml") if (folder / "quiz.yaml").exists() else (),
        simulation=load_simulation(folder),
    )
    check_citations(chapter)
    check_parts(chapter)
    return chapter


def read_front(text: str, path: Path) -> tuple[Front, int]:
    """The YAML between two lines of `---`, and where the prose begins."""
    match = _FRONT.match(text)
    if not match:
        raise Problem(f"{_name(path)}:1: a lesson starts with its title, goal and sources between two lines of '---'.")
    value, node = _parse_yaml(match[1], path, 1)
    return _validate(Front, value, node, path, 1), match.end()


def load_quiz(path: Path) -> tuple[Question, ...]:
    """quiz.yaml: a list of questions, the chapter's check question first."""
    value, node = _parse_yaml(_read(path), path, 0)
    if not isinstance(value, list):
        raise Problem(f"{_name(path)}:1: a quiz is a list of questions, each starting with '- id:'.")
    questions = tuple(_validate(Question, one, at, path, 0) for one, at in zip(value, node.value, strict=True))
    seen: set[str] = set()
    for question, at in zip(questions, node.value, strict=True):
        if question.id in seen:
            raise Problem(f"{_name(path)}:{at.start_mark.line + 1}: the id {question.id!r} is used twice.")
        seen.add(question.id)
    return questions


def load_simulation(folder: Path) -> Simulation | None:
    """All three files of the simulation, or none of them."""
    paths = {kind: folder / f"simulation.{kind}" for kind in ("html", "css", "js")}
    missing = [path for path in paths.values() if not path.exists()]
    if len(missing) == len(paths):
        return None
    if missing:
        raise Problem(f"{_name(missing[0])}:1: a simulation needs its html, css and js file; this one is missing.")
    return Simulation(**{kind: _read(path) for kind, path in paths.items()})


def split_blocks(text: str, line: int, folder: Path) -> Iterator[Block]:
    """Markdown, cut wherever a line is a {{directive}} or a formula between two lines of `$$`."""
    prose: list[str] = []
    start, formula = line, None

    def flush() -> Iterator[Block]:
        if "".join(prose).strip():
            yield Block(kind="prose", text="\n".join(prose), line=start)
        prose.clear()

    for number, row in enumerate(text.split("\n"), start=line):
        if row.strip() == "$$":
            if formula is None:
                yield from flush()
                formula = number
            else:
                yield Block(kind="formula", text="\n".join(prose), line=formula)
                prose.clear()
                formula, start = None, number + 1
        elif formula is None and row.strip().startswith("{{"):
            yield from flush()
            yield read_directive(row.strip(), number, folder)
            start = number + 1
        else:
            prose.append(row)
    if formula is not None:
        raise Problem(f"{_name(folder)}/lesson.md:{formula}: the formula that starts here has no closing '$$'.")
    yield from flush()


def read_directive(row: str, line: int, folder: Path) -> Block:
    """`{{simulation}}`, `{{demo: name}}`, `{{quiz}}`, `{{figure: file | alt}}`."""
    where = f"{_name(folder)}/lesson.md:{line}"
    match = _DIRECTIVE.fullmatch(row)
    kind, value = (match[1], match[2] or "") if match else (row, "")
    if kind not in DIRECTIVES:
        raise Problem(f"{where}: unknown directive {kind!r}{suggest(kind, DIRECTIVES)}.")
    if (kind in ("demo", "figure")) != bool(value):
        rule = "needs a name, as in {{demo: similarity}}" if not value else "takes no name"
        raise Problem(f"{where}: {kind} {rule}.")
    name, _, alt = (part.strip() for part in value.partition("|"))
    if kind == "figure":
        if not alt:
            raise Problem(f"{where}: a figure says in words what it shows: {{{{figure: {name} | words}}}}.")
        if not (folder / name).is_file():
            known = sorted(path.name for path in folder.iterdir())
            raise Problem(f"{where}: there is no file {name!r} in this chapter{suggest(name, known)}.")
    return Block(kind=kind, text=name, alt=alt, line=line)


def check_citations(chapter: Chapter) -> None:
    """Every `[@key]` has a source, every source is mentioned, every number in a table has one."""
    keys, path = [source.key for source in chapter.sources], _name(chapter.folder) + "/lesson.md"
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Problem(f"{path}:1: the source {twice!r} is given twice.")
    for line, row in _prose_rows(chapter):
        for key in find_citations(row):
            if key not in keys:
                raise Problem(f"{path}:{line}: there is no source {key!r}{suggest(key, keys)}.")
    unused = [key for key in keys if key not in chapter.cited()]
    if unused:
        raise Problem(f"{path}:1: the source {unused[0]!r} is never mentioned; cite it as [@{unused[0]}] or remove it.")
    for line, cell in find_unsourced(chapter):
        raise Problem(f"{path}:{line}: the number in {cell!r} has no source; add [@key] to its cell or its row.")


def check_parts(chapter: Chapter) -> None:
    """A chapter with a simulation or a quiz shows it exactly once."""
    path = _name(chapter.folder)
    for kind, there in (("simulation", chapter.simulation is not None), ("quiz", bool(chapter.quiz))):
        places = [block.line for block in chapter.blocks if block.kind == kind]
        if len(places) > 1:
            raise Problem(f"{path}/lesson.md:{places[1]}: {{{{{kind}}}}} stands twice in this chapter.")
        if bool(places) != there:
            lacks = f"there is no {kind} in this folder" if places else f"the {kind} of this folder is not shown"
            raise Problem(f"{path}/lesson.md:{places[0] if places else 1}: {lacks}.")


def find_unsourced(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """Cells of tables that hold a number while neither they nor their row cite a source. The first cell is a name."""
    header = True
    for line, row in _prose_rows(chapter):
        if not row.lstrip().startswith("|"):
            header = True
            continue
        if header or set(row) <= set("|-: "):
            header = False
            continue
        if find_citations(row):
            continue
        cells = [cell.strip() for cell in row.strip().strip("|").split("|")]
        yield from ((line, cell) for cell in cells[1:] if re.search(r"\d", cell))


def find_citations(text: str) -> list[str]:
    """The keys of `[@one]` and `[@one; @two]`, in order."""
    groups = CITATION.findall(text)
    return [key.strip().lstrip("@") for group in groups for key in group.split(";")]


def _prose_rows(chapter: Chapter) -> Iterator[tuple[int, str]]:
    for block in chapter.blocks:
        if block.kind == "prose":
            yield from enumerate(block.text.split("\n"), start=block.line)


def _name(path: Path) -> str:
    """A path as a teacher sees it: from `lessons/` on."""
    parts = path.parts
    return "/".join(parts[len(parts) - parts[::-1].index("lessons") - 1 :]) if "lessons" in parts else str(path)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"Cannot read {_name(path)}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}.") from None


def _parse_yaml(text: str, path: Path, offset: int) -> tuple[Any, yaml.Node]:
    """`offset`: lines of the file above the YAML."""
    try:
        return yaml.safe_load(text), yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 + offset if mark else "?"
        raise Problem(f"{_name(path)}:{line}: not valid YAML: {getattr(error, 'problem', error)}.") from None


def _validate(model: type[Part], value: Any, node: yaml.Node, path: Path, offset: int) -> Any:
    if not isinstance(value, dict):
        line = (node.start_mark.line if node else 0) + 1 + offset
        raise Problem(f"{_name(path)}:{line}: expected 'key: value' lines.")
    try:
        return model.model_validate(value)
    except ValidationError as error:
        # A misspelt key explains a missing one, so it is told first.
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        where = f"{_name(path)}:{find_line(node, first['loc']) + offset}"
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            near = suggest(str(first["loc"][-1]), _fields_at(model, first["loc"][:-1]))
            raise Problem(f"{where}: unknown key {key!r}{near}.") from None
        message = first["msg"].removeprefix("Value error, ")
        raise Problem(f"{where}: {key + ': ' if key else ''}{message}.") from None


def _fields_at(model: type[Part], location: Iterable[str | int]) -> list[str]:
    """The keys that are valid at a place such as ("sources", 3)."""
    inner = {"sources": Source, "options": Option}
    for part in location:
        model = inner.get(str(part), model)
    return list(model.model_fields)
