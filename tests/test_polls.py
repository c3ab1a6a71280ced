"""Presence questions: half about what is there, each asked of its picture and of a blank one, counted by first word."""

from patchwork.polls import GREY, count_yeses, list_polls, sort_polls, take_polls
from tests.fakes import FakeModel, make_card
from tests.tiny_models import make_plan


class Leaning(FakeModel):
    """Says yes to whatever is not blank."""

    def __init__(self) -> None:
        card = make_card(capabilities=["chat"])
        super().__init__(card, make_plan(card, "fp32"))

    def chat(self, images, prompt, max_new_tokens=128, stop=None):
        yield "I see nothing." if images[0].getpixel((0, 0)) == GREY else "Yes, there is."


def test_half_are_about_what_is_there_and_the_truth_is_the_scenes():
    probes = list_polls(12)
    assert [probe.answer for probe in probes].count("yes") == 6
    for probe in probes:
        kinds = {thing.kind for thing in probe.scene.things}
        assert (probe.names[0] in kinds) is (probe.answer == "yes")


def test_each_is_asked_of_its_picture_and_then_of_a_blank_one():
    states = list(take_polls(4, Leaning()))
    told = [(len(polls), polls[-1].blank is None) for polls in states[:4]]
    assert told == [
        (1, True),
        (1, False),
        (2, True),
        (2, False),
    ]
    there, absent, blank = sort_polls(states[-1])
    assert (there.yes, there.asked, absent.yes, absent.asked) == (2, 2, 2, 2)
    assert (blank.yes, blank.no, blank.neither) == (0, 0, 4)


def test_an_answer_counts_by_its_first_word():
    counted = count_yeses(["Yes.", "no, none", "I think yes", ""])
    assert (counted.yes, counted.no, counted.neither) == (1, 1, 2) and counted.share.value == 0.25
