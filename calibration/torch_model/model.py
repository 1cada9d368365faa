"""The torch model of an Encoder: the numpy arrays become parameters, and an Encoder comes out again.

A module of our own and not transformers' classes, because pruned models are ragged (any number of
heads and neurons in every layer, or none), which those load only in part; and because recipes reach into
the forward pass: gates on heads and neurons, tokens that are dropped, the attention scores. Parameters have
the names of `converters.model.encoder.named_arrays`, such as "layers.3.attention.query.weight".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from calibration.torch_model.token_dropping import MASKED, Drop, Dropper
from converters.model.encoder import Activation, Array, Encoder, Layer, Linear, Norm, map_arrays, named_arrays
from converters.token_budgets.token_dropping import Keep
from edge_qa.errors import CheckpointError, missing_extra

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

Tensor: TypeAlias = torch.Tensor
Gates = Sequence[tuple[Tensor, Tensor]]  # of each layer: heads (heads,) or (batch, heads), neurons alike


@dataclass(eq=False)
class Trace:
    """What a forward pass leaves behind for a loss.

    hidden: the embeddings' output and every layer's, (batch, tokens, H). scores: of each layer's attention,
    before the softmax and without the mask, (batch, heads, tokens, tokens); None where there are no heads.
    """

    hidden: list[Tensor] = field(default_factory=list)
    scores: list[Tensor | None] = field(default_factory=list)


class TorchEncoder(nn.Module):
    """An Encoder whose arrays are float32 parameters.

    Raises CheckpointError for what it cannot hold: shared layers (ALBERT), bottlenecks (MobileBERT).
    """

    def __init__(self, encoder: Encoder, where: object = "model") -> None:
        super().__init__()
        problems = untrainable(encoder)
        if problems:
            raise CheckpointError(
                f"a model of family {encoder.family!r} cannot be trained here ({problems})",
                where=where,
                remedy="train it with transformers and convert the result",
            )
        self.template = encoder
        parts = encoder.embeddings
        self.embeddings = nn.Module()
        self.embeddings.word = _parameter(parts.word)
        self.embeddings.position = _parameter(parts.position)
        if parts.token_type is not None:
            self.embeddings.token_type = _parameter(parts.token_type)
        self.embeddings.norm = _Affine(parts.norm)
        if parts.projection is not None:
            self.embeddings.projection = _Affine(parts.projection)
        self.layers = nn.ModuleList(_Layer(layer) for layer in encoder.layers)
        self.head = _Affine(encoder.head)

    def matrices(self) -> dict[str, nn.Parameter]:
        """The weights of every layer's Linear, (out, in), by name; empty ones are left out."""
        return {
            name: value
            for name, value in self.named_parameters()
            if name.startswith("layers.") and value.dim() == 2 and value.numel()
        }

    def encoder(self) -> Encoder:
        """The parameters as they are now, as an Encoder of the types that it was made from."""
        now = dict(self.named_parameters())
        arrays = {id(array): now[name] for name, array in named_arrays(self.template)}

        def change(array: Array) -> Array:
            return np.asarray(arrays[id(array)].detach().to("cpu", torch.float32).numpy().astype(array.dtype))

        return map_arrays(self.template, change)

    def forward(
        self,
        ids: Tensor,
        types: Tensor,
        lengths: Tensor,
        gates: Gates | None = None,
        keep: Keep | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """Return the logits, (batch, tokens, 2) float32; those of padding are MASKED.

        ids, types: (batch, tokens) int64. lengths: how many of them are real, (batch,).
        gates: what each head's output and each neuron's activation is multiplied by.
        keep: the tokens that go on, ranked as the runtime does (converters/token_budgets/token_dropping.py).
        """
        real = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        x = self._embed(ids, types)
        if trace is not None:
            trace.hidden.append(x)
        question = (types == 0) & (self.template.token_types > 1)
        dropper = Dropper(self.head, keep, question, lengths) if keep is not None and keep.dropping_layers else None
        there = real
        for index, layer in enumerate(self.layers):
            drop = dropper.step(index, x, there) if dropper is not None else None
            x = layer(x, there, self.template.activation, gates[index] if gates else None, trace, drop)
            if drop is not None:
                there = drop.there
            if trace is not None:
                trace.hidden.append(x)
        logits = self.head(x)
        if dropper is not None:
            logits = dropper.restore(logits)
        return logits.float().masked_fill(~real[:, :, None], MASKED)

    def _embed(self, ids: Tensor, types: Tensor) -> Tensor:
        parts = self.embeddings
        first = self.template.embeddings.position_offset
        x = functional.embedding(ids, parts.word) + parts.position[first : first + ids.shape[1]]
        if self.template.embeddings.token_type is not None:
            x = x + functional.embedding(types, parts.token_type)
        x = parts.norm(x)
        return x if self.template.embeddings.projection is None else parts.projection(x)


def untrainable(encoder: Encoder) -> str:
    """Why an encoder cannot be trained here, or nothing."""
    if len({id(layer) for layer in encoder.layers}) < len(encoder.layers):
        return "its layers share their weights"
    if encoder.embeddings.widen is not None or any(
        layer.bottleneck is not None or len(layer.feed_forwards) != 1 for layer in encoder.layers
    ):
        return "its layers have bottlenecks"
    if any(layer.attention.relative is not None for layer in encoder.layers):
        return "its attention adds relative positions"
    return ""


class _Affine(nn.Module):
    """A Linear or a Norm of the Encoder."""

    def __init__(self, part: Linear | Norm) -> None:
        super().__init__()
        self.weight, self.bias = _parameter(part.weight), _parameter(part.bias)
        self.is_norm = isinstance(part, Norm)
        self.epsilon = part.epsilon if isinstance(part, Norm) else None

    def forward(self, x: Tensor) -> Tensor:
        if not self.is_norm:
            return functional.linear(x, self.weight, self.bias)
        if self.epsilon is None:
            return x * self.weight + self.bias
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


class _Layer(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.heads, self.scale = layer.attention.heads, layer.attention.scale
        self.attention = nn.Module()
        for name in ("query", "key", "value", "output"):
            setattr(self.attention, name, _Affine(getattr(layer.attention, name)))
        self.attention_norm = _Affine(layer.attention_norm)
        block = nn.Module()
        block.up, block.down = _Affine(layer.feed_forwards[0].up), _Affine(layer.feed_forwards[0].down)
        block.norm = _Affine(layer.feed_forwards[0].norm)
        self.feed_forwards = nn.ModuleList([block])
        self.width = layer.feed_forwards[0].width

    def forward(
        self,
        x: Tensor,
        there: Tensor,
        activation: Activation,
        gates: tuple[Tensor, Tensor] | None,
        trace: Trace | None,
        drop: Drop | None,
    ) -> Tensor:
        part = self.attention
        if self.heads:
            query, key, value = (
                linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
                for linear in (part.query, part.key, part.value)
            )
            # Written out: on a CPU faster than scaled_dot_product_attention with a gradient, and recipes read it.
            scores = (query * self.scale) @ key.transpose(-1, -2)
            if trace is not None:
                trace.scores.append(scores)
            bias = torch.zeros(there.shape, dtype=x.dtype, device=x.device).masked_fill(~there, MASKED)
            probabilities = (scores + bias[:, None, None, :]).softmax(-1)
            mixed = probabilities @ value
            if drop is not None:
                drop.choose(probabilities)
            if gates is not None:
                mixed = mixed * gates[0][..., None, None].to(x.dtype)
            mixed = mixed.transpose(1, 2).flatten(2)
            if drop is not None:
                x, mixed = drop.rows(x), drop.rows(mixed)
            change = part.output(mixed)
        else:
            change = part.output.bias
            if trace is not None:
                trace.scores.append(None)
        x = self.attention_norm(x + change)
        block = self.feed_forwards[0]
        change = block.down.bias
        if self.width:
            active = activate(block.up(x), activation)
            if gates is not None:
                active = active * gates[1][..., None, :].to(x.dtype)
            change = block.down(active)
        return block.norm(x + change)


def activate(x: Tensor, activation: Activation) -> Tensor:
    """Apply the feed-forward activation."""
    if activation == "gelu":
        return functional.gelu(x)
    if activation == "gelu_10":
        return functional.gelu(x).clamp(-10, 10)
    if activation == "gelu_tanh":
        return functional.gelu(x, approximate="tanh")
    if activation == "mish":
        return functional.mish(x)
    if activation == "quick_gelu":
        return x * torch.sigmoid(1.702 * x)
    if activation == "relu":
        return functional.relu(x)
    if activation == "relu2":
        return functional.relu(x).square()
    if activation == "silu":
        return functional.silu(x)
    if activation == "tanh":
        return torch.tanh(x)
    raise AssertionError(activation)


def _parameter(array: Array) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(array, np.float32)))
