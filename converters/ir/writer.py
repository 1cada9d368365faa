"""Write an OpenVINO model as the two files of a bundle."""

import errno
from pathlib import Path

from converters.ir.naming import stabilise_names
from edge_qa._openvino import ov
from edge_qa.manifest import MODEL_BIN, MODEL_XML


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
