"""How a model is stored: float16 matrices and float32 vectors, under names and in bytes that the graph alone decides.

Vectors are 0.3 % of a model and cost nothing to keep exact.
"""

import errno
import re
from pathlib import Path

import numpy as np

from converters.model.encoder import Array, Encoder, map_arrays
from edge_qa._openvino import ov
from edge_qa.bundle.manifest import MODEL_BIN, MODEL_XML

# OpenVINO names what nobody named after its kind and a counter of the whole process; where a file
# uses such a name itself, one more number keeps the two apart.
_COUNTED = re.compile(r"[A-Za-z0-9]+(_\d+)+")


def round_to_storage(encoder: Encoder) -> Encoder:
    """Return the encoder with every array as a bundle stores it."""
    return map_arrays(encoder, stored)


def stored(array: Array) -> Array:
    """Round one array: a matrix to float16, a vector to float32.

    A matrix with a value beyond float16's range (65504) stays in float32 as a whole.
    """
    if array.ndim < 2 or not array.size:
        return array.astype(np.float32, copy=False)
    if array.dtype == np.float16:
        return array
    if max(float(array.max()), -float(array.min())) > float(np.finfo(np.float16).max):
        return array.astype(np.float32, copy=False)
    return array.astype(np.float16)


def write_ir(model: "ov.Model", folder: Path) -> None:
    """Write model.xml and model.bin; the same model gives the same bytes. Raises OSError if the disk is full."""
    stabilise_names(model)
    try:
        ov.serialize(model, folder / MODEL_XML, folder / MODEL_BIN)
    except RuntimeError as error:
        if "iostream" not in str(error):
            raise
        # OpenVINO does not say why a write failed; into a fresh folder it is the space that is missing.
        raise OSError(errno.ENOSPC, "no space left") from None


def stabilise_names(model: "ov.Model") -> None:
    """Rename every counted node after the first named node that reads it."""
    for node in reversed(model.get_ordered_ops()):
        if _COUNTED.fullmatch(node.get_friendly_name()):
            port = min(
                (port for output in node.outputs() for port in output.get_target_inputs()),
                key=lambda port: (port.get_node().get_friendly_name(), port.get_index()),
            )
            node.set_friendly_name(f"{port.get_node().get_friendly_name()}/{port.get_index()}")
