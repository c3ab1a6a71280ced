"""The check of the reader's question, which several demos share, and its sentences."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import ValidationError

from patchwork.demo import Data, check_question


class Asking(Data):
    question: Annotated[str, check_question(5)]


class MayAsk(Data):
    question: Annotated[str, check_question(5, needed=False)] = ""


@pytest.mark.parametrize("kind", [Asking, MayAsk])
def test_a_question_is_stripped_and_may_reach_the_limit(kind):
    assert kind(question=" why ").question == "why"
    assert kind(question="why 5").question == "why 5"


@pytest.mark.parametrize(
    ("kind", "question", "sentence"),
    [
        (Asking, " \n", "There is no question yet; type one beside the picture"),
        (Asking, "why me", "The question has 6 characters; the limit is 5, so shorten it"),
        (MayAsk, "why me", "The question has 6 characters; the limit is 5, so shorten it"),
    ],
)
def test_what_is_wrong_with_a_question_is_said(kind, question, sentence):
    with pytest.raises(ValidationError) as caught:
        kind(question=question)
    assert caught.value.errors()[0]["msg"] == f"Value error, {sentence}"


def test_a_question_that_is_not_needed_may_be_empty():
    assert MayAsk(question="  ").question == ""
