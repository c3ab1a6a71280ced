"""A run written to JSON and played again through the same rendering. Knows no model and no page."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from patchwork.demo import Boxes, Data, Event, Map, Metrics, PartialText, Progress, Result
from patchwork.errors import Problem

if TYPE_CHECKING:
    from patchwork.demo import Demo

KINDS = {"progress": Progress, "text": PartialText, "map": Map, "boxes": Boxes, "metrics": Metrics}


class Moment(Data):
    """One event, and how many seconds after the run's start it came."""

    after: float
    event: Any


class Recording(Data):
    """`inputs` and events are the demo's own types; on disk they are plain JSON."""

    demo: str
    card_id: str
    recorded: str
    inputs: Any
    moments: tuple[Moment, ...]

    @property
    def day(self) -> str:
        """Like "3 Nov 2026". Raises `Problem` where `recorded` is no date."""
        try:
            day = datetime.date.fromisoformat(self.recorded[:10])
        except ValueError:
            raise Problem("That recording does not say when it was made; choose another one.") from None
        return f"{day.day} {day:%b %Y}"


def record(demo: Demo, inputs: Data, events: Iterable[Event], path: Path, card_id: str) -> Iterator[Event]:
    """Pass the events on and, when the run has ended well, write them to `path`."""
    start, moments = time.monotonic(), []
    for event in events:
        moments.append(Moment(after=round(time.monotonic() - start, 3), event=event.model_dump(mode="json")))
        yield event
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    saved = Recording(
        demo=demo.NAME, card_id=card_id, recorded=now, inputs=inputs.model_dump(mode="json"), moments=tuple(moments)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(saved.model_dump_json(indent=1) + "\n", encoding="utf-8")


def load(path: Path, demo: Demo) -> Recording:
    """Read a recording back into the demo's types. Raises `Problem` when it is of another demo or damaged."""
    try:
        raw = Recording.model_validate_json(Path(path).read_text(encoding="utf-8"))
        if raw.demo != demo.NAME:
            raise Problem(f"{path} is a recording of {raw.demo}, not of {demo.NAME}.")
        moments = tuple(Moment(after=moment.after, event=read_event(moment.event, demo)) for moment in raw.moments)
        inputs = demo.Inputs.model_validate(raw.inputs)
    except (OSError, ValueError, KeyError) as error:
        raise Problem(f"{path} is not a recording that this version can play ({type(error).__name__}).") from error
    return raw.model_copy(update={"inputs": inputs, "moments": moments})


def load_folder(folder: Path, demos: Mapping[str, Demo]) -> dict[str, Recording]:
    """By demo: NAME.json, else the first NAME-….json. Raises `Problem` for one that is damaged or broken off."""
    found: dict[str, Recording] = {}
    for name, demo in demos.items():
        paths = [*folder.glob(f"{name}.json"), *sorted(folder.glob(f"{name}-*.json"))]
        if paths:
            found[name] = load_whole(paths[0], demo)
    return found


def load_whole(path: Path, demo: Demo) -> Recording:
    """A recording that says its day and ends with its result. Raises `Problem`."""
    one = load(path, demo)
    if not one.day or not one.moments or not isinstance(one.moments[-1].event, Result):
        raise Problem(f"{path} ends before its result; record it again.")
    return one


def read_event(raw: dict, demo: Demo) -> Event:
    """`KINDS` of a demo are event types of its own."""
    kinds = KINDS | getattr(demo, "KINDS", {})
    kind = demo.RunResult if raw["kind"] == "result" else kinds[raw["kind"]]
    return TypeAdapter(kind).validate_python(raw)


def replay(recording: Recording, speed: float = 1.0) -> Iterator[Event]:
    """The recorded events at `speed` times the recorded pace; 0 or infinity: all at once."""
    before = 0.0
    for moment in recording.moments:
        if speed and math.isfinite(speed):
            time.sleep(max(0.0, moment.after - before) / speed)
        before = moment.after
        yield moment.event
