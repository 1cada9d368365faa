"""Fixtures that many tests share: the carried checkpoint, and bundles made from it once a run."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from tests.support import encoders
from tests.support.once import made_once

ROOT = Path(__file__).resolve().parent.parent

# A test must not depend on the network or on a cache in the home folder.
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_configure() -> None:
    """A shell starts what runs in its background with SIGINT ignored, which commands under test would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collectstart(collector: pytest.Collector) -> None:
    """What a module draws while it is imported is the same whatever was imported before."""
    if isinstance(collector, pytest.Module):
        encoders.reseed(collector.nodeid)


@pytest.fixture(autouse=True)
def _draws_of_its_own(request: pytest.FixtureRequest) -> None:
    encoders.reseed(request.node.nodeid)


@pytest.fixture
def no_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for a machine whose temporary folder takes nothing: small devices have it in little memory."""
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")


@pytest.fixture(scope="session")
def checkpoint() -> Path:
    """The checkpoint that the repository carries."""
    return ROOT / "examples" / "models" / "minilm-squad"


@pytest.fixture(scope="session")
def questions() -> Path:
    """The questions that the repository carries."""
    return ROOT / "examples" / "data" / "questions.json"


@pytest.fixture(scope="session")
def fp16_bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The carried checkpoint, converted."""
    from converters.conversion import convert

    return made_once(tmp_path_factory, "fp16-bundle", lambda path: convert(checkpoint, path))


@pytest.fixture(scope="session")
def int8_bundle(fp16_bundle: Path, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, quantized on a few questions."""
    from calibration.quantization.options import QuantizationOptions
    from calibration.quantization.quantize import quantize

    def make(path: Path) -> None:
        quantize(fp16_bundle, path, calibration=questions, options=QuantizationOptions(samples=12))

    return made_once(tmp_path_factory, "int8-bundle", make)


@pytest.fixture(scope="session")
def squad_folder() -> Path:
    """The full SQuAD files beside the checkout; the test is skipped without them."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the full SQuAD files are not here")
    return folder
