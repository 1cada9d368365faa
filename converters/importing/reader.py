"""OpenVINO's readers, as they are: what they are given must have been looked at."""

from pathlib import Path

from edge_qa._openvino import ov, this_core


def read_model(path: Path) -> "ov.Model":
    """Read MODEL.onnx, or MODEL.xml with the MODEL.bin beside it. Raises RuntimeError."""
    if path.suffix.lower() == ".xml":
        return this_core().read_model(path, path.with_suffix(".bin"))
    frontend = ov.frontend.FrontEndManager().load_by_framework("onnx")
    try:
        return frontend.convert(frontend.load(str(path)))
    except Exception as error:  # the frontend's errors have no common class
        raise RuntimeError(str(error)) from None
