"""How far confidence and borders can be relied on: SQuAD with retrieved partners, and the documents.

python -m benchmarks.experiments.reliability SQUAD_FOLDER BUNDLE... > rows.json
python -m benchmarks.experiments.reliability --diagrams rows.json docs/benchmarks/results/reliability.json

Fitted on SQuAD train, or on the documents named `tune`; checked on SQuAD dev and on the documents named `judge`.
Times are not measured here; an hour on two cores for two bundles.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from calibration.confidence.calibrate import fit_confidence
from calibration.confidence.logistic import fit_monotone
from calibration.confidence.options import ConfidenceOptions
from calibration.confidence.reads import RIGHT_F1, Question, Read, questions_of, read
from calibration.confidence.reliability import expected_calibration_error, reliability
from calibration.data.retrieved_negatives import PassageSearch
from edge_qa import QuestionAnswerer, read_dataset
from edge_qa.evaluation.dataset import Dataset, Example
from edge_qa.evaluation.squad_metric import f1
from edge_qa.inference.closer_look import CloserLook
from edge_qa.inference.confidence import SIGNS, evidence, probabilities
from edge_qa.inference.reading import Limits, Reading
from edge_qa.inference.spans import Selection
from edge_qa.progress import no_progress
from edge_qa.text.blocks import block_starts

DOCUMENTS = Path(__file__).resolve().parents[2] / "examples" / "data" / "documents"
FALSE_ANSWERS = 0.1
Reader = Callable[[Sequence[Question]], list[Read]]


def documents(part: str) -> list[Question]:
    """The questions on the documents of one part, each with its whole document."""
    rows = [json.loads(line) for line in (DOCUMENTS / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    names: dict[str, int] = {}
    found = []
    for row in rows:
        if row["part"] == part:
            text = (DOCUMENTS / row["document"]).read_bytes().decode()
            answers = tuple(answer["text"] for answer in row["answers"])
            example = Example(id=row["id"], question=row["question"], context=text, answers=answers)
            group = names.setdefault(row["document"], len(names))
            found.append(Question(example, text, group, bool(answers)))
    return found


def weights_of(reads: Sequence[Read]) -> dict[str, float]:
    """The weights of a confidence fitted on all of these."""
    return fit_monotone([one.terms for one in reads], np.array([one.right for one in reads]), SIGNS)


def confidences(weights: dict[str, float], reads: Sequence[Read]) -> np.ndarray:
    return probabilities(
        np.array([weights["constant"] + sum(weights[name] * one.terms[name] for name in SIGNS) for one in reads])
    )


def checked(weights: dict[str, float], reads: Sequence[Read]) -> dict[str, Any]:
    """Reliability, and what is kept of the right answers where FALSE_ANSWERS of the others are answered."""
    says, right = confidences(weights, reads), np.array([one.right for one in reads])
    without = np.array([not one.answerable for one in reads])
    bins = reliability(says, right)
    least = np.quantile(says[without], 1 - FALSE_ANSWERS, method="higher")
    return {
        "questions": len(reads),
        "expected_calibration_error": round(expected_calibration_error(bins), 4),
        "says": round(float(says.mean()), 4),
        "right": round(float(right.mean()), 4),
        "kept": round(float((right & (says > least)).sum() / right.sum()), 4),
        "reliability": [asdict(one) for one in bins],
    }


def best_of(weights: dict[str, float], groups: Sequence[Sequence[Read]]) -> list[Read]:
    """The surest read of each group of passages that a question was asked of."""
    return [group[int(confidences(weights, group).argmax())] for group in groups]


def ten_passages(train: Dataset, dev: Dataset, read_all: Reader, weights: dict[str, float], count: int) -> float:
    """What is kept of the right answers of dev at FALSE_ANSWERS, each question over ten passages.

    With its own passage and the nine best that hold no answer; without it, with the ten best.
    """
    del train
    examples = list(dev)
    search = PassageSearch([example.context for example in examples])
    with_it, without = [], []
    for place in np.random.default_rng(2).permutation(len(examples))[:count].tolist():
        example = examples[place]
        others = [Question(example, passage, 0, False) for passage in search.negatives(example, 10)]
        reads = read_all([Question(example, example.context, 0, True), *others])
        with_it.append(reads[:10])
        without.append(reads[1:])
    right, wrong = best_of(weights, with_it), best_of(weights, without)
    least = np.quantile(confidences(weights, wrong), 1 - FALSE_ANSWERS, method="higher")
    says = confidences(weights, right)
    true = np.array([one.right for one in right])
    return float((true & (says > least)).sum() / true.sum())


def borders_on_documents(answerer: QuestionAnswerer, crosses: Callable[[str, str], bool]) -> dict[str, Any]:
    """F1 by kind of document, and how many answers cross a border, with borders and without."""
    rows = [json.loads(line) for line in (DOCUMENTS / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    scores: dict[str, dict[str, list[float]]] = {"text": defaultdict(list), "block": defaultdict(list)}
    crossing = {"text": 0, "block": 0}
    for row in rows:
        text = (DOCUMENTS / row["document"]).read_bytes().decode()
        for within in ("text", "block"):
            found = answerer.answer(row["question"], text, within=within).text
            crossing[within] += crosses(found, row["document"])
            if row["answers"]:
                best = max(f1(found, answer["text"], version="v1.1") for answer in row["answers"])
                scores[within][row["kind"]].append(best)
    means = {
        within: {kind: 100 * float(np.mean(each)) for kind, each in kinds.items()} for within, kinds in scores.items()
    }
    return {"f1": means, "crossing": crossing}


def borders_on_squad(answerer: QuestionAnswerer, dev: Dataset) -> dict[str, Any]:
    """The change of F1 on all of dev: only passages that have a border can differ."""
    bordered = [example for example in dev if len(block_starts(example.context))]
    change = 0.0
    for example in bordered:
        text, block = (
            max(
                f1(answerer.answer(example.question, example.context, within=within).text, answer, version="v1.1")
                for answer in example.answers
            )
            for within in ("text", "block")
        )
        change += block - text
    return {"questions": len(list(dev)), "with_borders": len(bordered), "f1_change": 100 * change / len(list(dev))}


def among(example: Example, others: Sequence[str], count: int, seed: int) -> str:
    """The example's passage somewhere among `count` others."""
    random = np.random.default_rng(seed)
    texts = [others[place] for place in random.permutation(len(others))[:count].tolist()]
    texts.insert(int(random.integers(count + 1)), example.context)
    return "\n\n".join(texts)


def invariance(
    answerer: QuestionAnswerer, weights: dict[str, float], dev: Dataset, count: int
) -> Iterator[dict[str, Any]]:
    """How confidence and score of right answers change when their passage stands among irrelevant ones."""
    examples = list(dev)
    places = np.random.default_rng(4).permutation(len(examples)).tolist()
    passages = list(dict.fromkeys(example.context for example in examples))
    taken: list[dict[tuple[int, int | None], tuple[float, float]]] = []
    for place in places:
        example = examples[place]
        others = [passage for passage in passages if not any(answer in passage for answer in example.answers)]
        seen: dict[tuple[int, int | None], tuple[float, float]] = {}
        for size, shortlist in ((0, None), (1, None), (10, None), (100, None), (100, 8), (100, 64)):
            text = among(example, others, size, place) if size else example.context
            found = confident(answerer, weights, example.question, text, shortlist)
            if max(f1(found[0], answer, version="v1.1") for answer in example.answers) < RIGHT_F1:
                break
            seen[size, shortlist] = found[1:]
        else:
            taken.append(seen)
        if len(taken) == count:
            break
    for key in taken[0]:
        change = np.array([abs(seen[key][0] - seen[0, None][0]) for seen in taken])
        fall = np.array([seen[0, None][1] / max(seen[key][1], 1e-12) for seen in taken])
        yield {
            "passages": key[0],
            "shortlist": key[1],
            "questions": len(taken),
            "median_change_of_confidence": round(float(np.median(change)), 4),
            "p90_change_of_confidence": round(float(np.quantile(change, 0.9)), 4),
            "median_factor_of_score": round(float(np.median(fall)), 3),
        }


def confident(
    answerer: QuestionAnswerer, weights: dict[str, float], question: str, text: str, shortlist: int | None
) -> tuple[str, float, float]:
    """Text, confidence and score of the best answer."""

    def windows(reading: Reading) -> Iterator[Any]:
        return reading.windows(lambda *pair: answerer.windows(*pair, within="block"))

    def closer(_reading: Reading, selection: Selection) -> Iterator[CloserLook]:
        return answerer.closer_looks(selection, question, text, within="block")

    reading = Reading(question, text, Limits(shortlist))
    (outcome,) = answerer.outcomes([reading], windows, batch_size=1, rivals=True, closer=closer)
    span = outcome.spans().spans[0]
    terms = evidence(span)
    value = weights["constant"] + sum(weights[name] * terms[name] for name in SIGNS)
    return text[span.start : span.end], float(probabilities(value)), span.score


# The panels of the picture: which of the figures of a row, and what its questions are called.
_PANELS = {"squad": "SQuAD dev", "documents, fitted on the tuning documents": "documents"}


def diagrams(rows: Path, results: Path) -> None:
    """Put the panels of the reliability diagram, two for each bundle, into the results file of the page."""
    found = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    content = json.loads(results.read_text(encoding="utf-8"))
    content["diagrams"] = [
        {
            "title": f"{title}, {row['bundle']}",
            "error": row[key]["expected_calibration_error"],
            "bins": [
                {name: one[name] for name in ("confidence", "right", "answers")} for one in row[key]["reliability"]
            ],
        }
        for key, title in _PANELS.items()
        for row in found
    ]
    results.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    if sys.argv[1] == "--diagrams":
        diagrams(*map(Path, sys.argv[2:]))
        return
    squad, *bundles = map(Path, sys.argv[1:])
    train, dev = (read_dataset(squad / f"{name}-v1.1.json.gz") for name in ("train", "dev"))
    for bundle in bundles:
        answerer = QuestionAnswerer.load(bundle)

        def read_all(questions: Sequence[Question], answerer: QuestionAnswerer = answerer) -> list[Read]:
            return read(answerer, questions, no_progress)

        fitted = fit_confidence(read_all(questions_of(train, 1400, seed=1)), train, ConfidenceOptions(seed=1)).answer
        tuned = weights_of(read_all(documents("tune")))
        judged = read_all(documents("judge"))
        print(
            json.dumps(
                {
                    "bundle": bundle.name,
                    "squad": checked(fitted, read_all(questions_of(dev, 800, seed=2))),
                    "documents, fitted on SQuAD": checked(fitted, judged),
                    "documents, fitted on the tuning documents": checked(tuned, judged),
                    "ten passages, kept": ten_passages(train, dev, read_all, fitted, 400),
                    "borders on SQuAD": borders_on_squad(answerer, dev),
                    "invariance": list(invariance(answerer, fitted, dev, 200)),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
