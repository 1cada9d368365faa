"""Data set -> model inputs for calibration: real windows at their true length, drawn with a seed."""

import os
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Example

Inputs = dict[str, NDArray[np.int64]]


def draw_samples(
    answerer: QuestionAnswerer,
    examples: Sequence[Example],
    count: int,
    *,
    seed: int = 0,
    where: str | os.PathLike[str] = "calibration data",
    skip: Collection[int] = (),
) -> list[Inputs]:
    """Return up to `count` inputs of batch 1, one window of one question each.

    Questions are drawn at random, then spread evenly over the lengths of the data: sorted by length,
    every k-th is taken, so that short and long inputs are there as often as in the data.
    Examples that cannot be used (blank, not valid Unicode) are passed over, and so are those of the places `skip`.
    Raises InputError if none can be used.
    """
    if count < 1:
        raise InputError(f"got {count}", where="samples", wanted="at least 1")
    random = np.random.default_rng(seed)
    windows, reason = [], ""
    for index in random.permutation(len(examples)).tolist():
        if index in skip:
            continue
        example = examples[index]
        try:
            found = list(answerer.windows(example.question, example.context))
        except InputError as error:
            reason = f" (question {example.id}: {error})"
            continue
        windows.append(found[random.integers(len(found))])
        if len(windows) == 4 * count:
            break
    if not windows:
        raise InputError(f"no usable sample among {len(examples)} questions{reason}", where=where, remedy="add some")
    windows.sort(key=lambda window: window.tokens)
    chosen = np.linspace(0, len(windows) - 1, min(count, len(windows))).round().astype(int)
    # Shuffled again: statistics are gathered in this order, and some are running averages.
    return [answerer.engine.batch([windows[i]], pad=False) for i in random.permutation(chosen)]


def held_out(count: int, total: int, *, seed: int = 0) -> list[int]:
    """Return the places of up to `count` of `total` examples that calibration is to skip: a third of them at most.

    They stand at the other end of the order in which `draw_samples` draws, so that from a large file it
    draws the same samples whether or not any are held out.
    """
    kept = min(count, total // 3)
    order = np.random.default_rng(seed).permutation(total).tolist()
    return sorted(order[total - kept :])
