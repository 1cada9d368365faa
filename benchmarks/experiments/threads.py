"""One answerer shared by many threads: are its answers the serial ones?

    python -m benchmarks.experiments.threads BUNDLE --data FILE

Every thread asks every question, each beginning at another one. Then the process forks, and the child asks again.
"""

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks.timing import describe_machine
from edge_qa import QuestionAnswerer
from edge_qa.answers import Answer
from edge_qa.evaluation.dataset import Example, read_dataset


def differing(qa: QuestionAnswerer, examples: Sequence[Example], wanted: Sequence[Answer], first: int) -> int:
    """Ask every question, beginning at `first`; return how many answers differ in anything."""
    places = np.roll(np.arange(len(examples)), -first)
    return sum(qa.answer(examples[i].question, examples[i].context) != wanted[i] for i in places)


def main() -> None:
    """Print how many answers differ, and how long both ways took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--data", required=True)
    parser.add_argument("--threads", type=int, default=100)
    parser.add_argument("--questions", type=int, default=100)
    options = parser.parse_args()
    print(describe_machine())
    dataset = read_dataset(options.data)
    places = np.linspace(0, len(dataset) - 1, options.questions).round().astype(int)
    examples = [dataset.examples[place] for place in places]
    qa = QuestionAnswerer.load(options.bundle)
    qa.warm_up()
    begin = time.perf_counter()
    wanted = [qa.answer(example.question, example.context) for example in examples]
    serial = time.perf_counter() - begin
    begin = time.perf_counter()
    with ThreadPoolExecutor(options.threads) as pool:
        wrong = sum(pool.map(lambda first: differing(qa, examples, wanted, first), range(options.threads)))
    shared = time.perf_counter() - begin
    asked = options.threads * options.questions
    print(f"{options.threads} threads x {options.questions} questions: {wrong} of {asked} answers differ")
    print(f"{asked / shared:.0f} questions a second, serial {options.questions / serial:.0f}")
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    child = context.Process(target=lambda: told.put(differing(qa, examples, wanted, 0)))
    child.start()
    print(f"after a fork: {told.get()} of {options.questions} answers differ")
    child.join()


if __name__ == "__main__":
    main()
