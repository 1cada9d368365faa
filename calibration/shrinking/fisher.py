"""Gradients of the question-answering loss with respect to masks on heads and neurons: the one module with torch here.

Kwon et al. 2022 (arXiv 2204.09656): a mask of 1 is put on every head's output and every neuron's
activation; the Fisher information of the masks is the mean of the squares (and products) of these
gradients over examples. A batch gets one mask per example, so that one backward pass gives each
example's own gradient. No gradient of a weight is ever computed.
"""

from collections.abc import Callable, Sequence

import numpy as np

from calibration.answered_windows import AnsweredWindow
from calibration.shrinking.mask_gradients import MaskGradients
from converters.encoder import Activation, Array, Encoder, Layer, Linear, Norm
from edge_qa.cpu import this_cpu
from edge_qa.extras import missing_extra

try:
    import torch
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Tensor = torch.Tensor
# Of windows of like length: more would only be padded more.
_BATCH = 8


def mask_gradients(
    encoder: Encoder,
    windows: Sequence[AnsweredWindow],
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MaskGradients:
    """Return each window's gradient of its loss with respect to every head's and every neuron's mask, all masks 1.

    The loss is -log of the probability, start times end, of all places where the answer stands.
    The encoder has no bottlenecks and one feed-forward block a layer.
    """
    model = MaskedModel(encoder)
    order = sorted(range(len(windows)), key=lambda place: windows[place].window.tokens)
    heads = [np.zeros((len(windows), layer.attention.heads), np.float32) for layer in encoder.layers]
    neurons = [np.zeros((len(windows), layer.feed_forwards[0].width), np.float32) for layer in encoder.layers]
    before = torch.get_num_threads()
    torch.set_num_threads(this_cpu().threads)
    try:
        for first in range(0, len(order), _BATCH):
            places = order[first : first + _BATCH]
            masks = model.ones(len(places))
            answered = [windows[place] for place in places]
            losses(model, answered, masks).sum().backward()
            for layer, (head_mask, neuron_mask) in enumerate(masks):
                for target, mask in ((heads[layer], head_mask), (neurons[layer], neuron_mask)):
                    if mask.grad is not None:
                        target[places] = mask.grad.numpy()
            progress(first + len(places), len(order))
    finally:
        torch.set_num_threads(before)
    return MaskGradients(tuple(heads), tuple(neurons))


def losses(model: "MaskedModel", windows: Sequence[AnsweredWindow], masks: "Sequence[tuple[Tensor, Tensor]]") -> Tensor:
    """Return the loss of each window, (windows,)."""
    longest = max(item.window.tokens for item in windows)
    ids, types, real = (np.zeros((len(windows), longest), np.int64) for _ in range(3))
    for row, item in enumerate(windows):
        tokens = item.window.tokens
        ids[row, :tokens], types[row, :tokens], real[row, :tokens] = (
            item.window.input_ids,
            item.window.token_type_ids,
            1,
        )
    start, end = model(ids, types, real, masks)
    log_start, log_end = start.log_softmax(-1), end.log_softmax(-1)
    found = []
    for row, item in enumerate(windows):
        spans = torch.from_numpy(item.spans)
        found.append(-(log_start[row, spans[:, 0]] + log_end[row, spans[:, 1]]).logsumexp(0))
    return torch.stack(found)


class MaskedModel:
    """The forward pass of an Encoder in float32, with a mask on every head and every neuron."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._tensors: dict[int, Tensor] = {}

    def ones(self, batch: int) -> list[tuple[Tensor, Tensor]]:
        """Masks of 1 for each layer's heads, (batch, heads), and neurons, (batch, width)."""
        sizes = [(layer.attention.heads, layer.feed_forwards[0].width) for layer in self.encoder.layers]
        return [
            (torch.ones(batch, heads, requires_grad=True), torch.ones(batch, width, requires_grad=True))
            for heads, width in sizes
        ]

    def __call__(
        self, ids: Array, types: Array, real: Array, masks: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Return the start and end logits, -inf for padding; ids, types and real (0 or 1) are (batch, tokens)."""
        x = self._embed(ids, types)
        attend = torch.from_numpy(real.astype(bool))
        for layer, (heads, neurons) in zip(self.encoder.layers, masks, strict=True):
            x = self._layer(x, layer, attend, heads, neurons)
        logits = self._linear(x, self.encoder.head).masked_fill(~attend[:, :, None], -torch.inf)
        return logits[..., 0], logits[..., 1]

    def _weights(self, array: Array) -> Tensor:
        if id(array) not in self._tensors:
            self._tensors[id(array)] = torch.from_numpy(np.array(array, np.float32))
        return self._tensors[id(array)]

    def _linear(self, x: Tensor, linear: Linear) -> Tensor:
        return functional.linear(x, self._weights(linear.weight), self._weights(linear.bias))

    def _norm(self, x: Tensor, norm: Norm) -> Tensor:
        weight, bias = self._weights(norm.weight), self._weights(norm.bias)
        if norm.epsilon is None:
            return x * weight + bias
        return functional.layer_norm(x, weight.shape, weight, bias, norm.epsilon)

    def _embed(self, ids: Array, types: Array) -> Tensor:
        parts = self.encoder.embeddings
        x = parts.word[ids].astype(np.float32)
        x = x + parts.position[np.arange(ids.shape[1]) + parts.position_offset].astype(np.float32)
        if parts.token_type is not None:
            x = x + parts.token_type[types].astype(np.float32)
        embedded = self._norm(torch.from_numpy(x), parts.norm)
        return embedded if parts.projection is None else self._linear(embedded, parts.projection)

    def _layer(self, x: Tensor, layer: Layer, attend: Tensor, heads: Tensor, neurons: Tensor) -> Tensor:
        attention, block = layer.attention, layer.feed_forwards[0]
        change = self._weights(attention.output.bias)
        if attention.heads:
            parts = (self._linear(x, part) for part in (attention.query, attention.key, attention.value))
            query, key, value = (part.unflatten(-1, (attention.heads, -1)).transpose(1, 2) for part in parts)
            mixed = functional.scaled_dot_product_attention(
                query, key, value, attn_mask=attend[:, None, None, :], scale=attention.scale
            )
            masked = (mixed * heads[:, :, None, None]).transpose(1, 2).flatten(2)
            change = self._linear(masked, attention.output)
        x = self._norm(x + change, layer.attention_norm)
        change = self._weights(block.down.bias)
        if block.width:
            active = _activate(self._linear(x, block.up), self.encoder.activation)
            change = self._linear(active * neurons[:, None, :], block.down)
        return self._norm(x + change, block.norm)


def _activate(x: Tensor, activation: Activation) -> Tensor:
    if activation == "gelu":
        return functional.gelu(x)
    if activation == "gelu_tanh":
        return functional.gelu(x, approximate="tanh")
    if activation == "relu":
        return functional.relu(x)
    if activation == "silu":
        return functional.silu(x)
    raise AssertionError(activation)
