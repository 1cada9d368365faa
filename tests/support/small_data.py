"""A tiny bundle's questions: few words, answers as the float model gives them."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

from edge_qa import QuestionAnswerer

_SUBJECTS = ("ada", "the engine", "a river", "the first book", "london", "stone")
_PLACES = ("in paris", "on the bridge of iron", "in a green house", "1 year in the city", "in london, blue water")
_QUESTIONS = ("who built the bridge?", "what is in the city?", "where was it?", "when?")


def examples() -> list[tuple[str, str]]:
    """120 pairs of question and context, of different lengths."""
    rows = []
    for number, (subject, place, question) in enumerate(product(_SUBJECTS, _PLACES, _QUESTIONS)):
        rest = f" many {place} on the {subject} built water." * (number % 7)
        rows.append(
            (question, f"{subject} was built {place}, and {_PLACES[number % 5]} is {_SUBJECTS[number % 6]}.{rest}")
        )
    return rows


def write_questions(
    path: Path, *, answer: Callable[[str, str], str] | None = None, every: int = 1, first: int = 0
) -> Path:
    """Write every n-th pair as a JSON line, with the answer that a function gives it, or none."""
    lines = []
    for question, context in examples()[first::every]:
        row: dict[str, object] = {"question": question, "context": context}
        if answer is not None:
            row["answers"] = [answer(question, context)]
        lines.append(json.dumps(row))
    path.write_text("\n".join(lines))
    return path


def answers_of(bundle: Path) -> Callable[[str, str], str]:
    """The bundle's own answers, as gold: it scores 100 then, and any other answer costs."""
    answerer = QuestionAnswerer.load(bundle)
    return lambda question, context: answerer.answer(question, context).text
