"""Several pictures: one prompt where the model learnt that, else one each; the star flies; the bill adds up."""

import json

import gradio as gr
import pytest
from PIL import Image
from pydantic import ValidationError

from demos import several
from patchwork.catalog import load_catalog
from patchwork.examples import invent_clip
from patchwork.families import get_family
from patchwork.plan import make_plan
from patchwork.recording import read_event
from patchwork.ui import panel
from tests.fakes import MACHINE, FakeModel, make_card
from tests.tiny_models import load_tiny, shared_folder

PICTURES = [Image.new("RGB", (12, 8), (50 * number, 0, 0)) for number in range(3)]
EVIL = '<img src=x onerror="alert(1)">'


class Listening(FakeModel):
    """Remembers which pictures came in one prompt."""

    def __init__(self, **card) -> None:
        super().__init__(make_card(**card), make_plan(make_card(**card), MACHINE))
        self.prompts: list[list[Image.Image]] = []

    def chat(self, images, prompt, max_new_tokens=128, stop=None):
        self.prompts.append(list(images))
        yield f"{len(images)} {EVIL}"


def test_a_model_that_learnt_one_picture_is_asked_once_for_each():
    model = Listening(capabilities=["chat"])
    *_, last = several.run(several.Inputs(pictures=PICTURES), model)
    assert model.prompts == [[one] for one in PICTURES]
    assert not last.together and len(last.texts) == 3 and last.tokens == 3 * 64


def test_a_model_that_learnt_several_gets_all_in_one_prompt_and_the_bill_is_its_processors():
    model = load_tiny("idefics3", shared_folder("idefics3"))
    model.card = model.card.model_copy(update={"capabilities": model.capabilities})
    inputs = several.Inputs(pictures=PICTURES, question="What changed?")
    *_, last = several.run(inputs, model)
    placed = model.prepare(PICTURES, "What changed?")["input_ids"] == model.model.config.image_token_id
    assert last.together and len(last.texts) == 1 and last.tokens == int(placed.sum())
    assert several.TOGETHER in several.render(last, inputs)


def test_the_bundled_model_sees_the_star_fly():
    card = load_catalog().get("tiny-llava")
    model = get_family("llava").load(card, make_plan(card, MACHINE), lambda *_: None)
    pictures = [scene.draw(512) for scene in invent_clip(4)]
    *_, last = several.run(several.Inputs(pictures=pictures), model)
    assert last.texts == ["left", "left", "right", "right"] and last.tokens == 4 * 64


def test_data_survives_json_and_markup_stays_text():
    inputs = several.Inputs(pictures=PICTURES, question=EVIL)
    again = several.Inputs.model_validate_json(inputs.model_dump_json())
    assert [one.tobytes() for one in again.pictures] == [one.tobytes() for one in PICTURES]
    for event in several.run(inputs, Listening(capabilities=["chat"])):
        assert read_event(json.loads(event.model_dump_json()), several) == event
        assert "<img src=x" not in several.render(event, inputs)


@pytest.mark.parametrize(("count", "words"), [(0, "no picture yet"), (9, "There are 9 pictures; at most 8")])
def test_how_many_pictures(count, words):
    with pytest.raises(ValidationError, match=words):
        several.Inputs(pictures=PICTURES[:1] * count)


def test_the_gallerys_files_are_opened_as_every_upload_is(tmp_path):
    Image.new("RGB", (6, 4), "red").save(tmp_path / "one.png")
    (tmp_path / "two.png").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    inputs = panel.read_inputs(several, None, {"pictures": [(str(tmp_path / "one.png"), None)], "question": "What?"})
    assert inputs.pictures[0].getpixel((0, 0)) == (255, 0, 0)
    with pytest.raises(panel.Problem, match="SVG"):
        panel.read_inputs(several, None, {"pictures": [(str(tmp_path / "two.png"), None)], "question": "What?"})
    with pytest.raises(panel.Problem, match="no picture yet"):
        panel.read_inputs(several, None, {"pictures": None, "question": "What?"})


def test_frames_come_from_the_readers_clip_or_the_built_in_one(tmp_path):
    assert len(several.take_frames(None, 5)) == 5
    PICTURES[0].save(tmp_path / "clip.gif", save_all=True, append_images=PICTURES[1:])
    assert len(several.take_frames(str(tmp_path / "clip.gif"), 2)) == 2
    (tmp_path / "clip.gif").write_bytes(b"")
    with pytest.raises(gr.Error, match="empty"):
        several.take_frames(str(tmp_path / "clip.gif"), 2)
