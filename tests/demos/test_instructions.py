"""Many instructions about one picture; the model before tuning beside the tuned one, same prompt, same decoding."""

import gradio as gr
import pytest
from PIL import Image

from demos import instructions
from patchwork.catalog import Catalog
from patchwork.pool import Pool
from patchwork.recording import read_event
from patchwork.ui import panel
from patchwork.ui.page import Page
from tests.fakes import MACHINE, FakeModel, make_card

PICTURE = Image.new("RGB", (12, 8), (10, 200, 30))
EVIL = '<img src=x onerror="alert(1)">'
AFTER, BEFORE = "tiny-llava", instructions.BEFORE


class Tuned(FakeModel):
    """Remembers what it was asked."""

    def __init__(self, card, plan) -> None:
        super().__init__(card, plan)
        self.asked: list[tuple[str, int]] = []
        self.script = ("a caption",) if card.id == BEFORE else ("an answer",)

    def chat(self, images, prompt, max_new_tokens=128, stop=None):
        self.asked.append((prompt, max_new_tokens))
        yield from super().chat(images, prompt, max_new_tokens, stop)


def make_page(*ids: str) -> tuple[Page, dict[str, Tuned]]:
    models: dict[str, Tuned] = {}

    def load(card, plan, report):
        models[card.id] = Tuned(card, plan)
        return models[card.id]

    catalog = Catalog([make_card(card_id) for card_id in ids])
    pool = Pool(catalog, MACHINE, 10**9, load=load)
    return Page(catalog, MACHINE, pool, gr.Image(render=False), gr.Textbox(render=False)), models


def test_each_line_is_asked_by_itself():
    page, _ = make_page(AFTER)
    inputs = instructions.Inputs(picture=PICTURE, instructions=" first \n\nsecond")
    *_, last = panel.run_live(instructions, inputs, page.pool, AFTER)
    assert [(one.instruction, one.text) for one in last.answers] == [
        ("first", "an answer (first)"),
        ("second", "an answer (second)"),
    ]


def test_before_and_after_get_the_same_request():
    page, models = make_page(AFTER, BEFORE)
    inputs = instructions.Inputs(picture=PICTURE, instructions="How many?")
    *_, last = panel.run_live(instructions, inputs, page.pool, AFTER)
    *_, shown = panel.stream_beside(instructions, page, inputs, BEFORE, instructions.render(last, inputs))
    assert models[AFTER].asked == models[BEFORE].asked == [("How many?", instructions.MOST_TOKENS)]
    assert shown.index("an answer") < shown.index("a caption") and shown.count("pw-answerer") == 2


def list_words(page: Page) -> str:
    with gr.Blocks() as blocks:
        page.picture.render()
        page.question.render()
        instructions.build(page)
    return " ".join(str(getattr(block, "value", "")) for block in blocks.blocks.values())


def test_a_list_without_the_first_stage_says_so():
    assert instructions.MISSING in list_words(make_page(AFTER)[0])
    assert instructions.MISSING not in list_words(make_page(AFTER, BEFORE)[0])


def test_events_survive_json_and_markup_stays_text():
    page, _ = make_page(AFTER)
    inputs = instructions.Inputs(picture=PICTURE, instructions=EVIL)
    for event in panel.run_live(instructions, inputs, page.pool, AFTER):
        assert read_event(event.model_dump(mode="json"), instructions) == event
        assert "<img src=x" not in instructions.render(event, inputs)


@pytest.mark.parametrize(
    ("lines", "words"),
    [(" \n ", "no instruction yet"), ("\n".join("abcdefg"), "at most 6"), ("x" * 301, "longer than 300")],
)
def test_bad_words_are_refused(lines, words):
    with pytest.raises(ValueError, match=words):
        instructions.Inputs(picture=PICTURE, instructions=lines)
