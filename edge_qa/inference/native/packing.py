"""Where the packed model of a bundle is, and making it where there is none.

Packing reads the bundle's IR, which takes OpenVINO and the converters. So it runs in a process of its own, by the
command that users have: this one stays small, and answering depends on neither.
"""

import os
import sys
from pathlib import Path

from edge_qa.bundle.manifest import PACKED_MODEL, Manifest
from edge_qa.errors import BundleError, ResourceError

# Of what pack-native writes; a newer one packs again.
_FORMAT = 1


def cached_path(manifest: Manifest, cache: str | os.PathLike[str]) -> Path:
    """Return where a folder of compiled models keeps the packed model of a bundle. Raises ResourceError."""
    if not os.path.isdir(cache):
        raise ResourceError(
            "does not exist or is not a folder", where=cache, remedy="create the folder for compiled models first"
        )
    return Path(cache) / f"{manifest.digest}-{_FORMAT}.packed"


def pack(folder: Path, scratch: Path | None = None) -> bytes:
    """Return the packed model of a bundle. Raises BundleError if it cannot be packed.

    scratch: where it lies meanwhile; the system's temporary folder if None.
    """
    # Here, because a bundle that is packed already starts without them.
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory(dir=scratch) as place:
        packed = Path(place) / "packed"
        command = [sys.executable, "-m", "edge_qa", "pack-native", os.fspath(folder.absolute()), os.fspath(packed)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment(), check=False
        )
        if done.returncode == 0:
            return (packed / PACKED_MODEL).read_bytes()
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    reason = lines[-1].removeprefix("error: ") if lines else f"exit code {done.returncode}"
    raise BundleError(f"cannot be packed for the native engine ({reason})", where=folder)


def _environment() -> dict[str, str]:
    """This environment, with the modules found as they are found here."""
    home = str(Path(__file__).resolve().parents[3])
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))}
