"""A few seconds of each stage: the loss falls, what is frozen keeps its hash, what is shipped is not touched."""

import random
import threading

import pytest
import torch
from transformers import AutoProcessor, LlavaForConditionalGeneration

from patchwork.tiny import WEIGHTS
from patchwork.tiny.language import pack
from patchwork.tiny.minute import (
    ASKED,
    HELD_OUT,
    QUESTIONS,
    Exam,
    Scenes,
    State,
    choose,
    copy_model,
    draw_all,
    freeze,
    list_parts,
    renew_projector,
    train_minute,
)
from patchwork.tiny.questions import Turn
from patchwork.tiny.world import invent_scene

FOLDER = WEIGHTS / "llava"


STEPS = 14


@pytest.fixture(scope="module")
def shipped():
    return LlavaForConditionalGeneration.from_pretrained(FOLDER).float().eval()


@pytest.fixture(scope="module")
def processor():
    return AutoProcessor.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def states(shipped, processor) -> list[State]:
    return list(train_minute(shipped, processor, FOLDER, seconds=600, most_steps=STEPS, every=3))


def parts_of(state: State) -> dict:
    return {component.name: component for component in state.components}


def last_of(states: list[State], stage: int) -> State:
    return [state for state in states if state.stage == stage][-1]


def test_the_loss_of_stage_one_falls(states):
    losses = [loss for stage, _, loss in states[-1].losses if stage == 1]
    assert len(losses) == STEPS
    assert losses[-1] < losses[0] - 0.3
    first, second = states[-1].scores[:2]
    assert second.loss < first.loss


def test_stage_one_moves_the_projector_and_nothing_else(states):
    parts = parts_of(last_of(states, 1))
    assert [name for name, part in parts.items() if part.trainable] == ["Projector"]
    assert [name for name, part in parts.items() if part.before != part.now] == ["Projector"]


def test_stage_two_moves_the_language_model_too_and_never_the_tower(states):
    parts = parts_of(states[-1])
    assert [name for name, part in parts.items() if part.trainable] == ["Projector", "Language model"]
    assert [name for name, part in parts.items() if part.before == part.now] == ["Vision tower"]


def test_the_parts_are_the_whole_model(states, shipped):
    assert sum(part.parameters for part in states[0].components) == sum(w.numel() for w in shipped.parameters())


def test_the_lent_model_is_copied_and_not_changed(states, shipped):
    again = LlavaForConditionalGeneration.from_pretrained(FOLDER).float()
    assert all(torch.equal(mine, fresh) for mine, fresh in zip(shipped.parameters(), again.parameters(), strict=True))


def test_the_shipped_file_is_only_read(states):
    assert {state.file_before for state in states} | {states[-1].file_now} == {states[0].file_before}


def test_the_end_says_so_once(states):
    assert [state.done for state in states].count(True) == 1 and states[-1].done
    assert [score.when for score in states[-1].scores] == ["before", "after stage 1", "after stage 2"]


def test_the_same_five_pictures_are_asked_throughout(states):
    assert [one.seed for one in states[0].asked] == [HELD_OUT + number for number in range(5)]
    for state in states:
        assert [(one.seed, one.question, one.truth, one.first) for one in state.asked] == [
            (one.seed, one.question, one.truth, one.now) for one in states[0].asked
        ]


def test_word_for_word_is_what_greedy_decoding_writes(shipped, processor):
    """The score reads one forward pass; here transformers generates the same answers."""
    model = copy_model(shipped)
    exam = Exam(model, processor)
    exam.turns = exam.turns[:12]
    said = []
    pictures = draw_all([invent_scene(HELD_OUT + ASKED + number) for number in range(2)], model)
    for number, turn in enumerate(exam.turns):
        said.append(exam.answer(pictures[number // QUESTIONS], turn.question) == turn.answer)
    exam.features = exam.features[:2]
    exam.packed = pack(exam.processor.tokenizer, [(exam.turns[:6], None), (exam.turns[6:], None)])
    score = exam.score("now")
    captions = [right for right, turn in zip(said, exam.turns, strict=True) if turn.type == "describe"]
    others = [right for right, turn in zip(said, exam.turns, strict=True) if turn.type != "describe"]
    assert score.captions == sum(captions) / len(captions)
    assert score.questions == sum(others) / len(others)


def test_a_new_projector_is_random_but_the_same_for_a_seed(shipped):
    model = copy_model(shipped)
    before = model.model.multi_modal_projector.linear_1.weight.detach().clone()
    state = torch.random.get_rng_state()
    renew_projector(model, 3)
    one = model.model.multi_modal_projector.linear_1.weight.detach().clone()
    renew_projector(model, 3)
    assert torch.equal(one, model.model.multi_modal_projector.linear_1.weight)
    assert not torch.equal(one, before)
    assert torch.equal(torch.random.get_rng_state(), state), "other readers' random numbers are not touched"


def test_memory_is_bounded(shipped, monkeypatch):
    monkeypatch.setattr("patchwork.tiny.minute.MOST_SCENES", 10)
    scenes = Scenes(copy_model(shipped), random.Random(0))
    for _ in range(5):
        drawn, owners, patches = scenes.take(4)
        assert len(drawn) == len(owners) == len(patches) == 4
    assert len(scenes.scenes) == len(scenes.features) == 12  # ten, filled up in steps of four


def test_two_readers_train_their_own_copies(shipped, processor):
    """Same seed, same first step; different seeds never meet."""
    firsts: dict[int, float] = {}

    def work(number: int, seed: int) -> None:
        run = train_minute(shipped, processor, FOLDER, most_steps=1, seed=seed)
        for state in run:
            if state.losses:
                firsts[number] = state.losses[0][2]
                break
        run.close()

    workers = [threading.Thread(target=work, args=pair) for pair in ((0, 5), (1, 5), (2, 6))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert firsts[0] == pytest.approx(firsts[1], abs=1e-4)
    assert firsts[0] != pytest.approx(firsts[2], abs=1e-4)


def test_every_weight_belongs_to_one_part(shipped):
    model = copy_model(shipped)
    parts = list_parts(model)
    ids = [id(weight) for weights in parts.values() for weight in weights]
    assert len(ids) == len(set(ids)) == len(list(model.parameters()))
    freeze(model, 1)
    assert all(not weight.requires_grad for weight in parts["Language model"])


def test_a_turn_without_an_answer_is_never_chosen():
    rng = random.Random(1)
    for seed in range(20):
        one = choose(invent_scene(seed), rng, 1)
        assert len(one) == 1 and isinstance(one[0], Turn) and one[0].type == "describe"
        assert all(turn.answer for turn in choose(invent_scene(seed), rng, 2))
