"""What a shortlist of windows costs and saves, on long documents made by joining the paragraphs of SQuAD articles.

    python -m benchmarks.experiments.shortlist BUNDLE --data FILE [--questions 200] [--sizes 1 2 4 8 16]

Recall: the share of questions with a gold answer inside the windows that were run.
"""

import argparse
import time
from collections import defaultdict

import numpy as np

from benchmarks.timing import describe_machine
from edge_qa import QuestionAnswerer
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.squad_metric import score
from edge_qa.text.bm25 import shortlisted


def main() -> None:
    """Print recall, F1 and time for each size, and for the whole document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--data", required=True)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--no-whole", action="store_true", help="leave out the run over all windows")
    options = parser.parse_args()

    answerer = QuestionAnswerer.load(options.bundle)
    answerer.warm_up()
    dataset = read_dataset(options.data)
    paragraphs: dict[str, dict[str, None]] = defaultdict(dict)
    for example in dataset:
        paragraphs[example.title][example.context] = None
    documents = {title: "\n\n".join(texts) for title, texts in paragraphs.items()}
    answered = [example for example in dataset if example.answers]
    places = np.linspace(0, len(answered) - 1, options.questions).round().astype(int)
    examples = [answered[place] for place in places]

    sizes: list[int | None] = [*options.sizes, *([] if options.no_whole else [None])]
    seconds: dict[int | None, float] = dict.fromkeys(sizes, 0.0)
    found: dict[int | None, int] = dict.fromkeys(sizes, 0)
    given: dict[int | None, dict[str, str]] = {size: {} for size in sizes}
    windows = 0
    for example in examples:
        document = documents[example.title]
        begin_of_gold = document.index(example.context)
        golds = [
            (begin_of_gold + place, begin_of_gold + place + len(gold))
            for gold in set(example.answers)
            for place in [example.context.find(gold)]
            if place >= 0
        ]
        windows += len(list(answerer.windows(example.question, document)))
        for size in sizes:
            begin = time.perf_counter()
            given[size][example.id] = answerer.answer(example.question, document, shortlist=size).text
            seconds[size] += time.perf_counter() - begin
            run = answerer.windows(example.question, document)
            if size is not None:
                run = shortlisted(run, answerer.windows(example.question, document), size).windows
            reach = [(int(window.offsets[0, 0]), int(window.offsets[-1, 1])) for window in run]
            found[size] += any(low <= start and end <= high for start, end in golds for low, high in reach)
    print(describe_machine())
    print(f"{len(examples)} questions of {dataset.name}, {windows / len(examples):.1f} windows a document on average")
    for size in sizes:
        f1 = score(examples, given[size], version=dataset.version).f1
        name = "all windows" if size is None else f"shortlist {size}"
        print(
            f"{name:14} recall {found[size] / len(examples):6.1%}  F1 {f1:5.2f}  "
            f"{seconds[size] / len(examples) * 1000:7.1f} ms a question"
        )


if __name__ == "__main__":
    main()
