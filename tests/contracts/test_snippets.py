"""“Show me the code”: each snippet runs alone and says what the demo says. Only the checkpoint's name is replaced."""

import ast
import re

import pytest

from app import load_demos
from demos import (
    ask,
    attention,
    bridge,
    document,
    fusion,
    ground,
    honesty,
    instructions,
    kinds,
    look,
    measure,
    several,
    similarity,
    trace,
    train,
)
from patchwork.answers import read_number, read_yes_or_no
from patchwork.catalog import load_catalog
from patchwork.families import get_family
from patchwork.hardware import detect_cpu
from patchwork.plan import make_plan
from patchwork.probes import AXES
from patchwork.tiny import FRESH, draw_scene
from patchwork.tiny.catalogue import invent_page
from tests.tiny_models import make_card, shared_folder

CATALOG = load_catalog()
READERS = (read_yes_or_no, read_yes_or_no, read_number)


OURS = {"app", "bench", "demos", "patchwork", "tests"}


def run_demo(demo, card, **fields):
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    *_, last = demo.run(demo.Inputs(picture=draw_scene(FRESH + 11, 256), **fields), model)
    return last


def test_similarity(run_snippet):
    card = CATALOG.get("tiny-clip")
    printed = ast.literal_eval(run_snippet(similarity, card))
    result = run_demo(similarity, card, captions=["a green fish", "a red car"])
    mine = {score.caption: score.softmax for score in result.scores}
    assert printed == pytest.approx([mine["a green fish"], mine["a red car"]], abs=1e-4)


def test_attention(run_snippet):
    card = CATALOG.get("tiny-clip")
    printed = run_snippet(attention, card)
    numbers = [float(number) for number in re.findall(r"\d\.\d+(?:e-\d+)?", printed)]
    mine = [value for row in run_demo(attention, card).map.grid for value in row]
    assert numbers == pytest.approx(mine, abs=2e-4)


def test_honesty(run_snippet):
    card = CATALOG.get("tiny-clip")
    printed = ast.literal_eval(run_snippet(honesty, card))
    own = run_demo(honesty, card, seed=1).curves[0]
    assert own.kind == "own" and printed == pytest.approx(own.scores, abs=1e-4)


@pytest.mark.parametrize("alone", [False, True], ids=["here", "in a Python of its own"])
def test_ask(run_snippet, alone):
    card = CATALOG.get("tiny-llava")
    assert run_snippet(ask, card, alone) == run_demo(ask, card, question="What is in the picture?").text


@pytest.mark.parametrize("family", ["llava", "idefics3"])
def test_bridge(run_snippet, family):
    card = CATALOG.get("tiny-llava") if family == "llava" else make_card(shared_folder(family), family)
    printed = ast.literal_eval(run_snippet(bridge, card))
    assert printed == next(one for one in run_demo(bridge, card, breaks=[]).readings if "after" in one.name).words


def test_document(run_snippet, tmp_path):
    """As a card that reads price lists is asked, whether or not this one's weights have learnt it."""
    reads = {"tiles": 12, "capabilities": frozenset({"chat", "read_document"})}
    card = CATALOG.get("tiny-llava").model_copy(update=reads)
    page = invent_page(FRESH + 1).draw(256)
    page.save(tmp_path / "picture.png")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    question = "what is the price of the red hat?"
    said = "".join(model.read_document([page], question, max_new_tokens=document.MOST_TOKENS["question"]))
    assert run_snippet(document, card) == said.strip()


def test_ground(run_snippet):
    card = CATALOG.get("tiny-llava")
    assert run_snippet(ground, card) == run_demo(ground, card, phrase="yellow ring").text


def test_trace(run_snippet):
    """Each line: the last layer's attention on the picture, and the token."""
    card = CATALOG.get("tiny-llava")
    lines = [line.split(" ", 1) for line in run_snippet(trace, card).splitlines()]
    steps = run_demo(trace, card, question="What is in the picture?").trace.steps
    assert [float(share) for share, _ in lines] == pytest.approx([step.shares[-1][0] for step in steps], abs=1e-4)
    assert "".join(ast.literal_eval(text) for _, text in lines) == "".join(step.text for step in steps)


def test_fusion(run_snippet):
    card = CATALOG.get("tiny-clip")
    printed = ast.literal_eval(run_snippet(fusion, card))
    assert printed == [way.row for way in run_demo(fusion, card, measure=False).ways]


def test_kinds(run_snippet):
    card = CATALOG.get("tiny-llava")
    row, picture = map(int, re.findall(r"\d+", run_snippet(kinds, card)))
    result = run_demo(kinds, card)
    assert (row, picture) == (result.row, result.picture_places)


def test_instructions(run_snippet):
    card = CATALOG.get("tiny-llava")
    lines = "What is in the picture?\nHow many things are there?"
    said = [one.text for one in run_demo(instructions, card, instructions=lines).answers]
    assert run_snippet(instructions, card).splitlines() == said


def test_look(run_snippet, tmp_path):
    card = CATALOG.get("tiny-llava")
    look.draw_scene(look.FIRST).save(tmp_path / "other.png")
    sights = run_demo(look, card, question="What is in the picture?", polls=4).looks.sights
    assert run_snippet(look, card).splitlines() == [sight.said for sight in sights]


def test_measure(run_snippet):
    """It asks in the panel's words, of the picture that it is given, and counts by the first word."""
    card = CATALOG.get("tiny-llava")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    questions = [AXES["presence"].ask(("ring",)), AXES["presence"].ask(("boat",)), AXES["count"].ask(())]
    *said, sum_line = run_snippet(measure, card).splitlines()
    mine = ["".join(model.chat([draw_scene(FRESH + 11, 256)], one, max_new_tokens=48)).strip() for one in questions]
    assert said == mine
    right = sum(read(text) == truth for read, text, truth in zip(READERS, said, ("yes", "no", "3"), strict=True))
    assert sum_line.startswith(f"{right} of 3 right: {100 * right / 3:.0f} % ±")


def test_several(run_snippet, tmp_path):
    card, pictures = CATALOG.get("tiny-llava"), several.example()["pictures"][::3]
    for number, picture in enumerate(pictures, start=1):
        picture.save(tmp_path / f"picture-{number}.png")
    model = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    *_, last = several.run(several.Inputs(pictures=pictures), model)
    assert run_snippet(several, card).splitlines() == last.texts


def test_train(run_snippet):
    """The first loss is the recipe's, on the same picture and caption; then it falls."""
    from patchwork.tiny import minute
    from patchwork.tiny.language import encode_pictures, pack, run_packed
    from patchwork.tiny.questions import Turn

    card = CATALOG.get("tiny-llava")
    losses = [float(value) for value in re.findall(r"loss (\d+\.\d+)", run_snippet(train, card))]
    assert len(losses) == 10 and losses[-1] < losses[0]
    loaded = get_family(card.family).load(card, make_plan(card, detect_cpu()), lambda *_: None)
    model = minute.copy_model(loaded.model)
    pixels = loaded.processor.image_processor(images=draw_scene(FRESH + 11, 256), return_tensors="pt")["pixel_values"]
    pictures = ((pixels.permute(0, 2, 3, 1) + 1) * 127.5).round().numpy().astype("uint8")
    packed = pack(
        loaded.processor.tokenizer, [([Turn("describe", "describe the picture.", "a large red star.")], None)]
    )
    hidden, _ = run_packed(model, encode_pictures(model, pictures).float(), packed)
    assert losses[0] == pytest.approx(minute.answer_loss(model, hidden, packed.labels).mean().item(), abs=0.05)


@pytest.mark.parametrize("demo", load_demos().values(), ids=load_demos())
def test_every_snippet_is_valid_python_and_needs_nothing_of_ours(demo):
    for card in CATALOG.offering(demo.NEEDS):
        nodes = list(ast.walk(ast.parse(demo.snippet(card))))
        named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert named and not {name.split(".")[0] for name in named} & OURS
        assert "trust_remote_code" not in demo.snippet(card)
