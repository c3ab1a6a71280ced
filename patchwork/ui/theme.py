"""The look of the page: a Gradio theme that points every colour at the variables of `static/app.css`.

It knows nothing about what is on the page. Fonts come with Gradio, so nothing is requested from elsewhere.
"""

from __future__ import annotations

import json
from pathlib import Path

import gradio as gr
from gradio.themes.utils.fonts import LocalFont

from patchwork.tiny import WEIGHTS

STATIC = Path(__file__).parent / "static"

_COLOURS = {
    "body_background_fill": "--pw-paper",
    "body_text_color": "--pw-ink",
    "body_text_color_subdued": "--pw-muted",
    "background_fill_primary": "--pw-surface",
    "background_fill_secondary": "--pw-paper",
    "block_background_fill": "--pw-surface",
    "block_border_color": "--pw-line",
    "block_info_text_color": "--pw-muted",
    "block_label_background_fill": "--pw-surface",
    "block_label_border_color": "--pw-line",
    "block_label_text_color": "--pw-muted",
    "block_title_text_color": "--pw-muted",
    "border_color_primary": "--pw-line",
    "border_color_accent": "--pw-ink",
    "color_accent": "--pw-ink",
    "color_accent_soft": "--pw-sunken",
    "panel_background_fill": "--pw-surface",
    "panel_border_color": "--pw-line",
    "input_background_fill": "--pw-surface",
    "input_background_fill_focus": "--pw-surface",
    "input_border_color": "--pw-edge",
    "input_border_color_focus": "--pw-ink",
    "input_placeholder_color": "--pw-muted",
    "checkbox_background_color": "--pw-surface",
    "checkbox_background_color_selected": "--pw-ticked",
    "checkbox_border_color": "--pw-edge",
    "checkbox_border_color_selected": "--pw-ticked",
    "checkbox_label_background_fill": "--pw-surface",
    "checkbox_label_background_fill_hover": "--pw-sunken",
    "checkbox_label_background_fill_selected": "--pw-sunken",
    "checkbox_label_border_color": "--pw-line",
    "checkbox_label_border_color_selected": "--pw-ink",
    "checkbox_label_text_color": "--pw-ink",
    "checkbox_label_text_color_selected": "--pw-ink",
    "slider_color": "--pw-ink",
    "loader_color": "--pw-ink",
    "code_background_fill": "--pw-sunken",
    "link_text_color": "--pw-link",
    "link_text_color_active": "--pw-link",
    "link_text_color_hover": "--pw-ink",
    "link_text_color_visited": "--pw-link",
    "table_border_color": "--pw-line",
    "table_even_background_fill": "--pw-surface",
    "table_odd_background_fill": "--pw-paper",
    "table_text_color": "--pw-ink",
    "accordion_text_color": "--pw-ink",
    "stat_background_fill": "--pw-sunken",
    "button_primary_background_fill": "--pw-ink",
    "button_primary_background_fill_hover": "--pw-ink-soft",
    "button_primary_border_color": "--pw-ink",
    "button_primary_border_color_hover": "--pw-ink-soft",
    "button_primary_text_color": "--pw-paper",
    "button_primary_text_color_hover": "--pw-paper",
    "button_secondary_background_fill": "--pw-surface",
    "button_secondary_background_fill_hover": "--pw-sunken",
    "button_secondary_border_color": "--pw-edge",
    "button_secondary_border_color_hover": "--pw-ink",
    "button_secondary_text_color": "--pw-ink",
    "button_secondary_text_color_hover": "--pw-ink",
    "button_cancel_background_fill": "--pw-surface",
    "button_cancel_background_fill_hover": "--pw-sunken",
    "button_cancel_border_color": "--pw-edge",
    "button_cancel_text_color": "--pw-ink",
}


def build_theme() -> gr.themes.Base:
    """Same values in light and dark: the variables themselves change under `.dark`."""
    theme = gr.themes.Base(
        primary_hue="stone",
        secondary_hue="stone",
        neutral_hue="stone",
        # Regular and bold only: the semi-bold files that come with Gradio 6.31 lack the Latin letters.
        font=(LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=(LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
        text_size="md",
        radius_size="md",
        spacing_size="md",
    )
    values = {name: f"var({variable})" for name, variable in _COLOURS.items()}
    values |= {f"{name}_dark": value for name, value in values.items() if name != "color_accent"}
    return theme.set(
        **values,
        block_shadow="none",
        block_label_shadow="none",
        block_radius="var(--pw-radius)",
        input_border_width="1px",
        input_radius="var(--pw-radius-small)",
        button_large_radius="var(--pw-radius-small)",
        button_medium_radius="var(--pw-radius-small)",
        button_small_radius="var(--pw-radius-small)",
        button_large_text_weight="600",
        button_primary_shadow="none",
        button_secondary_shadow="none",
        block_title_text_weight="500",
        layout_gap="16px",
    )


def build_css() -> str:
    """Style sheets of single parts; Gradio puts them behind a selector stronger than its own rules."""
    return "\n".join(path.read_text(encoding="utf-8") for path in _assets("css") if path.stem != "app")


def build_head(settings: dict[str, bool]) -> str:
    """The `<head>` lines: the page's own style sheet, unchanged, its settings for the browser, then every script.

    The bundled model's configuration goes along, so that simulations count with the sizes that are really shipped.
    """
    style = (STATIC / "app.css").read_text(encoding="utf-8")
    known = settings | {"llava": json.loads((WEIGHTS / "llava" / "config.json").read_text(encoding="utf-8"))}
    scripts = [f"window.PATCHWORK = {json.dumps(known)};"]
    scripts += [path.read_text(encoding="utf-8") for path in _assets("js")]
    return f"<style>\n{style}\n</style>\n" + "\n".join(f"<script>\n{script}\n</script>" for script in scripts)


def _assets(suffix: str) -> list[Path]:
    """Files of `static/`; the page's own comes first, so that the others may lean on it."""
    return sorted(STATIC.glob(f"*.{suffix}"), key=lambda path: (path.stem != "app", path.name))
