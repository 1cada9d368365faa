"""Our bundles against the question-answering pipeline of transformers 4, question by question in one process.

    python -m benchmarks.experiments.against_transformers CHECKPOINT BUNDLE... --data FILE [--questions 500]

Needs the torch extra (transformers 4.57, the last that has the pipeline). The rival runs in float32.
"""

import argparse
import time

import numpy as np
import torch
from transformers import pipeline as old_pipeline

from benchmarks.timing import describe_machine
from edge_qa import QuestionAnswerer
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.squad_metric import score
from edge_qa.system.cpu import this_cpu


def main() -> None:
    """Print milliseconds a question, quantiles, F1 and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("bundles", nargs="+")
    parser.add_argument("--data", required=True)
    parser.add_argument("--questions", type=int, default=500)
    options = parser.parse_args()

    torch.set_num_threads(this_cpu().threads)
    rival = old_pipeline("question-answering", model=options.checkpoint, torch_dtype=torch.float32, device=-1)
    answerers = {path: QuestionAnswerer.load(path) for path in options.bundles}
    for answerer in answerers.values():
        answerer.warm_up()
    runs = {"transformers": lambda q, c: rival(question=q, context=c, max_answer_len=30)["answer"]} | {
        path: lambda q, c, answerer=answerer: answerer.answer(q, c).text for path, answerer in answerers.items()
    }
    dataset = read_dataset(options.data)
    places = np.linspace(0, len(dataset) - 1, options.questions).round().astype(int)
    examples = [dataset.examples[place] for place in places]
    one_window = {
        e.id for e in examples if len(list(next(iter(answerers.values())).windows(e.question, e.context))) == 1
    }
    seconds: dict[str, dict[str, float]] = {name: {} for name in runs}
    given: dict[str, dict[str, str]] = {name: {} for name in runs}
    for number, example in enumerate(examples):
        names = list(runs)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            begin = time.perf_counter()
            given[name][example.id] = runs[name](example.question, example.context)
            seconds[name][example.id] = time.perf_counter() - begin
    print(describe_machine())
    print(f"{len(examples)} questions of {dataset.name}, one at a time, after warm-up, taking turns")
    print(f"{'':32} {'mean ms':>8} {'p50':>7} {'p90':>7} {'p99':>7}  {'p99/p50':>7}  {'F1':>6}  faster")
    rival_mean = np.mean(list(seconds["transformers"].values()))
    for name in runs:
        values = np.array(list(seconds[name].values())) * 1000
        single = np.array([s for key, s in seconds[name].items() if key in one_window]) * 1000
        spread = np.percentile(single, 99) / np.percentile(single, 50)
        f1 = score(examples, given[name], version=dataset.version).f1
        p50, p90, p99 = np.percentile(values, [50, 90, 99])
        print(
            f"{name:32} {values.mean():8.2f} {p50:7.2f} {p90:7.2f} {p99:7.2f}  {spread:7.2f}  {f1:6.2f}  "
            f"{rival_mean * 1000 / values.mean():5.2f}x"
        )
    print(f"p99/p50 is over the {len(one_window)} questions whose context fits one window")


if __name__ == "__main__":
    main()
