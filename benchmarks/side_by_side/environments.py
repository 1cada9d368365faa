"""One virtual environment a contender, made with venv and pip from pinned versions, and how much disk it takes."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.side_by_side.workers import RIVALS, environment, why_it_ended
from edge_qa.errors import ResourceError
from edge_qa.files import write_file

ROOT = Path(__file__).resolve().parents[2]
# torch without CUDA is not on PyPI but here; where this cannot be reached, PyPI's own build is taken.
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
# What CUDA's libraries need while they are unpacked, and afterwards.
_ROOM_FOR_CUDA = 15 * 10**9
_PACKAGES_SHOWN = (
    "edge-qa",
    "edge-qa-kernels",
    "openvino",
    "torch",
    "torchvision",
    "transformers",
    "optimum-intel",
    "nncf",
    "onnx",
)
_PACKAGES_SHOWN = (*_PACKAGES_SHOWN, "onnxruntime", "tokenizers", "numpy")
_LIST = (
    "import json; from importlib import metadata; "
    "print(json.dumps({d.metadata['Name'].lower(): d.version for d in metadata.distributions()}))"
)
_STAMP = "benchmark.json"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Spec:
    """An environment to make from rivals/NAME.txt.

    works: Python code that must run in it. spare: a package to remove where that fails; pip may bring builds of
    torch and torchvision that do not fit each other. base: another environment whose packages it sees as well.
    cuda: torch is meant as PyPI has it, without a look at the place of the CPU builds.
    for_size: made only to be measured, then removed. own_code, kernels: with Edge QA, with edge-qa-kernels of this
    checkout.
    """

    name: str
    works: str
    spare: str | None = None
    base: str | None = None
    cuda: bool = False
    for_size: bool = False
    own_code: bool = False
    kernels: bool = False


SPECS = {
    spec.name: spec
    for spec in (
        Spec("edge-qa", "from edge_qa import QuestionAnswerer", own_code=True),
        Spec(
            "edge-qa-native",
            "import edge_qa_kernels; from edge_qa import QuestionAnswerer",
            own_code=True,
            kernels=True,
        ),
        Spec("transformers", "from transformers import pipeline"),
        Spec("optimum-intel", "from optimum.intel import OVModelForQuestionAnswering", spare="torchvision"),
        Spec("onnxruntime", "import onnxruntime, tokenizers, numpy"),
        Spec("onnx-tools", "import onnx, onnxruntime.quantization, torch, transformers", base="transformers"),
        Spec("optimum-intel-as-published", "import torch", cuda=True, for_size=True),
    )
}


@dataclass(frozen=True)
class Environment:
    """One that is ready. bytes: its files minus those of an empty environment; packages: the versions that matter.

    note: what was done to it besides, or nothing.
    """

    name: str
    python: str
    bytes: int
    packages: dict[str, str]
    note: str = ""


class InstallError(Exception):
    """An environment cannot be made: one line."""


def prepare(name: str, place: Path, *, say: Say = lambda line: None) -> Environment:
    """Return the environment, made now or found as an earlier run made it. Raises InstallError."""
    spec = SPECS[name]
    folder = place / name
    wanted = _fingerprint(spec)
    found = _stamp(folder)
    same = found is not None and found.pop("fingerprint") == wanted
    if found is not None and same and (spec.for_size or Path(found["python"]).exists()):
        return Environment(**found)
    if spec.base is not None:
        prepare(spec.base, place, say=say)
    if spec.cuda and shutil.disk_usage(place).free < _ROOM_FOR_CUDA:
        raise InstallError(f"{_ROOM_FOR_CUDA / 1e9:.0f} GB of free disk are needed for torch's CUDA")
    say(f"install {name}")
    begin = time.monotonic()
    made = _make(spec, folder, place)
    write_file(folder / _STAMP, json.dumps(asdict(made) | {"fingerprint": wanted}).encode())
    say(f"  {made.bytes / 1e6:.0f} MB, {time.monotonic() - begin:.0f} s")
    return made


def _make(spec: Spec, folder: Path, place: Path) -> Environment:
    shutil.rmtree(folder, ignore_errors=True)
    python = _new_venv(folder)
    if spec.base is not None:
        base = place / spec.base / python.relative_to(folder)
        packages = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        seen = Path(packages).relative_to(folder)
        Path(packages, "base.pth").write_text(f"{base.parents[1] / seen}\n")
    requirements = RIVALS / f"{spec.name}.txt"
    options = ["--requirement", str(requirements)]
    if "torch==" in requirements.read_text() and not spec.cuda and _reachable(CPU_TORCH + "/torch/"):
        options += ["--extra-index-url", CPU_TORCH]
    if spec.for_size:
        options.append("--no-cache-dir")
    _pip(python, *options)
    if spec.own_code:
        _install_own_code(python)
    if spec.kernels:
        _install_kernels(python)
    note = _mend(spec, python)
    size = folder_bytes(folder) - bare_bytes(place)
    versions = json.loads(_run(python, "-c", _LIST))
    shown = {package: versions[package] for package in _PACKAGES_SHOWN if package in versions}
    if spec.for_size:
        shutil.rmtree(folder)
        folder.mkdir()
    return Environment(spec.name, str(python), size, shown, note)


def _mend(spec: Spec, python: Path) -> str:
    """Check that the environment works; returns what had to be removed for that."""
    try:
        _run(python, "-c", spec.works)
        return ""
    except InstallError as error:
        if spec.spare is None:
            raise
        first = error
    _run(python, "-m", "pip", "uninstall", "--quiet", "--yes", spec.spare)
    _run(python, "-c", spec.works)
    return f"without {spec.spare}, with which it could not be imported ({first})"


def bare_bytes(place: Path) -> int:
    """Return the size of an environment with nothing in it."""
    folder = place / "bare"
    found = _stamp(folder)
    if found is None:
        shutil.rmtree(folder, ignore_errors=True)
        _new_venv(folder)
        found = {"bytes": folder_bytes(folder)}
        write_file(folder / _STAMP, json.dumps(found).encode())
    return int(found["bytes"])


def folder_bytes(folder: Path) -> int:
    """Return the bytes of all files in a folder; a link counts as nothing."""
    entries = (Path(root, name) for root, _, names in os.walk(folder) for name in names)
    return sum(entry.stat().st_size for entry in entries if not entry.is_symlink())


def own_sources() -> list[Path]:
    """Return the files of the package that a device installs, and what describes them."""
    code = sorted(path for path in (ROOT / "edge_qa").rglob("*.py"))
    return [*code, ROOT / "edge_qa" / "py.typed", ROOT / "pyproject.toml"]


def all_sources() -> list[Path]:
    """Return the Python files of the three packages: what decides how our bundles come out."""
    return [
        path for package in ("edge_qa", "converters", "calibration") for path in sorted((ROOT / package).rglob("*.py"))
    ]


def rival_sources() -> list[Path]:
    """Return what decides how all contenders are run: scripts and pinned versions."""
    return sorted(path for path in RIVALS.iterdir() if path.suffix in (".py", ".txt"))


def measuring_sources() -> list[Path]:
    """Return what decides how things are measured: this package but for what only shows the figures."""
    shown = ("page.py", "plots.py", "rows.py", "summary.py", "store.py", "command.py")
    return sorted(path for path in RIVALS.parent.glob("*.py") if path.name not in shown)


def hash_of(paths: Iterable[Path]) -> str:
    """Return the sha256 of files and their names."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _install_own_code(python: Path) -> None:
    # From a copy: pip builds inside the folder that it is given, and would leave its traces in the checkout.
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, "edge-qa")
        copy.mkdir()
        for package in ("edge_qa", "converters", "calibration"):
            shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copyfile(ROOT / name, copy / name)
        _pip(python, "--constraint", str(RIVALS / "edge-qa.txt"), str(copy))


def _install_kernels(python: Path) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary, "kernels")
        shutil.copytree(ROOT / "kernels", copy, ignore=shutil.ignore_patterns("__pycache__", "build"))
        _pip(python, str(copy))


def kernel_sources() -> list[Path]:
    """Return the files that the kernels are built from."""
    folder = ROOT / "kernels"
    parts = [path for name in ("source", "include", "python") for path in (folder / name).rglob("*") if path.is_file()]
    kept = [path for path in parts if "__pycache__" not in path.parts]
    return [folder / "CMakeLists.txt", folder / "pyproject.toml", *sorted(kept)]


def _fingerprint(spec: Spec) -> str:
    sources = [*(own_sources() if spec.own_code else []), *(kernel_sources() if spec.kernels else [])]
    return hash_of([RIVALS / f"{spec.name}.txt", *sources]) + sys.version


def _new_venv(folder: Path) -> Path:
    try:
        _run(Path(sys.executable), "-m", "venv", str(folder))
    except InstallError as error:
        raise ResourceError(f"{folder}: no virtual environment can be made there: {error}") from None
    return folder / "bin" / "python"


def _pip(python: Path, *options: str) -> None:
    _run(python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *options)


def _run(python: Path, *arguments: str) -> str:
    """Run an interpreter and return what it printed. Raises InstallError with the last line of its complaints."""
    done = subprocess.run(
        # -P: nothing of the folder that this is called from, which may be this checkout.
        [str(python), "-P", *arguments],
        env=environment(os.cpu_count() or 1),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise InstallError(why_it_ended(done.returncode, done.stderr))
    return done.stdout


def _reachable(address: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=10) as reply:
            return bool(reply.status < 400)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _stamp(folder: Path) -> dict | None:
    try:
        return dict(json.loads((folder / _STAMP).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
