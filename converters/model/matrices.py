"""The weight matrices of an Encoder under the names that they have in its graph, and what their products cost.

Multiply-adds are counted by arithmetic alone, before any graph is built. They agree with what
`converters/ir/counting.py` counts on the graph: matrix products only.
"""

from collections.abc import Iterator

from converters.model.encoder import Array, Attention, Encoder, FeedForward, Layer


def matrices(encoder: Encoder) -> Iterator[tuple[str, Array]]:
    """Yield the weight of every matrix product with its name, (out, in) each, in the order of the graph.

    Names are those of `converters/ir/graph.py`, without ".matmul" or ".weight", such as
    "encoder.layer.3.ffn.0.up". Layers that share their weights yield the same array again; what has
    no values (the projections of a layer without heads) is left out.
    """
    embeddings = encoder.embeddings
    for name, linear in (("widen", embeddings.widen), ("projection", embeddings.projection)):
        if linear is not None:
            yield f"embeddings.{name}", linear.weight
    for index, layer in enumerate(encoder.layers):
        for name, weight in layer_matrices(layer):
            if weight.size:
                yield f"encoder.layer.{index}.{name}", weight
    yield "qa.logits", encoder.head.weight


def layer_matrices(layer: Layer) -> Iterator[tuple[str, Array]]:
    """Yield the matrices of one layer, empty ones too, with names such as "attention.query" and "ffn.0.up"."""
    middle = layer.bottleneck
    if middle is not None:
        yield "bottleneck.input", middle.input.weight
        if middle.shared is not None:
            yield "bottleneck.shared", middle.shared.weight
    for name in ("query", "key", "value", "output"):
        yield f"attention.{name}", getattr(layer.attention, name).weight
    for number, block in enumerate(layer.feed_forwards):
        yield f"ffn.{number}.up", block.up.weight
        yield f"ffn.{number}.down", block.down.weight
    if middle is not None:
        yield "bottleneck.output", middle.output.weight


def tables(encoder: Encoder) -> Iterator[tuple[str, Array]]:
    """Yield the embedding tables, which are looked up and never multiplied: (rows, E) each."""
    embeddings = encoder.embeddings
    yield "embeddings.word", embeddings.word
    yield "embeddings.position", embeddings.position
    if embeddings.token_type is not None:
        yield "embeddings.token_type", embeddings.token_type


def multiply_adds(encoder: Encoder, tokens: int) -> int:
    """Return the multiply-adds of all matrix products for one input of `tokens` tokens.

    A weight (out, in) costs out * in for each token; one head with keys of size d and values of
    size v costs (d + v) * tokens^2 for its scores and its mixture, and d for each distance that it knows.
    """
    weights = sum(int(weight.size) for _, weight in matrices(encoder))
    far = sum(_telling_apart(layer.attention) for layer in encoder.layers) * (2 * tokens - 1)
    return (weights + far) * tokens + sum(_attending(layer.attention) for layer in encoder.layers) * tokens**2


def _attending(attention: Attention) -> int:
    return attention.heads * (attention.key_size + attention.value_size)


def _telling_apart(attention: Attention) -> int:
    if attention.relative is None:
        return 0
    return attention.heads * attention.key_size * (1 + attention.relative.of_keys)


def head_multiply_adds(attention: Attention, tokens: int) -> int:
    """Return what one head of the size that the model was trained with costs, be there one left or not."""
    size = round(attention.scale**-2)
    weights = size * (attention.query.inputs + attention.key.inputs + attention.value.inputs + attention.output.outputs)
    return weights * tokens + 2 * size * tokens**2


def neuron_multiply_adds(block: FeedForward, tokens: int) -> int:
    """Return what one neuron of a feed-forward block costs."""
    return (block.up.inputs + block.down.outputs) * tokens
