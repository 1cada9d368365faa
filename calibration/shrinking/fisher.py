"""Gradients of the question-answering loss with respect to masks on heads and neurons.

Kwon et al. 2022 (arXiv 2204.09656): a mask of 1 is put on every head's output and every neuron's
activation; the Fisher information of the masks is the mean of the squares (and products) of these
gradients over examples. A batch gets one mask per example, so that one backward pass gives each
example's own gradient. No gradient of a weight is ever computed.
"""

from collections.abc import Sequence

import numpy as np

from calibration.data.answered_windows import AnsweredWindow
from calibration.shrinking.mask_gradients import MaskGradients
from calibration.torch_model.model import TorchEncoder
from converters.model.encoder import Encoder
from edge_qa.errors import missing_extra
from edge_qa.progress import Progress, no_progress
from edge_qa.system.cpu import this_cpu

try:
    import torch
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

# Of windows of like length: more would only be padded more.
_BATCH = 8


def mask_gradients(
    encoder: Encoder,
    windows: Sequence[AnsweredWindow],
    *,
    progress: Progress = no_progress,
) -> MaskGradients:
    """Return each window's gradient of its loss with respect to every head's and every neuron's mask, all masks 1.

    The loss is -log of the probability, start times end, of all places where the answer stands.
    The encoder has no bottlenecks and one feed-forward block a layer.
    """
    model = TorchEncoder(encoder).requires_grad_(False)
    order = sorted(range(len(windows)), key=lambda place: windows[place].window.tokens)
    heads = [np.zeros((len(windows), layer.attention.heads), np.float32) for layer in encoder.layers]
    neurons = [np.zeros((len(windows), layer.feed_forwards[0].width), np.float32) for layer in encoder.layers]
    before = torch.get_num_threads()
    torch.set_num_threads(this_cpu().threads)
    try:
        for first in range(0, len(order), _BATCH):
            places = order[first : first + _BATCH]
            masks = ones(encoder, len(places))
            answered = [windows[place] for place in places]
            losses(model, answered, masks).sum().backward()
            for layer, (head_mask, neuron_mask) in enumerate(masks):
                for target, mask in ((heads[layer], head_mask), (neurons[layer], neuron_mask)):
                    if mask.grad is not None:
                        target[places] = mask.grad.numpy()
            progress("importance", first + len(places), len(order))
    finally:
        torch.set_num_threads(before)
    return MaskGradients(tuple(heads), tuple(neurons))


def losses(
    model: TorchEncoder, windows: Sequence[AnsweredWindow], masks: "Sequence[tuple[torch.Tensor, torch.Tensor]]"
) -> "torch.Tensor":
    """Return the loss of each window, (windows,); masks: of each layer's heads and neurons, (windows, count)."""
    lengths = [item.window.tokens for item in windows]
    ids, types = np.zeros((2, len(windows), max(lengths)), np.int64)
    for row, item in enumerate(windows):
        ids[row, : lengths[row]], types[row, : lengths[row]] = item.window.input_ids, item.window.token_type_ids
    logits = model(torch.from_numpy(ids), torch.from_numpy(types), torch.tensor(lengths), gates=masks)
    start, end = logits.log_softmax(1).unbind(-1)
    found = []
    for row, item in enumerate(windows):
        spans = torch.from_numpy(item.spans)
        found.append(-(start[row, spans[:, 0]] + end[row, spans[:, 1]]).logsumexp(0))
    return torch.stack(found)


def ones(encoder: Encoder, batch: int) -> "list[tuple[torch.Tensor, torch.Tensor]]":
    """Return masks of 1 for each layer's heads, (batch, heads), and neurons, (batch, width)."""
    sizes = [(layer.attention.heads, layer.feed_forwards[0].width) for layer in encoder.layers]
    return [
        (torch.ones(batch, heads, requires_grad=True), torch.ones(batch, width, requires_grad=True))
        for heads, width in sizes
    ]
