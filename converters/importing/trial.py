"""Read a foreign model in another process first: if its reader crashes or never ends, that process does.

A well-formed graph can still bring OpenVINO, or its ONNX reader, to a crash, or make it compute for ever as it folds
constants. The process that imports learns it in one line.
"""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_qa.errors import CheckpointError

_STATEMENTS = "from converters.importing.trial import main; main()"
_SECONDS, _BYTES_A_SECOND = 90.0, 4e6
# Addresses, not memory: OpenVINO's threads and code take some GiB of them.
_ADDRESS_BYTES, _THREAD_BYTES, _TIMES_MODEL = 8 * 2**30, 2**28, 16
_REMEDY = "get the model from somebody you trust, or export it again"


def try_to_read(model: Path, files: Sequence[Path], name: Path) -> None:
    """Read and compile a model in a process with limits of time and memory.

    files: all that it consists of. name: what the user calls it.
    Raises CheckpointError if the process dies or does not end. An error that it meets is not told: whoever reads the
    model afterwards meets it, too.
    """
    size = sum(file.stat().st_size for file in files)
    seconds = _SECONDS + size / _BYTES_A_SECOND
    addresses = _ADDRESS_BYTES + _THREAD_BYTES * (os.cpu_count() or 1) + _TIMES_MODEL * size
    command = [sys.executable, "-c", _STATEMENTS, json.dumps([os.path.abspath(model), addresses])]
    home = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            env=os.environ | {"PYTHONPATH": paths},
        )
    except subprocess.TimeoutExpired:
        raise CheckpointError(
            f"OpenVINO was not done with reading it after {seconds:.0f} s", where=name, remedy=_REMEDY
        ) from None
    if done.returncode < 0:
        raise CheckpointError(
            f"OpenVINO crashed as it read it ({signal.Signals(-done.returncode).name})", where=name, remedy=_REMEDY
        )


def main() -> None:
    """Read the model that the only argument names, and end."""
    path, addresses = json.loads(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (addresses if most < 0 else min(addresses, most), most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from converters.importing.reader import read_model
    from edge_qa._openvino import this_core

    this_core().compile_model(read_model(Path(path)), "CPU")
    # Whatever OpenVINO does as a process ends is nothing that the model is to blame for.
    os._exit(0)
