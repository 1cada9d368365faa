"""Questions per second of answer_many against a loop of answer, on the same questions.

python -m benchmarks.experiments.bulk BUNDLE --data FILE [--questions 2000] [--rounds 3]
"""

import argparse
import time

import numpy as np

from benchmarks.timing import describe_machine
from edge_qa import QuestionAnswerer
from edge_qa.evaluation.dataset import read_dataset


def main() -> None:
    """Print both rates, their ratio, and how many answers differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--data", required=True)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    answerer = QuestionAnswerer.load(options.bundle)
    answerer.warm_up()
    dataset = read_dataset(options.data)
    places = np.linspace(0, len(dataset) - 1, options.questions).round().astype(int)
    pairs = [(dataset.examples[place].question, dataset.examples[place].context) for place in places]
    answerer.answer_many(pairs)  # every batch shape once
    loop_seconds, many_seconds, different = [], [], 0
    for _ in range(options.rounds):
        begin = time.perf_counter()
        single = [answerer.answer(*pair) for pair in pairs]
        loop_seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        many = answerer.answer_many(pairs)
        many_seconds.append(time.perf_counter() - begin)
        different = sum((a.start, a.end) != (b.start, b.end) for a, b in zip(single, many, strict=True))
    loop, bulk = len(pairs) / np.median(loop_seconds), len(pairs) / np.median(many_seconds)
    print(describe_machine())
    print(f"{options.bundle}: loop {loop:.1f} questions/s, answer_many {bulk:.1f} questions/s: {bulk / loop:.2f}x")
    print(f"{different} of {len(pairs)} answers differ")


if __name__ == "__main__":
    main()
