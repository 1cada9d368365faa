"""The one import of OpenVINO, without its telemetry and its converter, and the one core of this process.

`import openvino` starts a process that posts usage data to a server and writes a folder into the
home directory; both come from `openvino.tools.ovc`, a model converter that answering does not
need and that costs a third of the import. Hiding that one submodule while `openvino` is imported
is enough: `openvino/__init__.py` treats it as optional. Afterwards it is importable again. Code
that imported openvino before this module keeps what it has.

The CPU plugin of a core sets the alternate signal stack of the thread that loads it, and frees that stack when
it goes; of two cores, the one made first must go last, or the thread is left with a stack that is no longer
there, and the next signal that Python handles, such as Ctrl-C, kills the process (seen in OpenVINO 2026.4.1). So
there is one core, which stays.
"""

import os
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

_cores: dict[int, ov.Core] = {}


def this_core() -> ov.Core:
    """Return the core of this process; a forked child gets its own."""
    # No lock, which a fork could copy while it is held: a core that comes second has loaded no plugin yet.
    process = os.getpid()
    return _cores.get(process) or _cores.setdefault(process, ov.Core())


__all__ = ["ov", "this_core", "without_telemetry"]
