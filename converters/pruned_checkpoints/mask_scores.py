"""Mask scores -> masks: the arithmetic of movement pruning and of nn_pruning's blocks, rows and 2:4 groups.

Sanh, Wolf, Rush 2020 (arXiv 2005.07683); Lagunas et al. 2021 (arXiv 2109.04838), as the code of
huggingface/nn_pruning has it. Where equal scores lie on both sides of a cut, that code lets the
order of a sort decide, which no file records: such scores are refused.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from converters.model.encoder import Array
from edge_qa.errors import CheckpointError

# The library's own names, misspelling included, because they stand in its files.
MaskMethod = Literal["threshold", "sigmoied_threshold", "topK", "magnitude", "l0"]
MASK_METHODS: tuple[str, ...] = get_args(MaskMethod)
_KEPT_OF_FOUR = 2


@dataclass(frozen=True)
class MaskRule:
    """How scores become a mask.

    threshold, sigmoied_threshold: kept where the score, or its sigmoid, is above `threshold`; if
    fewer than the share `least` are, the highest scores instead, that many.
    topK, magnitude: the highest share `threshold` is kept, of the scores or of |weight|.
    l0: the weights are scaled by clip(1.2 * sigmoid(score) - 0.1, 0, 1); `threshold` plays no part.
    """

    method: MaskMethod
    threshold: float
    least: float = 0.005


def mask_from_blocks(scores: Array, weight: Array, rule: MaskRule, where: str) -> Array:
    """Return the mask of a weight (out, in), float32, from one score for each of its equal blocks.

    where: file and tensor, for messages. Raises CheckpointError.
    """
    if rule.method == "magnitude":
        return _highest(np.abs(weight.astype(np.float32)), rule.threshold, where)
    fits = scores.ndim == 2 and all(n and size % n == 0 for size, n in zip(weight.shape, scores.shape, strict=True))
    if not fits:
        raise CheckpointError(
            f"mask scores of shape {_shape(scores)} do not cut a {_shape(weight)} weight into equal blocks",
            where=where,
            remedy="download the checkpoint again",
        )
    mask = _keep(scores.astype(np.float32), rule, where)
    for axis in (0, 1):
        mask = np.repeat(mask, weight.shape[axis] // scores.shape[axis], axis)
    return mask


def mask_from_lines(
    rows: Array | None,
    columns: Array | None,
    weight: Array,
    rule: MaskRule,
    where: str,
    *,
    block: tuple[int, int] = (1, 1),
) -> Array:
    """The same, from one score for each row and each column, or for `block` of them, which are multiplied.

    None stands for scores of 1: nothing is pruned along that axis alone.
    """
    if any(scores is not None and scores.ndim != 1 for scores in (rows, columns)):
        raise CheckpointError(
            "scores of rows and columns must be vectors", where=where, remedy="download the checkpoint again"
        )
    row = np.ones(weight.shape[0] // block[0], np.float32) if rows is None else rows.astype(np.float32)
    column = np.ones(weight.shape[1] // block[1], np.float32) if columns is None else columns.astype(np.float32)
    return mask_from_blocks(np.outer(row, column), weight, rule, where)


def mask_two_of_four(scores: Array, weight: Array, where: str) -> Array:
    """The 2 highest of every 4 inputs in a row are kept; scores of the weight's own shape."""
    if scores.shape != weight.shape or scores.shape[1] % 4:
        raise CheckpointError(
            f"got scores {_shape(scores)}", where=where, wanted=f"{_shape(weight)}, a multiple of 4 inputs"
        )
    groups = scores.astype(np.float32).reshape(scores.shape[0], -1, 4)
    ordered = np.sort(groups, axis=2)
    if (ordered[:, :, 1] == ordered[:, :, 2]).any():
        raise _tie(where)
    return (groups >= ordered[:, :, 2:3]).astype(np.float32).reshape(weight.shape)


def mask_from_patterns(scores: Array, patterns: Array, weight: Array, where: str) -> Array:
    """For every 4 outputs of a column, the highest of `scores` (in, out/4, patterns) picks a row of `patterns`."""
    outputs, inputs = weight.shape
    if scores.shape != (inputs, outputs // 4, patterns.shape[0]) or patterns.shape[1:] != (4,) or outputs % 4:
        raise CheckpointError(f"scores {_shape(scores)} do not fit a {_shape(weight)} weight", where=where)
    best = scores.max(axis=2, keepdims=True)
    if ((scores == best).sum(axis=2) > 1).any():
        raise _tie(where)
    return np.asarray(patterns.astype(np.float32)[scores.argmax(axis=2)].reshape(inputs, outputs).T)


def _keep(scores: Array, rule: MaskRule, where: str) -> Array:
    if rule.method == "topK":
        return _highest(scores, rule.threshold, where)
    if rule.method == "l0":
        return np.asarray(np.clip(_sigmoid(scores) * np.float32(1.2) - np.float32(0.1), 0, 1))
    compared = _sigmoid(scores) if rule.method == "sigmoied_threshold" else scores
    kept: Array = compared > np.float32(rule.threshold)
    fewest = int(rule.least * scores.size) + 1 if rule.least else 0
    if kept.sum() < fewest:
        kept = scores > np.sort(scores, axis=None)[max(scores.size - fewest, 1) - 1]
    return kept.astype(np.float32)


def _highest(values: Array, share: float, where: str) -> Array:
    if not 0 <= share <= 1:
        raise CheckpointError(
            f"got a mask threshold of {share}", where=where, wanted="the share of weights to keep, 0 to 1"
        )
    kept = int(share * values.size)
    if kept in (0, values.size):
        return np.full(values.shape, float(kept > 0), np.float32)
    ordered = np.sort(values, axis=None)
    cut = ordered[values.size - kept]
    if ordered[values.size - kept - 1] == cut:
        raise _tie(where)
    return np.asarray(values >= cut, np.float32)


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # exp(-x) = inf gives the right 0
        return np.asarray(np.float32(1) / (np.float32(1) + np.exp(-x)))


def _tie(where: str) -> CheckpointError:
    return CheckpointError(
        "equal scores on both sides of the cut, so that what was pruned is not recorded",
        where=where,
        remedy="compile the model with nn_pruning first",
    )


def _shape(array: Array) -> str:
    return "x".join(map(str, array.shape)) or "a scalar"
