"""The one import of OpenVINO: without its telemetry, and without its converter.

`import openvino` starts a process that posts usage data to a server and writes a folder into the
home directory; both come from `openvino.tools.ovc`, a model converter that answering does not
need and that costs a third of the import. Hiding that one submodule while `openvino` is imported
is enough: `openvino/__init__.py` treats it as optional. Afterwards it is importable again. Code
that imported openvino before this module keeps what it has.
"""

import sys

_CONVERTER = "openvino.tools.ovc"
_TELEMETRY = "openvino_telemetry"


def without_telemetry() -> None:
    """Hide the telemetry package from whatever is imported later in this process (nncf asks for it)."""
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]


_hide_converter = "openvino" not in sys.modules and _CONVERTER not in sys.modules
if _hide_converter:
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]
try:
    import openvino as ov
finally:
    if _hide_converter:
        del sys.modules[_CONVERTER]

__all__ = ["ov", "without_telemetry"]
