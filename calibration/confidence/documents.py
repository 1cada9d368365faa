"""How sure an answer from documents is: fitted on questions asked over an index of all passages of their file.

Each question is asked twice: of the passages that retrieval finds, and of those that it finds where the question's
own text is taken out. The second is how documents without an answer look to retrieval: close, and wrong.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.confidence.logistic import fit_monotone
from calibration.confidence.reads import RIGHT_F1, Read, halves
from calibration.confidence.reliability import expected_calibration_error, levels, reliability, risk_limit
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.manifest import ConfidenceRecord, DocumentsRecord
from edge_qa.documents.cited_answers import PASSAGES, read_passages
from edge_qa.documents.index import DocumentIndex
from edge_qa.documents.ranking import CLOSENESS, DOCUMENT_SIGNS, Candidate, ranked, terms_of
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example
from edge_qa.evaluation.squad_metric import f1
from edge_qa.inference.confidence import probabilities
from edge_qa.progress import Progress

# Of the passages read, how many times as many are looked for: those of the question's own text are taken out.
_LOOKED_AT = 4
# What closeness may count beside the margin, and how steeply ranks may be taken for chances.
_CLOSENESS = np.geomspace(0.25, 4, 81)
# Of the logarithm of that weight around the usual one: few questions say little about it.
_DEVIATION = 0.5
_STEEPNESS = np.geomspace(0.05, 2, 40)


@dataclass(frozen=True)
class Asked:
    """What passages gave for a question.

    right: which candidates are. with_text: whether the question's own text could be found. text: where that lies.
    """

    candidates: tuple[Candidate, ...]
    right: tuple[bool, ...]
    with_text: bool
    text: str


def fit_documents(
    answerer: QuestionAnswerer,
    data: Dataset,
    folder: Path,
    *,
    questions: int,
    false_answers: float,
    seed: int,
    progress: Progress,
) -> DocumentsRecord:
    """Return what a manifest says of answers from documents. folder: an empty one for the texts and their index.

    Raises InputError for too few questions with answers.
    """
    asked = ask_twice(answerer, data, folder, questions, seed=seed, progress=progress)
    closeness = fit_closeness(asked)
    groups = {text: place for place, text in enumerate(sorted({one.text for one in asked}))}
    reads = [_read(one, closeness, groups) for one in asked]
    fitting, checking = halves(reads, seed=seed, where=data.where)
    terms = [one.terms for one in fitting]
    opposite = {name: -sign for name, sign in DOCUMENT_SIGNS.items()}
    answer = fit_monotone(terms, np.array([one.right for one in fitting]), DOCUMENT_SIGNS)
    none = fit_monotone(terms, np.array([not (one.answerable or one.right) for one in fitting]), opposite)
    confidence = probabilities(
        np.array(
            [answer["constant"] + sum(answer[name] * one.terms[name] for name in DOCUMENT_SIGNS) for one in checking]
        )
    )
    right, answerable = (np.array([getattr(one, name) for one in checking]) for name in ("right", "answerable"))
    bins = reliability(confidence, right)
    # What another passage answers right is no false answer.
    risky = np.where(right & ~answerable, 0.0, confidence)
    return DocumentsRecord(
        passages=PASSAGES,
        closeness=closeness,
        confidence=ConfidenceRecord(
            answer=answer,
            none=none,
            dataset=data.name,
            dataset_sha256=data.sha256,
            seed=seed,
            questions=len(reads),
            expected_calibration_error=expected_calibration_error(bins),
            reliability=bins,
            levels=levels(confidence, right, answerable | right),
            limit=risk_limit(risky, right & answerable, answerable, false_answers),
        ),
    )


def ask_twice(
    answerer: QuestionAnswerer, data: Dataset, folder: Path, count: int, *, seed: int, progress: Progress
) -> list[Asked]:
    """Ask `count` questions of an index of all texts of the data, made in `folder`, with their own text and without."""
    examples = [one for one in data if one.question.strip() and one.context.strip() and one.answers]
    if not examples:
        raise InputError("has no question with an answer", where=data.where, remedy="give such questions")
    paths = write_texts(data, folder)
    found = []
    drawn = np.random.default_rng(seed).permutation(len(examples))[:count].tolist()
    with DocumentIndex.build([folder / "texts"], folder / "library.db") as index:
        for done, place in enumerate(drawn, 1):
            found += _both_ways(answerer, index, examples[place], paths)
            progress("ask documents", done, len(drawn))
    return found


def write_texts(data: Dataset, folder: Path) -> dict[str, str]:
    """Write each text of the data as a document, with its title; returns their paths. Names say nothing to a search."""
    texts = folder / "texts"
    texts.mkdir()
    paths: dict[str, str] = {}
    for example in data:
        if example.context not in paths and example.context.strip():
            path = texts / f"{_letters(len(paths))}.jsonl"
            path.write_text(json.dumps({"title": example.title.replace("_", " "), "text": example.context}))
            paths[example.context] = str(path.resolve())
    return paths


def is_right(text: str, example: Example) -> bool:
    """Return whether an answer is one that the data gives."""
    return any(f1(text, answer, version="v1.1") >= RIGHT_F1 for answer in example.answers)


def fit_closeness(asked: Sequence[Asked]) -> float:
    """Return what closeness counts beside the margin: the weight that makes right candidates likeliest.

    The chance of a candidate is the softmax of its rank over those of its question, at the steepness that fits best.
    """
    useful = [one for one in asked if any(one.right) and not all(one.right)]
    if not useful:
        return CLOSENESS
    most = max(len(one.candidates) for one in useful)
    margin, close = np.full((2, len(useful), most), -np.inf)
    right = np.zeros((len(useful), most), bool)
    for row, one in enumerate(useful):
        size = len(one.candidates)
        margin[row, :size] = [candidate.terms["margin"] for candidate in one.candidates]
        close[row, :size] = [candidate.terms["closeness"] for candidate in one.candidates]
        right[row, :size] = one.right
    there = np.isfinite(margin)

    def loss(weight: float, steepness: float) -> float:
        logits = np.where(there, steepness * (np.where(there, margin, 0) + weight * np.where(there, close, 0)), -np.inf)
        return float((np.logaddexp.reduce(logits, axis=1) - _log_sum(logits, right)).mean())

    def cost(weight: float) -> float:
        unusual = (np.log(weight / CLOSENESS) / _DEVIATION) ** 2 / 2
        return min(loss(weight, steepness) for steepness in _STEEPNESS) + float(unusual) / len(useful)

    return round(float(min(_CLOSENESS, key=cost)), 3)


def _log_sum(logits: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = np.logaddexp.reduce(np.where(chosen, logits, -np.inf), axis=1)
    return total


def _both_ways(
    answerer: QuestionAnswerer, index: DocumentIndex, example: Example, paths: dict[str, str]
) -> list[Asked]:
    passages = index.search(example.question, limit=_LOOKED_AT * PASSAGES)
    own = paths[example.context]
    chosen = {
        True: passages[:PASSAGES],
        False: [one for one in passages if one.file.path != own][:PASSAGES],
    }
    needed = [one for one in passages if any(one in part for part in chosen.values())]
    read = read_passages(answerer, example.question, needed)
    return [
        Asked(candidates, tuple(is_right(one.text, example) for one in candidates), with_text, own)
        for with_text, part in chosen.items()
        if (candidates := tuple(one for one in read if one.passage in part))
    ]


def _read(asked: Asked, closeness: float, groups: dict[str, int]) -> Read:
    """The best candidate, and whether it is right."""
    best = ranked(asked.candidates, closeness)
    right = asked.right[asked.candidates.index(best[0])]
    return Read(terms_of(0, best, closeness), asked.with_text, right, groups[asked.text])


def _letters(number: int) -> str:
    """A name without digits, which a question might ask for: aa, ab, ..."""
    return "".join(chr(ord("a") + int(digit)) for digit in str(number))
