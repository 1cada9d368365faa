"""Data set -> windows with one answer each, as flat arrays in a file: tokenized once for all runs."""

import contextlib
import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from calibration.data.answered_windows import answer_places, token_spans, told_places
from calibration.data.partners import article_partners, retrieved_partners
from calibration.training.options import Negatives
from converters.checkpoints.checkpoint import Checkpoint
from converters.model.encoder import Encoder
from edge_qa.bundle.manifest import Defaults
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example, read_dataset
from edge_qa.files import write_file
from edge_qa.progress import Progress, no_progress
from edge_qa.text.chunks import PIECE, tokenize
from edge_qa.text.tokenizer import TextTokenizer, Tokens
from edge_qa.text.windows import Window, make_windows

Ints = NDArray[np.int64]
Places = list[tuple[int, int]]

_FORM = 2  # of the file; windows of another form are made anew


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows end to end: number i has the tokens from firsts[i] to firsts[i + 1].

    ids, types: (all tokens,) int32 and int8. firsts: (windows + 1,) int64. targets: the first and the last
    token of the answer, (windows, 2) int32; 0, 0 where there is none.
    """

    ids: NDArray[np.int32]
    types: NDArray[np.int8]
    firsts: Ints
    targets: NDArray[np.int32]
    key: str

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def lengths(self) -> Ints:
        """Tokens of each window, (windows,)."""
        return np.diff(self.firsts)


def training_windows(
    source: Checkpoint,
    encoder: Encoder,
    data: str | os.PathLike[str],
    folder: Path,
    *,
    no_answer: float = 0.0,
    negatives: Negatives = "article",
    seed: int = 0,
    progress: Progress = no_progress,
) -> Windows:
    """Return the windows of a data set that can be learnt from, from the file in `folder` if it was made before.

    Windows without the answer of their question are left out, unless `no_answer` is above 0: then windows
    of unanswerable questions (SQuAD 2.0) have [CLS] as the answer. Where the data has none, so many
    questions, as a share of the answered ones, are asked of another passage of the same article. With
    `negatives` "retrieved" questions of articles that have none are asked of passages that retrieval finds
    (`calibration/data/partners.py`).
    Raises InputError if nothing can be learnt from the data.
    """
    dataset = read_dataset(data)
    longest = Defaults.for_length(encoder.longest_input)
    told = json.dumps([_FORM, dataset.sha256, source.tokenizer, repr(longest), encoder.token_types])
    told += json.dumps([no_answer, seed]) if no_answer else ""
    told += negatives if negatives != "article" else ""
    key = hashlib.sha256(told.encode()).hexdigest()[:16]
    path = folder / f"windows-{key}.npz"
    # What is damaged is made anew.
    with (
        contextlib.suppress(OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error),
        path.open("rb") as file,  # numpy leaves a damaged one open
        np.load(file, allow_pickle=False) as stored,
    ):
        return Windows(stored["ids"], stored["types"], stored["firsts"], stored["targets"], key)
    pairs = _pairs(dataset, no_answer, negatives, np.random.default_rng(seed))
    maker = _Maker(source, encoder.token_types > 1, longest)
    ids, types, targets = [], [], []
    for number, (example, places) in enumerate(pairs, 1):
        try:
            found = list(maker.windows(example, places))
        except InputError:
            continue  # what cannot be asked, such as half a surrogate pair, cannot be learnt from either
        for window, target in found:
            ids.append(window.input_ids.astype(np.int32))
            types.append(window.token_type_ids.astype(np.int8))
            targets.append(target)
        if number % 500 == 0 or number == len(pairs):
            progress("windows", number, len(pairs))
    if not any(target != (0, 0) for target in targets):
        raise InputError(
            f"no answer stands in the text of its question ({len(dataset)} questions)",
            where=dataset.where,
            remedy="training needs a SQuAD file with answers",
        )
    windows = Windows(
        np.concatenate(ids),
        np.concatenate(types),
        np.cumsum([0, *map(len, ids)]),
        np.array(targets, np.int32),
        key,
    )
    content = io.BytesIO()
    np.savez(content, ids=windows.ids, types=windows.types, firsts=windows.firsts, targets=windows.targets)
    write_file(path, content.getvalue())
    return windows


class _Maker:
    """Tokenizes and cuts as the runtime does."""

    def __init__(self, source: Checkpoint, token_types: bool, lengths: Defaults) -> None:
        self.tokenizer = TextTokenizer(source.tokenizer, f"{source.path}: tokenizer")
        self.token_types, self.lengths = token_types, lengths
        self.context: tuple[str, list[Tokens]] = ("", [])

    def windows(self, example: Example, places: Places) -> Iterator[tuple[Window, tuple[int, int]]]:
        """Yield the windows that hold a place, or, without places, all of them, with [CLS] as the answer."""
        if not example.question.strip() or not example.context.strip():
            return
        if example.context != self.context[0]:
            pieces = (
                [self.tokenizer.encode(example.context, "context")]
                if len(example.context) <= PIECE
                else list(tokenize(self.tokenizer, example.context))
            )
            self.context = (example.context, pieces)
        lengths = self.lengths
        for window in make_windows(
            self.tokenizer.encode(example.question, "question"),
            self.context[1],
            self.tokenizer.template,
            max_seq_len=lengths.max_seq_len,
            doc_stride=lengths.doc_stride,
            max_question_len=lengths.max_question_len,
            token_types=self.token_types,
        ):
            if not places:
                yield window, (0, 0)
            elif len(spans := token_spans(window, places)):
                yield window, (int(spans[0, 0]), int(spans[0, 1]))


def _pairs(
    dataset: Dataset, no_answer: float, negatives: Negatives, random: np.random.Generator
) -> list[tuple[Example, Places]]:
    """Each example with the places to learn from; none where the answer is that there is none."""
    answered = []
    for example in dataset:
        places = told_places(example) or answer_places(example)
        if places:
            answered.append((example, places[:1]))
    if not no_answer:
        return answered
    impossible = [example for example in dataset if example.is_impossible and example.labelled]
    if negatives == "retrieved":
        impossible += retrieved_partners(dataset, no_answer, random)
    elif not impossible:
        impossible = article_partners(dataset, no_answer, random)
    return answered + [(example, []) for example in impossible]
