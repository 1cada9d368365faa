"""Questions and passages of a data set, changed: into ones without an answer, and into other layouts."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.experiments.doubt.values import Random, date, email, firm, listed, person, pick
from edge_qa.evaluation.dataset import Example

Row = dict[str, Any]
_SENTENCE = re.compile(r"(?<=[.!?\"”)])\s+(?=[A-Z\"“(])")
_NAME = re.compile(r"(?<=\S )[A-Z][\w'-]+(?: (?:of |the |de )?[A-Z][\w'-]+)*")
_YEAR = re.compile(r"\b(?:1[0-9]{3}|20[0-9]{2})\b")
_OPPOSITES = [
    pair.split()
    for pair in listed(
        "first last|largest smallest|most least|before after|north south|northern southern|east west|eastern western|"
        "highest lowest|oldest newest|increase decrease|increased decreased|won lost|above below|began ended|"
        "minimum maximum|more fewer|male female|early late|start end|born buried|longest shortest|winner loser|"
        "bought sold|accepted rejected|supported opposed|inside outside|higher lower|old young|best worst|"
        "upper lower|strong weak|include exclude|allowed forbidden|joined left|cause prevent|major minor|common rare",
        "|",
    )
]
_OPPOSITE = {a: b for pair in _OPPOSITES for a, b in (pair, pair[::-1])}


def sentences(text: str) -> list[tuple[int, int]]:
    """Return where the sentences of a text begin and end."""
    begins = [0, *(match.end() for match in _SENTENCE.finditer(text))]
    ends = [*(match.start() for match in _SENTENCE.finditer(text)), len(text)]
    return list(zip(begins, ends, strict=True))


def part_of(example: Example, words: int) -> Example:
    """The sentences around the answer: parts of a passage of at least so many words, always cut at the same places.

    The example itself where a part would cut the answer.
    """
    begin = 0
    for _, end in sentences(example.context):
        if len(example.context[begin:end].split()) < words and end < len(example.context):
            continue
        if begin <= example.starts[0] < end:
            text = example.context[begin:end]
            start = example.starts[0] - begin
            if text[start : start + len(example.answers[0])] != example.answers[0]:
                return example
            answers = [(a, s - begin) for a, s in zip(example.answers, example.starts, strict=True) if s >= begin]
            held = [(a, s) for a, s in answers if text[s : s + len(a)] == a]
            return replace(example, context=text, answers=tuple(a for a, _ in held), starts=tuple(s for _, s in held))
        begin = end + len(example.context[end:]) - len(example.context[end:].lstrip())
    return example


def without_answer(example: Example) -> Row | None:
    """The passage without the sentences that hold an answer; None where too little is left."""
    kept = [
        text
        for begin, end in sentences(example.context)
        if not any(answer in (text := example.context[begin:end]) for answer in example.answers)
    ]
    left = " ".join(kept)
    if len(kept) < 2 or any(answer.lower() in left.lower() for answer in example.answers):
        return None
    return _none(example, example.question, left)


def asked_wrong(example: Example, names: Sequence[str], random: Random) -> Row | None:
    """The question with another name, year or an opposite, so that the passage does not say; None where none fits.

    names: those in questions of the same article.
    """
    question = example.question
    options = [("name", match) for match in _NAME.finditer(question) if match.group() in example.context]
    options += [("year", match) for match in _YEAR.finditer(question)]
    options += [("word", match) for match in re.finditer(r"\b[a-z]+\b", question) if match.group() in _OPPOSITE]
    if not options:
        return None
    kind, match = options[int(random.integers(len(options)))]
    old = match.group()
    if kind == "name":
        others = [name for name in names if name not in example.context and name not in question]
        if not others:
            return None
        new = pick(random, others)
    elif kind == "year":
        new = str(int(old) + int(random.choice([-30, -7, -3, -1, 1, 2, 4, 11, 50])))
    else:
        new = _OPPOSITE[old]
    if new in example.context and kind == "year":
        return None
    return _none(example, question[: match.start()] + new + question[match.end() :], example.context)


def names_in(question: str) -> list[str]:
    """Return the names in a question, its first word aside."""
    return _NAME.findall(question)


def laid_out(context: str, start: int, length: int, random: Random) -> tuple[str, int] | None:
    """Lay a passage out as a document: list, numbered clauses, e-mail, wrapped lines, table rows.

    Returns the text and where the answer stands in it; start -1 where there is none. None where a sentence border
    crosses the answer.
    """
    form = pick(random, ["bullets", "numbers", "mail", "wrapped", "rows", "sections", "quote"])
    text, place = "", -1
    if form == "mail":
        text = f"From: {person(random)} <{email(random)}>\nTo: {person(random)}\nDate: {date(random)}\n"
        text += f"Subject: {context[:20].strip()}\n\n"
    elif random.random() < 0.5:
        mark, name = pick(random, ["# ", "", "## "]), firm(random)
        text = f"{mark}{pick(random, ['Notes', 'Overview', name, 'Annex 2', 'Summary'])}\n\n"
    first = int(random.integers(1, 9))
    for number, (begin, end) in enumerate(sentences(context)):
        before, after = {
            "bullets": ("- ", "\n"),
            "numbers": (f"{first}.{number + 1} ", "\n"),
            "mail": ("", "\n\n" if number % 3 == 2 else " "),
            "wrapped": ("", " "),
            "rows": (f"| {number + 1} | ", " |\n"),
            "sections": (f"## {number // 2 + 1}\n\n" if number % 2 == 0 else "", "\n\n"),
            "quote": ("> ", "\n"),
        }[form]
        text += before
        if begin <= start < end:
            if start + length > end:
                return None
            place = len(text) + start - begin
        text += context[begin:end] + after
    if form in ("mail", "wrapped"):
        text = _wrapped(text, int(random.integers(60, 100)))
    return (text, place) if (place >= 0) == (start >= 0) else None


def _wrapped(text: str, width: int) -> str:
    """Turn spaces into line ends; no character moves."""
    result, column = list(text), 0
    last = -1
    for place, character in enumerate(text):
        column = 0 if character == "\n" else column + 1
        if character == " ":
            last = place
        if column > width and last >= 0 and result[last] == " ":
            result[last], column = "\n", place - last
            last = -1
    return "".join(result)


def less_said(example: Example, random: Random) -> str:
    """The question without one of the words that the passage has, too: fewer words in common, the same answer."""
    words = example.question.split()
    held = example.context.lower()
    common = [
        place for place, word in enumerate(words) if place and len(word) > 4 and word.lower().strip("?,.'\"") in held
    ]
    if len(common) < 3:
        return example.question
    drop = common[int(random.integers(len(common)))]
    kept = " ".join(word for place, word in enumerate(words) if place != drop)
    return kept if kept.endswith("?") else f"{kept}?"


def _none(example: Example, question: str, context: str) -> Row:
    return {"question": question, "context": context, "answers": [], "is_impossible": True, "title": "changed"}
