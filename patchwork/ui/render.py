"""Plain data → HTML: pictures with maps and boxes over them, numbers, text. Pure functions; every word is escaped."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

from PIL import Image

from patchwork.demo import Answerer, Box, Map, Metric, PartialText, Progress
from patchwork.images import bound
from patchwork.recording import Recording

RAMP = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Five stops of viridis, which grows evenly in lightness and reads the same to colour-blind eyes
(Smith and van der Walt, matplotlib, 2015)."""

BOX_COLOURS = ("var(--pw-visual)", "var(--pw-text)", "var(--pw-output)", "var(--pw-frozen)", "var(--pw-wrong)")
SHOWN_SIDE = 640
THUMBNAIL_SIDE = 176


def draw_progress(event: Progress) -> str:
    """One line; a bar where it is known how far."""
    bar = "" if event.fraction is None else f'<progress max="1" value="{event.fraction:.3f}"></progress>'
    return f'<p class="pw-progress" role="status">{html.escape(event.message)} {bar}</p>'


def draw_text(event: PartialText, live: bool = True) -> str:
    cursor = '<span class="pw-cursor" aria-hidden="true"></span>' if live else ""
    return f'<p class="pw-answer" aria-live="polite">{html.escape(event.text)}{cursor}</p>'


def encode_picture(image: Image.Image) -> str:
    """A data URL of at most 640 px a side: JPEG, because this copy is only looked at."""
    buffer = io.BytesIO()
    bound(image, SHOWN_SIDE).save(buffer, "JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def mix_colour(share: float) -> str:
    """0–1 → a colour of the ramp."""
    place = min(max(share, 0.0), 1.0) * (len(RAMP) - 1)
    low = min(int(place), len(RAMP) - 2)
    parts = (round(a + (b - a) * (place - low)) for a, b in zip(RAMP[low], RAMP[low + 1], strict=True))
    return "#" + "".join(f"{part:02x}" for part in parts)


def draw_figure(image: Image.Image, over: str = "", words: str = "", label: str = "The picture", data: str = "") -> str:
    """The picture with an SVG over it in the picture's own pixels; `over` is trusted markup of this module."""
    width, height = image.size
    return (
        f'<figure class="pw-figure" {data}><div class="pw-canvas">'
        f'<img src="{encode_picture(image)}" alt="{html.escape(label, quote=True)}" width="{width}" height="{height}">'
        f'<svg viewBox="0 0 {width} {height}" role="presentation">{over}</svg></div>'
        + (f"<figcaption>{words}</figcaption>" if words else "")
        + "</figure>"
    )


def place_patches(event: Map) -> Iterable[tuple[int, float, float, float, float, float]]:
    """(index, x, y, width, height, value) of every patch, in pixels of the picture."""
    rows, columns = len(event.grid), len(event.grid[0])
    x1, y1, x2, y2 = event.region
    width, height = (x2 - x1) / columns, (y2 - y1) / rows
    for row, values in enumerate(event.grid):
        for column, value in enumerate(values):
            yield row * columns + column, x1 + column * width, y1 + row * height, width, height, value


def draw_spots(event: Map) -> str:
    """Patches without colour, to point at."""
    return "".join(
        f'<rect class="pw-spot" data-patch="{index}" x="{x:.2f}" y="{y:.2f}" width="{across:.2f}" height="{down:.2f}"/>'
        for index, x, y, across, down, _ in place_patches(event)
    )


def average_patches(
    image: Image.Image, rows: int, columns: int, region: tuple[float, float, float, float]
) -> list[str]:
    """The mean colour of each patch, row by row; grey where the patch lies beside the picture."""
    grey, extent = (127, 127, 127), Image.Transform.EXTENT
    seen = image.transform((columns * 8, rows * 8), extent, region, Image.Resampling.BILINEAR, fillcolor=grey)
    values = seen.resize((columns, rows), Image.Resampling.BOX).tobytes()
    return [f"#{values[start : start + 3].hex()}" for start in range(0, len(values), 3)]


def draw_map(
    event: Map, marked: Sequence[int] = (), chosen: int | None = None, colours: Sequence[str] | None = None
) -> str:
    """Patches coloured by their share of the largest value, or in `colours`.

    `marked` get a dashed outline, `chosen` a solid one.
    """
    patches = list(place_patches(event))
    low, high = min(patch[5] for patch in patches), max(patch[5] for patch in patches)
    cells, outlines = [], []
    for index, x, y, width, height, value in patches:
        fill = colours[index] if colours else mix_colour((value - low) / (high - low) if high > low else 0.0)
        shape = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
        cells.append(
            f'<rect class="pw-patch" data-patch="{index}" {shape} fill="{fill}">'
            f"<title>patch {index}: {value:.4f}</title></rect>"
        )
        if index in marked or index == chosen:
            outlines.append(f'<rect class="pw-{"chosen" if index == chosen else "sink"}" {shape}/>')
    return f'<g class="pw-map">{"".join(cells)}</g>{"".join(outlines)}'


def draw_legend(event: Map) -> str:
    """The colour ramp with the lowest and the highest value, and the slider that lets the picture through."""
    values = [value for row in event.grid for value in row]
    stops = ", ".join(mix_colour(step / 4) for step in range(5))
    return (
        f'<div class="pw-legend"><span>{min(values):.4f}</span>'
        f'<i style="background:linear-gradient(90deg,{stops})"></i>'
        f"<span>{max(values):.4f}</span>{FADER}</div>"
    )


FADER = '<label>Map over picture <input type="range" class="pw-opacity" min="0" max="100" value="62"></label>'


def draw_fader() -> str:
    """The slider alone, for maps whose colours have no order."""
    return f'<div class="pw-legend">{FADER}</div>'


def draw_boxes(boxes: Sequence[Box], side: float) -> str:
    """Outlines with labels; `side` is the picture's longest side, so that lines look the same at any size."""
    parts, stroke = [], side / 160
    for index, box in enumerate(boxes):
        colour = BOX_COLOURS[index % len(BOX_COLOURS)]
        width, height = box.x2 - box.x1, box.y2 - box.y1
        shape = f'x="{box.x1:.1f}" y="{box.y1:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none"'
        place = f'x="{box.x1:.1f}" y="{max(box.y1 - stroke, side / 24):.1f}" font-size="{side / 26:.1f}"'
        parts.append(
            f'<rect {shape} stroke="#fff" stroke-width="{stroke * 1.9:.1f}"/>'
            f'<rect {shape} style="stroke:{colour}" stroke-width="{stroke:.1f}"/>'
            f'<text {place} style="fill:{colour}" stroke="#fff" stroke-width="{stroke * 0.9:.1f}" '
            f'paint-order="stroke">{html.escape(box.label)}</text>'
        )
    return "".join(parts)


def draw_metrics(metrics: Sequence[Metric]) -> str:
    rows = "".join(
        f'<div title="{html.escape(metric.note, quote=True)}"><dt>{html.escape(metric.label)}</dt>'
        f"<dd>{format_number(metric.value)}{' ' + html.escape(metric.unit) if metric.unit else ''}</dd></div>"
        for metric in metrics
    )
    return f'<dl class="pw-metrics">{rows}</dl>'


def format_number(value: float) -> str:
    """Whole numbers plainly, others with three significant digits."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def draw_answerer(who: Answerer) -> str:
    """Who answered, on what, in how long."""
    bundled = (
        '<p class="pw-bundled">A tiny model that knows only a drawn world: it ships with this page, so that '
        "something real answers without a network.</p>"
        if who.bundled
        else ""
    )
    facts = f"{html.escape(who.title)} · {html.escape(who.device)} · {html.escape(who.precision)} · {who.seconds:.2f} s"
    note = f" · {html.escape(who.note)}" if who.note else ""
    return f'<p class="pw-answerer">Answered by {facts}{note}</p>{bundled}'


def draw_mark(right: bool) -> str:
    return '<b class="pw-ok" title="right">✓</b>' if right else '<b class="pw-no" title="not right">✕</b>'


def draw_pair(left: str, right: str) -> str:
    return f'<div class="pw-pair"><div>{left}</div><div>{right}</div></div>'


def draw_stand_in(recorded: Recording) -> str:
    """Above a recorded result: when and with what it was made, why it is here, and what it answers instead."""
    picture, question = (getattr(recorded.inputs, name, None) for name in ("picture", "question"))
    shown = (
        f'<img src="{encode_picture(bound(picture, THUMBNAIL_SIDE))}" alt="The recorded picture">' if picture else ""
    )
    its_own = ("answers its own " if question else "ran with its own ") + "picture and " * bool(picture)
    rest = f"question, not yours: “{html.escape(question)}”" if question else "settings, not yours."
    return (
        f'<aside class="pw-stand-in" role="status">{shown}<div>'
        f"<p><b>Recorded</b> on {recorded.day} with {html.escape(recorded.moments[-1].event.answered_by.title)}, and "
        "shown because the live run took too long.</p>"
        f"<p>It {its_own}{rest}</p></div></aside>"
    )


def draw_problem(message: str) -> str:
    return f'<p class="pw-problem" role="alert">{html.escape(message)}</p>'
