"""Fit what each part of closeness counts, on questions of SQuAD train over all paragraphs.

    python -m benchmarks.documents.fit_search --data FOLDER [--questions 1000]

The chance of a passage is the softmax of its score over the sixty that BM25 ranks highest; the weights make the right
ones likeliest. Prints them, and how often the right passage is found, by BM25 alone and by closeness, on questions of
train that fitted nothing and on dev. No model takes part.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.documents.open_book import SIZES, percent
from benchmarks.documents.questions import Asked, holds, squad, squad_library
from benchmarks.documents.results import Measurement, store
from edge_qa import DocumentIndex
from edge_qa.documents.closeness import WEIGHTS

CANDIDATES = 60
PARTS = tuple(WEIGHTS)
_STEPS, _RATE, _DECAY = 400, 0.1, 1e-3


def main() -> None:
    """Fit, print and store the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, squad_library(options.data, Path(folder)) as index:
        drawn = squad(options.data, "train", 2 * options.questions, seed=1)
        fitting, checking = parts_of(index, drawn[::2]), parts_of(index, drawn[1::2])
        dev = parts_of(index, squad(options.data, "dev", options.questions, seed=0))
    weights = fit(*fitting)
    print({part: round(float(weight), 3) for part, weight in zip(PARTS, weights, strict=True)})
    bm25 = np.array([float(part == "bm25") for part in PARTS])
    used = np.array([WEIGHTS[part] for part in PARTS])
    rows = [
        [what, name, *recall(*part, by)]
        for what, part in (("train, fitted nothing", checking), ("dev", dev))
        for name, by in (("BM25", bm25), ("closeness, as released", used), ("closeness, as fitted now", weights))
    ]
    store(
        [
            Measurement(
                "What closeness finds",
                f"{options.questions} questions of each over all paragraphs of SQuAD: how often the right passage is "
                "among the first.",
                ("questions", "sorted by", *(str(size) for size in SIZES)),
                rows,
                f"python -m benchmarks.documents.fit_search --data SQUAD_FOLDER --questions {options.questions}",
            )
        ]
    )
    print("\n".join("  ".join(row) for row in rows))


def parts_of(index: DocumentIndex, questions: Sequence[Asked]) -> tuple[np.ndarray, np.ndarray]:
    """Parts of closeness, (questions, passages, parts), NaN where there is no passage; and which are right."""
    parts = np.full((len(questions), CANDIDATES, len(PARTS)), np.nan)
    right = np.zeros((len(questions), CANDIDATES), bool)
    for row, asked in enumerate(questions):
        for place, passage in enumerate(index.search(asked.question, limit=CANDIDATES)):
            parts[row, place] = [getattr(passage.closeness, part) for part in PARTS]
            right[row, place] = holds(passage, asked)
    return parts, right


def fit(parts: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The weights, by Adam (Kingma and Ba 2014); the problem has five unknowns, and any other way would do."""
    useful = right.any(axis=1)
    parts, right = parts[useful], right[useful]
    there = ~np.isnan(parts[..., 0])
    spread = np.nanstd(parts, axis=(0, 1))
    scaled = np.nan_to_num(parts / spread)
    weights, slow, square = np.zeros((3, len(PARTS)))
    for step in range(1, _STEPS + 1):
        chances = softmax(np.where(there, scaled @ weights, -np.inf))
        wanted = chances * right
        wanted /= wanted.sum(axis=1, keepdims=True)
        slope = np.einsum("qp,qpf->f", chances - wanted, scaled) / len(scaled) + 2 * _DECAY * weights
        slow, square = 0.9 * slow + 0.1 * slope, 0.99 * square + 0.01 * slope**2
        weights = weights - _RATE * (slow / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
    fitted: np.ndarray = weights / spread
    return fitted


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: np.ndarray = raised / raised.sum(axis=-1, keepdims=True)
    return result


def recall(parts: np.ndarray, right: np.ndarray, weights: np.ndarray) -> list[str]:
    """How often a right passage is among the first, for every size."""
    scores = np.nan_to_num(parts @ weights, nan=-np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")
    sorted_right = np.take_along_axis(right, order, axis=1)
    return [percent(int(sorted_right[:, :size].any(axis=1).sum()), len(right)) for size in SIZES]


if __name__ == "__main__":
    main()
