"""What rounding lengths up costs and saves: time at first and second sight, and memory, for several steps.

    python -m benchmarks.experiments.length_step BUNDLE --data FILE [--questions 300] [--steps 1 8 16 32 64 384]

Each step runs in a process of its own.
"""

import argparse
import subprocess
import sys
import time

import numpy as np

from benchmarks.experiments.steady_memory import resident_mb
from benchmarks.timing import describe_machine
from edge_qa import QuestionAnswerer
from edge_qa.evaluation.dataset import read_dataset


def measure(bundle: str, data: str, questions: int, step: int) -> None:
    """Print one row for one step."""
    answerer = QuestionAnswerer.load(bundle)
    answerer.engine.length_step = step
    dataset = read_dataset(data)
    places = np.random.default_rng(0).choice(len(dataset), questions, replace=False)
    pairs = [(dataset.examples[place].question, dataset.examples[place].context) for place in places]
    answerer.answer(*pairs[0])
    base = resident_mb()
    means = []
    for _ in range(3):
        begin = time.perf_counter()
        for pair in pairs:
            answerer.answer(*pair)
        means.append((time.perf_counter() - begin) / len(pairs) * 1000)
    print(f"{step:5} {means[0]:10.2f} {means[1]:10.2f} {means[2]:10.2f} {resident_mb() - base:+10.0f}", flush=True)


def main() -> None:
    """Print a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--data", required=True)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 8, 16, 32, 64, 384])
    options = parser.parse_args()
    if len(options.steps) == 1:
        measure(options.bundle, options.data, options.questions, options.steps[0])
        return
    print(describe_machine())
    print(
        f" step  pass 1 ms  pass 2 ms  pass 3 ms  memory MB  (ms a question, {options.questions} questions)", flush=True
    )
    for step in options.steps:
        arguments = [
            options.bundle,
            "--data",
            options.data,
            "--questions",
            str(options.questions),
            "--steps",
            str(step),
        ]
        subprocess.run([sys.executable, "-m", "benchmarks.experiments.length_step", *arguments], check=True)


if __name__ == "__main__":
    main()
