"""Weights of closeness: those that made up choices are found again, and recall is counted."""

import numpy as np

from benchmarks.documents.fit_search import PARTS, fit, recall, softmax


def test_the_weights_are_found_again():
    random = np.random.default_rng(0)
    weights = np.array([0.5, 1.0, 0.0, -0.5, 2.0])
    parts = random.normal(size=(4000, 6, len(PARTS)))
    chosen = [random.choice(6, p=chances) for chances in softmax(parts @ weights)]
    right = np.arange(6) == np.array(chosen)[:, None]
    parts[:5, 5] = np.nan  # passages that are not there
    right[:5, 5] = False
    assert np.allclose(fit(parts, right), weights, atol=0.15)


def test_recall_by_hand():
    parts = np.zeros((2, 3, len(PARTS)))
    parts[:, :, 0] = [[3, 2, 1], [1, 2, 3]]
    parts[1, 2] = np.nan
    right = np.array([[True, False, False], [True, False, False]])
    by_first = np.eye(len(PARTS))[0]
    assert recall(parts, right, by_first) == ["50.0 %", "100.0 %", "100.0 %", "100.0 %", "100.0 %"]
