"""How often the right passage is found and the right answer given, over all paragraphs of SQuAD and carried documents.

    python -m benchmarks.documents.open_book BUNDLE --data FOLDER [--questions 1000] [--carried 300]

FOLDER holds train-v1.1.json.gz and dev-v1.1.json.gz; without it only the carried documents are measured. BUNDLE is one
that `calibrate-confidence --documents` made, or the questions without an answer are left out. The results go into
docs/benchmarks/results/documents.json, which the page is made of. Nothing here depends on how fast the machine is;
`benchmarks/documents/speed.py` measures that.
"""

import argparse
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.documents.questions import DOCUMENTS, Asked, carried, holds, is_of, squad, squad_library
from benchmarks.documents.results import Measurement, store
from edge_qa import DocumentIndex, QuestionAnswerer
from edge_qa.documents.cited_answers import PASSAGES, read_passages
from edge_qa.documents.ranking import CLOSENESS, Candidate, document_confidence, ranked, terms_of
from edge_qa.evaluation.squad_metric import exact_match, f1
from edge_qa.inference.engine_choice import ENGINES

SIZES = (1, 3, 5, 10, 20)
RIGHT_F1 = 50.0


@dataclass(frozen=True)
class Score:
    """Of one answer, against the best of the gold ones."""

    exact: float
    f1: float


@dataclass(frozen=True)
class Outcome:
    """What came of one question, by how many passages were read.

    held: whether the right passage was among them. wrong_places: candidates that do not stand where they say.
    with_text, without: confidence of the answer from ten passages, and its score, with the question's own text there
    and taken out; None for a bundle without confidence, or where nothing was found.
    """

    asked: Asked
    held: dict[int, bool]
    scores: dict[int, Score]
    wrong_places: int
    with_text: tuple[float, Score] | None
    without: tuple[float, Score] | None


def main() -> None:
    """Measure, and store the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only", choices=("squad", "carried"), help="measure this alone")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--carried", type=int, help="ask so many of the questions on one document; all by default")
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    parser.add_argument("--cache")
    options = parser.parse_args()
    command = f"python -m benchmarks.documents.open_book {Path(options.bundle).name} --engine {options.engine}"
    with (
        QuestionAnswerer.load(options.bundle, engine=options.engine, cache=options.cache) as qa,
        tempfile.TemporaryDirectory() as folder,
    ):
        if options.only != "squad":
            index = DocumentIndex.build([DOCUMENTS / "texts"], Path(folder) / "carried.db")
            share = "" if options.carried is None else f" --carried {options.carried}"
            store(list(of_documents(qa, index, command + share, options.carried)))
        if options.data and options.only != "carried":
            command += f" --data SQUAD_FOLDER --questions {options.questions}"
            questions = squad(options.data, "dev", options.questions, seed=0)
            with squad_library(options.data, Path(folder)) as index:
                store(list(of_squad([outcome(qa, index, asked) for asked in questions], qa, command)))


def outcome(qa: QuestionAnswerer, index: DocumentIndex, asked: Asked) -> Outcome:
    """Search once, read each passage once, and rank for every size."""
    passages = index.search(asked.question, limit=2 * max(SIZES))
    read = passages[: max(SIZES)]
    others = [one for one in passages if not is_of(one, asked)][:PASSAGES]
    candidates = read_passages(qa, asked.question, [*read, *(one for one in others if one not in read)])
    record = qa.manifest.documents
    closeness = CLOSENESS if record is None else record.closeness

    def best(part: Sequence[Any]) -> tuple[list[Candidate], Score]:
        order = ranked([one for one in candidates if one.passage in part], closeness)
        return order, score(order[0].text if order else "", asked.answers)

    def sure(part: Sequence[Any]) -> tuple[float, Score] | None:
        order, scored = best(part)
        if record is None or not order:
            return None
        return document_confidence(record, terms_of(0, order, closeness)), scored

    return Outcome(
        asked,
        held={size: any(holds(one, asked) for one in read[:size]) for size in SIZES},
        scores={size: best(read[:size])[1] for size in SIZES},
        wrong_places=sum(not stands(one) for one in candidates),
        with_text=sure(read[:PASSAGES]),
        without=sure(others),
    )


def score(text: str, answers: Iterable[str]) -> Score:
    """Against the best of the gold answers, 0 to 100."""
    return Score(
        100.0 * max(exact_match(text, gold) for gold in answers),
        100 * max(f1(text, gold, version="v1.1") for gold in answers),
    )


def stands(one: Candidate) -> bool:
    """Whether the file's own text has the answer where it says; of text files alone, whose offsets are the file's."""
    file, begin = one.passage.file, one.passage.start + one.span.start
    if file.kind not in ("text", "markdown", "csv", "tsv"):
        return True
    return Path(file.path).read_bytes().decode()[begin : begin + len(one.text)] == one.text


def of_documents(qa: QuestionAnswerer, index: DocumentIndex, command: str, most: int | None) -> Iterable[Measurement]:
    """The measurements of the carried documents."""
    rows = []
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    wrong = 0
    for name, what in (
        ("questions.jsonl", "asked of one document"),
        ("open_questions.jsonl", "written from the list of topics"),
        ("paraphrased_questions.jsonl", "written from the list of topics, in other words"),
    ):
        questions = carried(name)
        if most is not None and most < len(questions):
            questions = random.Random(0).sample(questions, most)
        found = [outcome(qa, index, asked) for asked in questions]
        wrong += sum(one.wrong_places for one in found)
        for one in found if name == "questions.jsonl" else ():
            kinds[one.asked.kind].append(one)
        rows += [[what, *row] for row in curve(found)]
    files = len(index.files())
    yield Measurement(
        "Documents that people have",
        f"The {files} carried documents in one index of {index.passages()} passages, questions that have an answer. "
        "`found`: an answer stands in one of the passages, and it is of the right document.",
        ("questions", "how many", "passages read", "found", "exact match", "F1"),
        rows,
        command,
        (f"Answers that do not stand in their file where they say: {wrong}.",),
    )
    yield Measurement(
        "By kind of document",
        f"The questions asked of one document, {PASSAGES} passages read.",
        ("kind", "questions", "found", "exact match", "F1"),
        [[kind, *(row[0], *row[2:])] for kind, some in sorted(kinds.items()) for row in curve(some, (PASSAGES,))],
        command,
    )


def of_squad(found: Sequence[Outcome], qa: QuestionAnswerer, command: str) -> Iterable[Measurement]:
    """The measurements of SQuAD as an open book."""
    yield Measurement(
        "SQuAD as an open book",
        "All paragraphs of train and dev in one index, questions of dev. `found`: the question's own paragraph is "
        "among the passages, with an answer in it.",
        ("questions", "passages read", "found", "exact match", "F1"),
        curve(found),
        command,
    )
    record = qa.manifest.documents
    if record is None:
        return
    sure = [one.with_text for one in found if one.with_text is not None]
    without = [one.without for one in found if one.without is not None]
    right = sum(scored.f1 >= RIGHT_F1 for _, scored in sure)
    limit = record.confidence.limit
    levels = [("limit of the bundle", limit.min_confidence)] if limit else []
    # What another paragraph answers right is counted apart: it is no answer to a question without one.
    for what, counts in (("any answer", 101.0), ("wrong answers", RIGHT_F1)):
        falsely = sorted((says for says, scored in without if scored.f1 < counts), reverse=True)
        least = falsely[min(len(falsely) - 1, len(without) // 10)] if falsely else 0.0
        levels.append((f"10 % of them, {what}", least))
    yield Measurement(
        "Their paragraphs taken out",
        f"The same questions, {PASSAGES} passages each, with their paragraph and without it. `answered falsely`: of "
        "the questions without their paragraph, those answered, and those answered wrong (F1 below 0.5): some are "
        "answered right from another paragraph. `kept`: of the right answers with the paragraph.",
        ("least confidence", "", "answered falsely", "of these wrong", "kept"),
        [
            [
                what,
                f"{least:.3f}",
                percent(sum(says > least for says, _ in without), len(found)),
                percent(sum(says > least and scored.f1 < RIGHT_F1 for says, scored in without), len(found)),
                percent(sum(says > least and scored.f1 >= RIGHT_F1 for says, scored in sure), right),
            ]
            for what, least in levels
        ],
        command,
        (
            f"The confidence was fitted on {record.confidence.dataset}, {record.confidence.questions} searches; "
            f"expected calibration error there {record.confidence.expected_calibration_error:.3f}.",
        ),
    )


def curve(found: Sequence[Outcome], sizes: Sequence[int] = SIZES) -> list[list[str]]:
    """Questions, passages read, found, exact match, F1, a row a size."""
    return [
        [
            str(len(found)),
            str(size),
            percent(sum(one.held[size] for one in found), len(found)),
            f"{mean(one.scores[size].exact for one in found):.1f}",
            f"{mean(one.scores[size].f1 for one in found):.1f}",
        ]
        for size in sizes
    ]


def percent(part: int, whole: int) -> str:
    """A share as a page shows it."""
    return f"{100 * part / whole:.1f} %" if whole else ""


if __name__ == "__main__":
    main()
