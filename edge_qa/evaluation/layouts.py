"""Where the questions stand in the JSON of each layout that exists, and the names of those that are not read.

SQuAD       {"version": ..., "data": [{"title": ..., "paragraphs": [{"context": ..., "qas": [...]}]}]}
array       [...] of examples, of paragraphs with `qas`, or of articles with `paragraphs`
JSON lines  a line an example, or a paragraph with `qas`
"""

import json
from collections.abc import Iterator
from typing import Any

from edge_qa.errors import InputError
from edge_qa.evaluation.example import Place, get


def is_whole(root: Any) -> bool:
    """Whether this JSON value is a whole data set, and not one line of JSON lines."""
    return isinstance(root, list) or (isinstance(root, dict) and "data" in root)


def says_version_2(root: Any) -> bool:
    """Whether a SQuAD file calls itself v2; 1.1 and 2.0 are sometimes numbers."""
    version = str(root.get("version", "")) if isinstance(root, dict) else ""
    return version.lower().removeprefix("v").startswith("2")


def whole_places(root: Any, source: str = "") -> Iterator[Place]:
    """Iterate over the questions of a SQuAD file or of an array; source: the file's name in errors.

    Raises InputError where it is neither, or a layout that is known and not read.
    """
    _refuse_by_name(root, source)
    if isinstance(root, list):
        nodes, path, kind = root, "", "question"
    else:
        nodes, path, kind = get(root, "data", list, source), "data", "paragraphs"
    for index, node in enumerate(nodes):
        yield from _node_places(node, _at(source, f"{path}[{index}]"), index + 1, kind)


def line_places(line: Any, number: int, source: str = "") -> Iterator[Place]:
    """Iterate over the questions of one line of JSON lines, of which this is the value; source as above."""
    _refuse_by_name(line, _at(source, f"line {number}"))
    yield from _node_places(line, _at(source, f"line {number}"), number)


def parse(text: str | bytes) -> Any:
    """json.loads, with each of its failures as a JSONDecodeError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:  # an integer of thousands of digits; thousands of brackets; no UTF-8
        raise json.JSONDecodeError(str(error), "", 0) from error


def _at(source: str, place: str) -> str:
    return f"{source}: {place}" if source else place


def _node_places(node: Any, where: str, number: int, otherwise: str = "question") -> Iterator[Place]:
    """otherwise: what a node is taken for that has none of the keys."""
    keys = ("question", "paragraphs", "qas")
    key = next((key for key in keys if isinstance(node, dict) and key in node), otherwise)
    if key == "question":
        yield Place(where, node, node, node, number)
    elif key == "paragraphs":
        yield from _article_places(node, where)
    else:
        yield from _paragraph_places(node, node, where)


def _article_places(article: Any, where: str) -> Iterator[Place]:
    for p, paragraph in enumerate(get(article, "paragraphs", list, where)):
        yield from _paragraph_places(paragraph, article, f"{where}.paragraphs[{p}]")


def _paragraph_places(paragraph: Any, article: Any, where: str) -> Iterator[Place]:
    for q, question in enumerate(get(paragraph, "qas", list, where)):
        yield Place(f"{where}.qas[{q}]", question, paragraph, article)


def _refuse_by_name(root: Any, where: str) -> None:
    """Raise InputError for the layouts of known data sets whose contexts are no plain text."""
    if not isinstance(root, dict) or "question" in root:
        return
    articles = root.get("data")
    first = articles[0] if isinstance(articles, list) and articles else root
    if str(root.get("version", "")).startswith("KorQuAD_2") or (isinstance(first, dict) and "raw_html" in first):
        raise InputError(
            "is KorQuAD 2, whose contexts are pages of HTML",
            where=where,
            wanted="contexts of plain text",
            remedy="take KorQuAD 1.0, or write texts, questions and answers as JSON lines",
        )
    questions = root.get("qas")
    question = questions[0] if isinstance(questions, list) and questions else None
    if "header" in root or (isinstance(question, dict) and "detected_answers" in question):
        raise InputError(
            "is the layout of MRQA, whose contexts hold marks such as [PAR] and [TLE]",
            where=where,
            wanted="SQuAD or JSON lines",
            remedy="take the data set that it was made of, or write its questions as JSON lines",
        )
