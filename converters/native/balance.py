"""Balance the channels of attention for the native engine, from the weights alone.

A checkpoint may come with a query channel scaled by s and its key channel by 1/s, and the like for values and the
output projection: its logits are the same, but codes that share one scale over a head lose the small channels.
`calibration/quantization/balance.py` does this for NNCF, from the activations of samples. Here there are none: the
norm of a channel's weights stands for its range, and only what is far from balanced is touched.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Attention, Encoder, Layer, Linear

Floats = NDArray[np.float32]

# In powers of two. Channels nearer to balance than this gained nothing on 200 questions of SQuAD.
_FAR = 2


def balance_heads(encoder: Encoder) -> Encoder:
    """Return the encoder with the channels of each head balanced, by powers of two: its logits stay what they were.

    A layer that is balanced stays the same object.
    """
    known: dict[int, Layer] = {}
    layers = []
    for layer in encoder.layers:
        if id(layer) not in known:
            attention = _balanced(layer.attention)
            known[id(layer)] = layer if attention is layer.attention else replace(layer, attention=attention)
        layers.append(known[id(layer)])
    return replace(encoder, layers=tuple(layers))


def factors(wanted: Floats, have: Floats, heads: int) -> Floats:
    """Return the power of two nearest to sqrt(wanted / have) for each channel, 1 where that is near.

    Relative to the median of a channel's head, because a factor that a whole head has changes no code.
    """
    usable = (wanted > 0) & (have > 0)
    ratio = np.log2(np.where(usable, wanted, 1)) - np.log2(np.where(usable, have, 1))
    by_head = np.where(usable, ratio / 2, np.nan).reshape(heads, -1)
    middle = np.array([np.median(row[~np.isnan(row)]) if not np.isnan(row).all() else 0.0 for row in by_head])
    exponents = np.rint(np.nan_to_num(by_head - middle[:, None])).ravel()
    exponents[(np.abs(exponents) < _FAR) | ~usable] = 0
    result: Floats = np.exp2(exponents).astype(np.float32)
    return result


def _balanced(attention: Attention) -> Attention:
    if not attention.heads or attention.relative is not None:
        return attention
    scores = factors(_rows(attention.key), _rows(attention.query), attention.heads)
    columns = np.linalg.norm(attention.output.weight.astype(np.float32), axis=0)
    values = factors(columns, _rows(attention.value), attention.heads)
    if (scores == 1).all() and (values == 1).all():
        return attention
    output = attention.output.weight.astype(np.float32) / values
    return replace(
        attention,
        query=_scaled(attention.query, scores),
        key=_scaled(attention.key, np.float32(1) / scores),
        value=_scaled(attention.value, values),
        output=replace(attention.output, weight=output),
    )


def _rows(linear: Linear) -> Floats:
    """The norm of what makes each channel: its weights, and its bias."""
    weight, bias = linear.weight.astype(np.float32), linear.bias.astype(np.float32)
    result: Floats = np.sqrt((weight**2).sum(axis=1) + bias**2)
    return result


def _scaled(linear: Linear, by: Floats) -> Linear:
    weight = linear.weight.astype(np.float32) * by[:, None]
    return replace(linear, weight=weight, bias=linear.bias.astype(np.float32) * by)
