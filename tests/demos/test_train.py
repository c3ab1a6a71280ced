"""The training demo: what it shows comes from the run, survives JSON, and keeps the reader's page small."""

import pytest

from demos import train
from patchwork.catalog import load_catalog
from patchwork.recording import read_event
from patchwork.tiny import minute
from tests.fakes import FakeModel, make_card
from tests.tiny_models import make_plan


def make_state(stage: int, **changes) -> minute.State:
    component = minute.Component("Projector", 1234, stage > 0, "aaaa", "bbbb" if stage else "aaaa")
    tower = minute.Component("Vision tower", 99, False, "cccc", "cccc")
    asked = minute.Asked(minute.HELD_OUT, "what is this?", "a star.", "<b>nothing</b>", "a star." if stage else "<i>")
    fields = {
        "stage": stage,
        "share": 0.5,
        "steps": 7,
        "tokens_per_second": 1234.5,
        "losses": tuple((1, second / 100, 3 - second / 1000) for second in range(900)) if stage else (),
        "components": (tower, component),
        "asked": (asked,),
        "scores": (minute.Score("before", 0.0, 0.25, 3.01, 40),),
        "file_before": "f1",
        "file_now": "f1",
    }
    return minute.State(**fields | changes)


@pytest.fixture
def ran(monkeypatch):
    """The demo over scripted states; it must hand on what it is given."""
    got = {}

    def script(model, processor, folder, seconds):
        got.update(folder=folder, seconds=seconds)
        yield from (make_state(0), make_state(1), make_state(2, done=True))

    monkeypatch.setattr(minute, "train_minute", script)
    card = make_card("tiny-llava", repo="bundled:llava")
    model = FakeModel(card, make_plan(card, "bf16"))
    model.model = model.processor = None
    inputs = train.Inputs(seconds=9)
    return inputs, list(train.run(inputs, model)), got


def test_it_trains_what_is_shipped_for_as_long_as_asked(ran):
    _, events, got = ran
    assert got["seconds"] == 9 and str(got["folder"]).endswith("weights/llava")
    who = events[-1].answered_by
    assert (who.device, who.precision) == ("cpu", "fp32")


def test_every_event_survives_json(ran):
    for event in ran[1]:
        assert read_event(event.model_dump(mode="json"), train) == event


def test_what_is_shown(ran):
    inputs, events, _ = ran
    before, first, last = (train.render(event, inputs) for event in (events[1], events[2], events[-1]))
    assert "the projector is random" in before and "no step yet" in before
    assert "Stage 1 of 2 trains the projector only: step 7, 1,234 tokens a second" in first
    assert "Both stages are done" in last and "pw-answerer" in last
    assert last.count("moved") == 2 and "unchanged" in last  # the heading, and the projector's row
    assert "<b>nothing" not in last and "<i>" not in before
    assert "✓" in last and "✕" in before


def test_a_long_curve_is_thinned_out():
    points = [(float(number), 2.0 * number) for number in range(1001)]
    thin = train.thin_out(points, most=100)
    assert len(thin) <= 100
    assert thin[0] == (5.0, 10.0)  # the mean of the first eleven
    assert train.thin_out([]) == []


@pytest.mark.parametrize("seconds", [0, 61])
def test_a_stage_is_a_minute_at_most(seconds):
    with pytest.raises(ValueError):
        train.Inputs(seconds=seconds)


def test_only_shipped_models_are_trained_here():
    assert all(card.bundled for card in load_catalog().offering(train.NEEDS))


def test_a_picture_is_not_needed():
    from patchwork.ui.panel import read_inputs

    assert read_inputs(train, None, {"seconds": 5}) == train.Inputs(seconds=5)
    assert train.draw_picture(minute.HELD_OUT).startswith("data:image/jpeg")
