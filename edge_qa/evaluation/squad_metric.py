"""The official SQuAD metrics, v1.1 and v2.0: exact match and F1.

Source: evaluate-v1.1.py and evaluate-v2.0.py of https://rajpurkar.github.io/SQuAD-explorer/, followed to the last
bit. The two differ only where an answer or a prediction is empty once normalised: v1.1 gives such a pair F1 0, v2.0
gives 1 if both are empty, drops empty golds, and takes "" as the gold answer of a question without any.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Example, Version
from edge_qa.evaluation.segmentation import Segmentation, normalize_answer

__all__ = [
    "BestThreshold",
    "Metric",
    "QuestionScore",
    "Scores",
    "best_no_answer_threshold",
    "exact_match",
    "f1",
    "normalize_answer",
    "per_question",
    "score",
]

Metric = Literal["exact_match", "f1"]


@dataclass(frozen=True, slots=True)
class QuestionScore:
    """One question's best score over its gold answers; 0 and 0 if it has no prediction."""

    exact_match: float  # 0.0 or 1.0
    f1: float  # 0..1


@dataclass(frozen=True)
class Scores:
    """Means over a data set, in percent, 0..100; None where v1.1 or an empty group has no such figure."""

    exact_match: float
    f1: float
    questions: int  # all of them, the missing ones included
    missing: int  # questions without a prediction: scored 0
    has_answer_exact_match: float | None = None
    has_answer_f1: float | None = None
    has_answer_questions: int | None = None
    no_answer_exact_match: float | None = None
    no_answer_f1: float | None = None
    no_answer_questions: int | None = None


@dataclass(frozen=True)
class BestThreshold:
    """Where to stop answering: predict no answer if a question's no-answer score exceeds `threshold`."""

    threshold: float  # in the units of the no-answer scores
    score: float  # what the metric would then be, percent


def exact_match(prediction: str, gold: str, *, segmentation: Segmentation = "squad") -> bool:
    """Whether the two are equal once normalised."""
    return normalize_answer(prediction, segmentation) == normalize_answer(gold, segmentation)


def f1(prediction: str, gold: str, *, version: Version, segmentation: Segmentation = "squad") -> float:
    """Return the harmonic mean of token precision and recall, 0..1, of the normalised texts."""
    _check_version(version)
    return _f1(normalize_answer(prediction, segmentation), normalize_answer(gold, segmentation), version)


def per_question(
    examples: Iterable[Example],
    predictions: Mapping[str, str],
    *,
    version: Version,
    segmentation: Segmentation = "squad",
) -> dict[str, QuestionScore]:
    """Return each question's score by id, in the order of `examples`.

    predictions: id -> answer text, "" for no answer; ids that no example has are ignored, as officially.
    Raises InputError if two examples share an id, or if one has no gold answer and the version is v1.1.
    """
    _check_version(version)
    scores: dict[str, QuestionScore] = {}
    for example in examples:
        if example.id in scores:
            raise InputError(f"question {example.id!r} is given twice", wanted="each id once", remedy="remove one")
        if version == "v1.1" and example.is_impossible:
            raise InputError(f"question {example.id!r} has no gold answer, v1.1 wants one", remedy="score it as v2.0")
        if example.id in predictions:
            scores[example.id] = _question_score(predictions[example.id], example.answers, version, segmentation)
        else:
            scores[example.id] = QuestionScore(0.0, 0.0)
    return scores


def score(
    examples: Iterable[Example],
    predictions: Mapping[str, str],
    *,
    version: Version,
    segmentation: Segmentation = "squad",
) -> Scores:
    """Return the official scores of `predictions` (id -> text), and how many questions had none.

    A question without a prediction scores 0 and counts, in both versions. That is what the v1.1 script does; the
    v2.0 script stops with a KeyError, so no official figure exists there, and leaving such questions out would
    flatter. To score a part of a data set, pass that part of its examples.
    Raises InputError as `per_question` does, and if there is no example at all.
    """
    examples = tuple(examples)
    if not examples:
        raise InputError("no question to score", wanted="at least one", remedy="check how the examples were selected")
    scores = per_question(examples, predictions, version=version, segmentation=segmentation)
    total = Scores(
        exact_match=_percent(scores.values(), "exact_match"),
        f1=_percent(scores.values(), "f1"),
        questions=len(scores),
        missing=sum(example_id not in predictions for example_id in scores),
    )
    if version == "v1.1":
        return total
    has_answer = [scores[example.id] for example in examples if not example.is_impossible]
    no_answer = [scores[example.id] for example in examples if example.is_impossible]
    return replace(
        total,
        has_answer_exact_match=_percent(has_answer, "exact_match") if has_answer else None,
        has_answer_f1=_percent(has_answer, "f1") if has_answer else None,
        has_answer_questions=len(has_answer),
        no_answer_exact_match=_percent(no_answer, "exact_match") if no_answer else None,
        no_answer_f1=_percent(no_answer, "f1") if no_answer else None,
        no_answer_questions=len(no_answer),
    )


def best_no_answer_threshold(
    examples: Iterable[Example],
    predictions: Mapping[str, str],
    no_answer_scores: Mapping[str, float],
    *,
    metric: Metric,
    segmentation: Segmentation = "squad",
) -> BestThreshold:
    """Return the no-answer threshold with the best v2.0 score, as the official `find_best_thresh` finds it.

    predictions: id -> the best answer text, given whatever the no-answer score is.
    no_answer_scores: id -> finite number, higher for less answerable; a probability, or a difference of logits.
    Official, and worth knowing: 0.0 stands for "answer nothing", which is only true of scores above 0; and a
    threshold may be found between equal scores, where none can really lie.
    Raises InputError if an example has no prediction or no finite no-answer score, or if there is no example.
    """
    examples = tuple(examples)
    if not examples:
        raise InputError(
            "no question to find a threshold on", wanted="at least one", remedy="check how they were selected"
        )
    for example in examples:
        # The official script goes on, and may then report more than 100 %.
        if example.id not in predictions or not math.isfinite(no_answer_scores.get(example.id, math.nan)):
            raise InputError(
                f"question {example.id!r} lacks a prediction or a finite no-answer score, a threshold wants "
                "both of every question",
                remedy="predict them all",
            )
    scores = per_question(examples, predictions, version="v2.0", segmentation=segmentation)
    impossible = {example.id for example in examples if example.is_impossible}
    current: float = len(impossible)  # the score of answering nothing
    best, threshold = current, 0.0
    for example_id in sorted(no_answer_scores, key=lambda key: no_answer_scores[key]):
        if example_id not in scores:
            continue
        # Raising the threshold to here answers this question too: it gains its score, or loses a right "no answer".
        if example_id not in impossible:
            current += getattr(scores[example_id], metric)
        elif predictions[example_id]:
            current -= 1
        if current > best:
            best, threshold = current, no_answer_scores[example_id]
    return BestThreshold(threshold, 100.0 * best / len(scores))


def _question_score(
    prediction: str, answers: Iterable[str], version: Version, segmentation: Segmentation
) -> QuestionScore:
    predicted = normalize_answer(prediction, segmentation)
    # A set: golds repeat, and a maximum has no order.
    golds = {normalize_answer(answer, segmentation) for answer in answers}
    if version == "v2.0":
        golds = golds - {""} or {""}
    return QuestionScore(float(predicted in golds), max(_f1(predicted, gold, version) for gold in golds))


def _f1(prediction: str, gold: str, version: Version) -> float:
    """F1 of two normalised texts."""
    predicted, wanted = prediction.split(), gold.split()
    if version == "v2.0" and not (predicted and wanted):
        return float(predicted == wanted)
    common = (Counter(predicted) & Counter(wanted)).total()
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _percent(scores: Collection[QuestionScore], metric: Metric) -> float:
    total = 0.0
    for one in scores:  # not sum(), which rounds otherwise from Python 3.12 on: the same answers, the same score
        total += getattr(one, metric)
    return 100.0 * total / len(scores)


def _check_version(version: str) -> None:
    if version not in get_args(Version):
        raise InputError(
            f"metric version {version!r}", wanted=f"one of {get_args(Version)}", remedy="take the data set's own"
        )
