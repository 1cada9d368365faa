"""The numpy statement of token dropping: what `converters/token_budgets/token_dropping.py` must compute in the graph.

One example at a time, at its true length and without padding: no masks, no ranks, no batches.
"""

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Encoder, Layer
from converters.token_budgets.token_dropping import QUESTION_BONUS, Keep, kept_tokens
from converters.verification.reference import Float, Inputs, apply_layer, apply_linear, apply_norm, embed


def token_dropping_logits(encoder: Encoder, inputs: Inputs, keep: Keep) -> tuple[Float, Float]:
    """Return the start and end logits, each (batch, tokens) float32; zeros where there is padding."""
    logits = np.zeros((*inputs["input_ids"].shape, 2), np.float32)
    for row, mask in enumerate(inputs["attention_mask"].astype(bool)):
        example = {role: values[row, mask][None] for role, values in inputs.items()}
        logits[row, mask] = _example(encoder, example, keep)
    return logits[..., 0], logits[..., 1]


def _example(encoder: Encoder, inputs: Inputs, keep: Keep) -> Float:
    x = embed(encoder, inputs)
    length = x.shape[1]
    there = np.arange(length)  # the places of the tokens that are still there
    question = inputs["token_type_ids"][0] == 0
    logits = np.zeros((length, 2), np.float32)
    for index, layer in enumerate(encoder.layers):
        everyone = np.ones((1, 1, 1, x.shape[1]), bool)
        after = apply_layer(x, layer, everyone, encoder.activation)
        if index in keep.dropping_layers:
            logits[there] = apply_linear(x, encoder.head)[0]
            scores = _scores(x, layer, keep.probes.get(index), question[there] & (encoder.token_types > 1))
            # A token's output does not hang on which others leave in the same layer.
            stay = np.argsort(-scores, kind="stable")[: kept_tokens(keep.shares[index], length, keep.step)]
            after, there = after[:, stay], there[stay]
        x = after
    logits[there] = apply_linear(x, encoder.head)[0]
    return logits


def _scores(x: Float, layer: Layer, probe: NDArray[np.float32] | None, question: NDArray[np.bool_]) -> Float:
    if probe is not None:
        probed: Float = x[0] @ probe + np.float32(QUESTION_BONUS) * question
        return probed
    probabilities = _probabilities(x, layer)
    paid: Float = probabilities.sum(axis=(0, 1))
    return paid


def _probabilities(x: Float, layer: Layer) -> Float:
    """The attention probabilities of the layer, (heads, tokens, tokens)."""
    attention, reads = layer.attention, x[0]
    narrow = layer.bottleneck
    if narrow is not None and narrow.attention_input == "narrow":
        reads = apply_norm(apply_linear(reads, narrow.input), narrow.input_norm)
    elif narrow is not None and narrow.shared is not None and narrow.shared_norm is not None:
        reads = apply_norm(apply_linear(reads, narrow.shared), narrow.shared_norm)
    query = np.split(apply_linear(reads, attention.query), attention.heads, axis=1)
    key = np.split(apply_linear(reads, attention.key), attention.heads, axis=1)
    scores = np.stack([q @ k.T for q, k in zip(query, key, strict=True)]) * np.float32(attention.scale)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    result: Float = weights / weights.sum(axis=-1, keepdims=True)
    return result
