"""What a model keeps of its right answers while it answers few questions that have none.

python -m benchmarks.experiments.abstention [--choose] [--share S] SQUAD_FOLDER BUNDLE... > rows.json

At a threshold that answers 10 % of the questions without an answer: by margin over "none" alone, and by a confidence
that was fitted on SQuAD train. With --choose everything is measured on the articles of train that
`benchmarks.experiments.doubt` leaves out and on the documents named `tune`; without it on SQuAD dev and on those
named `judge`, which choose nothing, and with F1 on all of SQuAD 1.1 and 2.0 dev. Half an hour a bundle on two
cores; --share 0.2 asks a fifth of the questions of SQuAD.
"""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.experiments.doubt.__main__ import held_out
from benchmarks.experiments.reliability import FALSE_ANSWERS, confidences, documents, weights_of
from calibration.confidence.reads import RIGHT_F1, Question, Read, questions_of, read
from calibration.data.retrieved_negatives import PassageSearch
from edge_qa import QuestionAnswerer, read_dataset
from edge_qa.evaluation.dataset import Dataset
from edge_qa.evaluation.evaluate import evaluate
from edge_qa.evaluation.squad_metric import f1
from edge_qa.inference.confidence import SIGNS
from edge_qa.progress import no_progress

# Read by margin alone.
MARGIN = {"constant": 0.0, "margin": 1.0, "lead": 0.0, "length": 0.0}
Weights = dict[str, dict[str, float]]


def kept(weights: dict[str, float], true: Sequence[Read], without: Sequence[Read]) -> float:
    """The share of the right answers that is kept where FALSE_ANSWERS of the questions without one are answered."""
    least = np.quantile(confidences(weights, without), 1 - FALSE_ANSWERS, method="higher")
    right = np.array([one.right for one in true])
    return round(100 * float((right & (confidences(weights, true) > least)).sum() / right.sum()), 2)


def best(weights: dict[str, float], groups: Sequence[Sequence[Read]]) -> list[Read]:
    """The surest read of each question's passages."""
    return [group[int(confidences(weights, group).argmax())] for group in groups]


def ten_passages(answerer: QuestionAnswerer, data: Dataset, weights: Weights, count: int) -> dict[str, float]:
    """Questions over their own passage and the nine best that hold no answer, and over the ten best of those."""
    examples = list(data)
    search = PassageSearch([example.context for example in examples])
    asked: list[Question] = []
    ends = [0]
    for place in np.random.default_rng(2).permutation(len(examples))[:count].tolist():
        example = examples[place]
        asked.append(Question(example, example.context, place, answerable=True))
        asked += [Question(example, passage, place, answerable=False) for passage in search.negatives(example, 10)]
        ends.append(len(asked))
    reads = read(answerer, asked, no_progress)
    assert len(reads) == len(asked)
    groups = [reads[begin:end] for begin, end in pairwise(ends)]
    result = {}
    for name, own in weights.items():
        true, false = best(own, [group[:10] for group in groups]), best(own, [group[1:] for group in groups])
        result[f"kept by {name}"] = kept(own, true, false)
    result["right with the passage alone"] = round(100 * float(np.mean([group[0].right for group in groups])), 2)
    return result


def one_passage(reads: Sequence[Read], weights: Weights) -> dict[str, float]:
    """What is kept where every question has one text to read."""
    without = [one for one in reads if not one.answerable]
    answerable = [one for one in reads if one.answerable]
    return {f"kept by {name}": kept(own, answerable, without) for name, own in weights.items()} | {
        "right of answerable": round(100 * float(np.mean([one.right for one in answerable])), 2)
    }


def on_documents(answerer: QuestionAnswerer, part: str, weights: Weights) -> dict[str, Any]:
    """The documents of a part: what is kept, by kind too, and the F1 of always answering, by kind."""
    questions = documents(part)
    reads = read(answerer, questions, no_progress)
    kinds = [question.example.id.rsplit("-", 2)[0] for question in questions]
    scores: dict[str, list[float]] = {}
    for question, kind in zip(questions, kinds, strict=True):
        if question.answerable:
            found = answerer.answer(question.example.question, question.context).text
            best_f1 = max(f1(found, answer, version="v1.1") for answer in question.example.answers)
            scores.setdefault(kind, []).append(best_f1)
    own = weights["confidence"]
    without = [one for one in reads if not one.answerable]
    least = np.quantile(confidences(own, without), 1 - FALSE_ANSWERS, method="higher")
    says = confidences(own, reads)
    by_kind = {}
    for kind in sorted(set(kinds)):
        right = np.array([one.right and name == kind for one, name in zip(reads, kinds, strict=True)])
        none = np.array([not one.answerable and name == kind for one, name in zip(reads, kinds, strict=True)])
        by_kind[kind] = {
            "f1": round(100 * float(np.mean(scores[kind])), 1),
            "kept": round(100 * float((says > least)[right].mean()), 1),
            "false": round(100 * float((says > least)[none].mean()), 1),
        }
    every = [value for each in scores.values() for value in each]
    return one_passage(reads, weights) | {"f1": round(100 * float(np.mean(every)), 2), "by kind": by_kind}


def exam(answerer: QuestionAnswerer, data: Dataset, limit: int | None = None) -> dict[str, float]:
    """F1 of always answering, or of the best threshold where some questions have no answer."""
    (result,) = evaluate([("", answerer)], data, limit=limit, warm_up=False)
    chosen = result.best_threshold
    return {
        "questions": result.scores.questions,
        "exact match": round(result.scores.exact_match, 2),
        "f1": round(result.scores.f1, 2),
    } | ({} if chosen is None else {"f1 at the best threshold": round(chosen.score, 2)})


def measured(answerer: QuestionAnswerer, squad: Path, share: float, *, choose: bool) -> dict[str, Any]:
    """All figures of one bundle."""
    train = read_dataset(squad / "train-v1.1.json.gz")
    if choose:
        apart = replace(train, examples=tuple(one for one in train if held_out(one.title)))
        fitting = replace(train, examples=tuple(one for one in train if not held_out(one.title)))
        part, exams = "tune", {"held out": exam(answerer, apart, round(2000 * share))}
    else:
        apart, fitting, part = read_dataset(squad / "dev-v1.1.json.gz"), train, "judge"
        exams = {
            f"SQuAD {data.version} dev": exam(answerer, data, round(share * len(data)))
            for data in (apart, read_dataset(squad / "dev-v2.0.json.gz"))
        }
    # Half of the reads of one passage have an answer in it.
    count = round(1000 * share)
    fitted = weights_of(read(answerer, questions_of(fitting, 1400, seed=1), no_progress))
    weights = {"margin": MARGIN, "confidence": fitted}
    assert set(SIGNS) | {"constant"} == set(fitted)
    return {
        "weights": {name: round(value, 3) for name, value in fitted.items()},
        **exams,
        "one passage": one_passage(read(answerer, questions_of(apart, 2 * count, seed=2), no_progress), weights),
        "ten passages": ten_passages(answerer, apart, weights, count),
        f"documents: {part}": on_documents(answerer, part, weights),
        "right is": f"F1 of {RIGHT_F1} or more",
    }


def main() -> None:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("squad", type=Path)
    parser.add_argument("bundles", type=Path, nargs="+")
    given = parser.parse_args()
    for bundle in given.bundles:
        found = measured(QuestionAnswerer.load(bundle), given.squad, given.share, choose=given.choose)
        print(json.dumps({"bundle": bundle.name, **found}), flush=True)


if __name__ == "__main__":
    main()
