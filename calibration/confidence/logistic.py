"""Monotone logistic regression of a few terms, exactly: every choice of the terms that may take part is fitted."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from edge_qa.inference.confidence import probabilities

Floats = NDArray[np.float64]
# What holds a weight back, per standard deviation of its term: little, and enough that a set of a few
# questions that a term happens to part gives no weight without end.
RIDGE = 1.0
_STEPS = 100


def fit_monotone(
    terms: Sequence[Mapping[str, float]], true: NDArray[np.bool_], signs: Mapping[str, int]
) -> dict[str, float]:
    """Return the weights by name, and `constant`, that make the likelihood largest, less the ridge's share.

    terms: the values of one answer each. true: what the probability is of. signs: 1 or -1, the only sign that the
    weight of a term may have; a term that would want the other takes no part.
    The problem is convex, so its solution is that of the best choice of terms whose own solution has all signs right.
    """
    names = tuple(signs)
    values = np.array([[term[name] for name in names] for term in terms])
    mean, deviation = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    scaled = (values - mean) / deviation
    wanted = np.array([signs[name] for name in names])
    best, weights = np.inf, np.zeros(len(names) + 1)
    for chosen in product((False, True), repeat=len(names)):
        part = np.flatnonzero(chosen)
        found, loss = _newton(np.column_stack([np.ones(len(values)), scaled[:, part]]), true.astype(float))
        if loss < best and (found[1:] * wanted[part] >= 0).all():
            best, weights = loss, np.zeros(len(names) + 1)
            weights[[0, *(part + 1)]] = found
    slopes = weights[1:] / deviation
    constant = float(weights[0] - slopes @ mean)
    return {"constant": constant, **{name: float(slope) for name, slope in zip(names, slopes, strict=True)}}


def _newton(values: Floats, true: Floats) -> tuple[Floats, float]:
    """The weights of least loss, and the loss: -log likelihood + RIDGE / 2 * (all weights but the first)^2."""
    ridge = np.full(values.shape[1], RIDGE)
    # Held just enough that all true or all false still has a solution.
    ridge[0] = 1e-3
    weights = np.zeros(values.shape[1])

    def loss(at: Floats) -> float:
        logits = values @ at
        return float(np.logaddexp(0, logits).sum() - true @ logits + ridge @ at**2 / 2)

    now = loss(weights)
    for _ in range(_STEPS):
        says = probabilities(values @ weights)
        slope = values.T @ (says - true) + ridge * weights
        bend = (values * (says * (1 - says))[:, None]).T @ values + np.diag(ridge)
        step = np.linalg.solve(bend, slope)
        while (after := loss(weights - step)) > now and np.abs(step).max() > 1e-12:
            step /= 2
        if now - after < 1e-12:
            break
        weights, now = weights - step, after
    return weights, now
