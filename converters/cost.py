"""Multiply-adds of an Encoder by arithmetic alone, before any graph is built.

They agree with what `converters/ir/counting.py` counts on the graph: matrix products only.
"""

from converters.encoder import Attention, Encoder, FeedForward
from converters.matrices import matrices


def multiply_adds(encoder: Encoder, tokens: int) -> int:
    """Return the multiply-adds of all matrix products for one input of `tokens` tokens.

    A weight (out, in) costs out * in for each token; one head with keys of size d and values of
    size v costs (d + v) * tokens^2 for its scores and its mixture.
    """
    weights = sum(int(weight.size) for _, weight in matrices(encoder))
    return weights * tokens + sum(_attending(layer.attention) for layer in encoder.layers) * tokens**2


def _attending(attention: Attention) -> int:
    return attention.heads * (attention.key_size + attention.value_size)


def head_multiply_adds(attention: Attention, tokens: int) -> int:
    """Return what one head of the size that the model was trained with costs, be there one left or not."""
    size = round(attention.scale**-2)
    weights = size * (attention.query.inputs + attention.key.inputs + attention.value.inputs + attention.output.outputs)
    return weights * tokens + 2 * size * tokens**2


def neuron_multiply_adds(block: FeedForward, tokens: int) -> int:
    """Return what one neuron of a feed-forward block costs."""
    return (block.up.inputs + block.down.outputs) * tokens
