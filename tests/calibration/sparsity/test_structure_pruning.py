"""Which heads and neurons go: counted by hand."""

import numpy as np
import pytest

from calibration.sparsity.structure_pruning import choose, head_scores, neuron_scores
from converters.model.encoder import Attention, FeedForward, Linear, Norm
from edge_qa.errors import InputError


def linear(rows: list[list[float]]) -> Linear:
    weight = np.array(rows, np.float32)
    return Linear(weight, np.full(len(rows), 100, np.float32))  # biases do not count


ATTENTION = Attention(
    heads=2,
    scale=1.0,
    query=linear([[1, -1], [2, 0]]),
    key=linear([[0, 1], [1, 1]]),
    value=linear([[-3, 0], [1, 0]]),
    output=linear([[1, 0], [-1, 2]]),
)


def test_a_head_is_scored_by_the_rows_and_columns_that_are_its_own():
    """Two heads of size 1 over two channels."""
    assert head_scores(ATTENTION, {}, "a").tolist() == [2 + 1 + 3 + 2, 2 + 2 + 1 + 2]


def test_with_data_a_head_is_scored_by_what_it_adds():
    """The columns of the output add up to 2 and 2, and are multiplied with 5 and 1: 10 and 2, 6 on average."""
    norms = {"a.query": np.array([100.0, 1]), "a.output": np.array([5.0, 1])}
    assert head_scores(ATTENTION, norms, "a").tolist() == [10 / 6, 2 / 6]


def test_two_channels_of_a_head_belong_together():
    both = Linear(np.array([[1, 2, 3, 4]], np.float32), np.zeros(1, np.float32))
    rows = Linear(np.zeros((4, 1), np.float32), np.zeros(4, np.float32))
    attention = Attention(heads=2, scale=1.0, query=rows, key=rows, value=rows, output=both)
    assert head_scores(attention, {}, "a").tolist() == [3, 7]


def test_a_neuron_is_scored_by_its_column():
    norm = Norm(np.ones(2, np.float32), np.zeros(2, np.float32), 1e-12)
    block = FeedForward(linear([[1, -1], [2, 0], [0, 0]]), linear([[1, 0, 3], [0, -1, 4]]), norm)
    assert neuron_scores(block, {}, "f").tolist() == [1, 1, 7]
    norms = {"f.up": np.array([2.0, 1]), "f.down": np.array([1.0, 4, 1])}
    assert neuron_scores(block, norms, "f").tolist() == [1 / 4, 4 / 4, 7 / 4]


def chosen(scores: list[list[float]], ratio: float, least: int = 0) -> list[list[int]]:
    masks = choose([np.array(layer, np.float64) for layer in scores], ratio, least, "heads")
    return [mask.astype(int).tolist() for mask in masks]


def test_the_lowest_of_the_whole_model_go():
    assert chosen([[5, 1, 4], [2, 9, 3]], 0.5) == [[1, 0, 1], [0, 1, 0]]
    assert chosen([[1, 2, 3], [7, 8, 9]], 0.5) == [[0, 0, 0], [1, 1, 1]]
    assert chosen([[1, 1, 1], [1, 1, 1]], 0.33) == [[0, 0, 1], [1, 1, 1]]


def test_each_layer_keeps_its_best():
    assert chosen([[1, 2, 3], [7, 8, 9]], 0.5, least=1) == [[0, 0, 1], [0, 1, 1]]
    assert chosen([[1, 2, 3], [7, 8, 9]], 0.33, least=2) == [[0, 1, 1], [0, 1, 1]]


def test_layers_of_any_width_are_compared():
    assert chosen([[], [4, 2], [3]], 0.34, least=1) == [[], [1, 0], [1]]


def test_what_cannot_go_is_said():
    with pytest.raises(InputError, match=r"ratio 0\.8: would remove 5 of 6 heads.*at least 1, so that 4 can go"):
        chosen([[1, 2, 3], [7, 8, 9]], 0.8, least=1)
    assert chosen([[1, 2, 3], [7, 8, 9]], 0.8) == [[0, 0, 0], [0, 0, 1]]
