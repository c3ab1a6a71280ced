"""Measure it yourself: asked in turns, scored as read, what was measured stays, what was not asked is said."""

import base64
import io

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from demos import measure
from patchwork.catalog import Catalog, load_catalog, read_endpoint
from patchwork.errors import Problem
from patchwork.families import get_family
from patchwork.families.protocol import GroundedBox, Grounding
from patchwork.live import run_live
from patchwork.plan import make_plan as make_room
from patchwork.pool import Pool
from patchwork.probes import AXES, write_probes
from patchwork.recording import read_event
from patchwork.ui.page import Page
from patchwork.ui.panel import read_inputs
from tests.chat_stand_in import make_page
from tests.fakes import MACHINE, FakeModel, make_card, make_catalog
from tests.tiny_models import make_plan

EVIL = '<img src=x onerror="alert(1)">'


class Scripted(FakeModel):
    def __init__(self, said: str, *capabilities: str) -> None:
        card = make_card(capabilities=["chat", *capabilities])
        super().__init__(card, make_plan(card, "fp32"))
        self.said = said

    def chat(self, images, prompt, max_new_tokens=128, stop=None):
        assert isinstance(images[0], Image.Image)
        yield self.said

    def ground(self, image, phrase, max_new_tokens=256, stop=None):
        edges = (0.25 * image.width, 0.25 * image.height, 0.75 * image.width, 0.75 * image.height)
        yield Grounding(self.said, (GroundedBox("it", edges, (0, 1)),), ())


def run(said: str, *capabilities: str, each: int = 4):
    inputs = measure.Inputs(each=each)
    return inputs, list(measure.run(inputs, Scripted(said, *capabilities)))


def scores_of(event) -> dict[str, measure.Score]:
    measured = event.measured if isinstance(event, measure.RunResult) else event
    return {score.axis: score for score in measured.scores}


def test_always_left_is_right_half_of_the_time():
    _, events = run("left")
    score = scores_of(events[-1])["left or right"]
    assert (score.right, score.asked, score.unread, score.chance) == (2, 4, 0, 0.5)


def test_what_names_no_choice_is_unread_and_wrong():
    inputs, events = run("hm")
    assert all((score.right, score.unread) == (0, score.asked) for score in scores_of(events[-1]).values())
    assert "28 answers name none of the choices" in measure.render(events[-1], inputs)
    assert "Every answer could be read" not in measure.render(events[-1], inputs)


def test_axes_take_turns_so_that_a_stop_leaves_all_about_equally_far():
    _, events = run("yes")
    for event in events[1:-1]:
        counts = [score.asked for score in event.scores]
        assert max(counts) - min(counts) <= 1


def test_boxes_are_asked_of_models_that_write_them_only():
    inputs, events = run("yes")
    assert events[-1].measured.missing == ["box"] and "box" not in scores_of(events[-1])
    shown = measure.render(events[-1], inputs)
    assert measure.NO_BOXES in shown and ">not asked</tspan>" in shown
    _, events = run("yes", "ground")
    score = scores_of(events[-1])["box"]
    assert score.asked == 4 and score.right / 4 == score.chance  # this model always says the middle


def test_running_scores_say_how_far_and_what_was_said():
    inputs, events = run("yes", each=4)
    shown = measure.render(events[10], inputs)
    assert "10 of 28 questions" in shown and events[10].newest.said in shown and "to come" not in shown
    assert "to come" in measure.render(events[1], inputs)


def test_samples_are_one_a_kind_and_wrong_ones_first():
    inputs, events = run("left")
    samples = measure.choose_samples(events[-1].asked)
    assert [one.axis for one in samples] == [name for name in AXES if name != "box"]
    assert not any(one.right for one in samples)
    assert measure.render(events[-1], inputs).count('<td data-label="true:">') == 7


def test_events_survive_json_and_markup_stays_text():
    inputs, events = run(EVIL, "ground")
    for event in events:
        assert read_event(event.model_dump(mode="json"), measure) == event
        assert "<img src=x" not in measure.render(event, inputs)


def test_two_readers_at_once_keep_their_own():
    runs = [measure.run(measure.Inputs(each=4), Scripted(said)) for said in ("left", "right")]
    *_, (left, right) = zip(*runs, strict=True)
    assert {one.said for one in left.asked} == {"left"} and {one.said for one in right.asked} == {"right"}


def test_stopping_leaves_the_model_alone():
    model = Scripted("yes")
    events = measure.run(measure.Inputs(each=40), model)
    shown = [next(events) for _ in range(6)]
    events.close()
    assert sum(score.asked for score in shown[-1].scores) == 5


def test_what_a_server_said_stays_when_it_has_had_enough(chat):
    """Ten answers, then it asks for a pause: ten are counted, and why there are no more is said."""
    inputs = measure.Inputs(each=4)
    *_, last = run_live(measure, inputs, make_page(chat, "tired").pool, "tired")
    assert len(last.asked) == 10 and all(one.said == "yes" for one in last.asked)
    assert last.answered_by.device == f"127.0.0.1:{chat.server_port}" and last.weight_bytes == 0
    shown = measure.render(last, inputs)
    assert "Broken off after 10 of 28 questions; these stay." in shown and "asks for a pause" in shown
    assert "Weights in memory" not in shown


def test_a_server_gets_drawn_scenes_and_no_picture_of_the_readers(chat):
    next_one = len(chat.seen)
    list(run_live(measure, measure.Inputs(each=4), make_page(chat, "stream").pool, "stream"))
    sent = [body["messages"][0]["content"][0]["image_url"]["url"] for _, body in chat.seen[next_one:]]
    received = Image.open(io.BytesIO(base64.b64decode(sent[0].partition(",")[2]))).convert("RGB")
    drawn = next(write_probes(next(iter(AXES)))).draw()
    assert len(sent) == 28 and "picture" not in measure.Inputs.model_fields
    assert received.size == drawn.size and np.abs(np.subtract(received, drawn, dtype=float)).mean() < 3


def test_a_server_that_never_answers_is_a_sentence_and_no_result(chat):
    with pytest.raises(Problem, match="key"):
        list(run_live(measure, measure.Inputs(each=4), make_page(chat, "e401").pool, "e401"))


@pytest.mark.parametrize("each", [2, 5, 42])
def test_bad_numbers_are_refused(each):
    with pytest.raises(ValueError):
        measure.Inputs(each=each)


def test_it_needs_no_picture_and_a_queue_of_its_own():
    assert read_inputs(measure, None, {"each": 8}) == measure.Inputs()
    assert measure.QUEUE != "device"


def test_the_end_sums_up_what_fewer_bits_may_cost():
    """Right answers of all kinds together, and the bytes that the weights take."""
    inputs, events = run("left")
    last = events[-1]
    right = sum(score.right for score in last.measured.scores)
    assert last.weight_bytes == 4_000_000
    shown = measure.render(last, inputs)
    assert f"{100 * right / len(last.asked):.1f}" in shown and "4.0" in shown and "Weights in memory" in shown


def test_the_bundled_model_can_be_measured_in_fewer_bits(tmp_path, monkeypatch):
    """Its own weights, rounded: less memory, and still mostly right."""
    monkeypatch.setenv("PATCHWORK_QUANTIZED", str(tmp_path))
    full, fewer = (load_catalog().get(name) for name in ("tiny-llava", "tiny-llava@nf4"))
    models = [get_family("llava").load(card, make_room(card, MACHINE), lambda *_: None) for card in (full, fewer)]
    results = [list(measure.run(measure.Inputs(each=4), model))[-1] for model in models]
    assert results[1].answered_by.precision == "nf4"
    assert results[1].weight_bytes < 0.5 * results[0].weight_bytes
    right = [sum(one.right for one in result.asked) / len(result.asked) for result in results]
    assert right[0] > 0.8 and right[1] > 0.6


def build_page(catalog: Catalog) -> gr.Blocks:
    with gr.Blocks() as blocks:
        measure.build(Page(catalog, MACHINE, Pool(catalog, MACHINE, 10**9), gr.Image(), gr.Textbox()))
    return blocks


def test_a_reader_can_call_it_by_name():
    (named,) = build_page(make_catalog("one")).get_api_info()["named_endpoints"].items()
    assert named[0] == "/measure"
    assert [one["parameter_name"] for one in named[1]["parameters"]] == ["each", "checkpoint"]


@pytest.mark.parametrize("servers", [[], [read_endpoint("far=https://a.example/v1#m")]])
def test_where_a_server_may_be_asked_the_page_says_what_it_is_sent(servers):
    blocks = build_page(Catalog([*make_catalog("one").cards, *servers]))
    said = " ".join(str(block.value) for block in blocks.blocks.values() if isinstance(block, gr.HTML))
    assert (measure.LEAVES in said) == bool(servers)
