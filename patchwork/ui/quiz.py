"""A chapter's quiz as one component; `static/quiz.js` grades it in the page. It knows nothing else of the chapter."""

from __future__ import annotations

import html
import json

import gradio as gr

from patchwork.lessons import Chapter, Option, Question


def build_quiz(chapter: Chapter) -> None:
    gr.HTML(
        draw_quiz(chapter),
        js_on_load="Patchwork.mountQuiz(element.querySelector('.pw-quiz'));",
        elem_id=f"pw-quiz-{chapter.id}",
        padding=False,
    )


def draw_quiz(chapter: Chapter) -> str:
    boxes = "".join(draw_question(number, question) for number, question in enumerate(chapter.quiz, start=1))
    return (
        f'<section class="pw-quiz" data-chapter="{chapter.id}" aria-label="Quiz">'
        f'<p class="pw-quiz-score" aria-live="polite"></p>{boxes}</section>'
    )


def draw_question(number: int, question: Question) -> str:
    """A generated question is filled in by the page, from the numbers of the simulation."""
    attributes, extra = "", ""
    if question.generated:
        data = {
            "question": question.question,
            "options": [option.model_dump() for option in question.options],
        }
        attributes = f' data-generated="{html.escape(json.dumps(data), quote=True)}"'
        extra = (
            '<p class="pw-question-tools"><button type="button" class="pw-another" data-from="state">'
            "Numbers of the simulation</button> "
            '<button type="button" class="pw-another" data-from="random">Other numbers</button></p>'
        )
    options = "" if question.generated else "".join(draw_option(option) for option in question.options)
    words = "" if question.generated else html.escape(question.question)
    return (
        f'<fieldset class="pw-question" data-question="{question.id}"{attributes}>'
        f'<legend><span class="pw-question-number">{number}</span> '
        f'<span class="pw-asked-question">{words}</span></legend>{extra}<ol>{options}</ol></fieldset>'
    )


def draw_option(option: Option) -> str:
    return (
        f'<li data-correct="{str(option.correct).lower()}">'
        f'<button type="button" class="pw-option" aria-pressed="false">{html.escape(option.text)}</button>'
        f'<p class="pw-why" hidden>{html.escape(option.why)}</p></li>'
    )
