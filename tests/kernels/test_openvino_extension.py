"""kernels/openvino: a bundle exported for it gives the engine's own bits, in OpenVINO and in benchmark_app."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converters.exporting.export import export
from converters.native.pack import pack_bundle
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES
from tests.support.kernels import LIBRARY_VARIABLE, Running, build
from tests.support.tiny import tiny_bundle


@pytest.fixture(scope="module")
def extension() -> Path:
    """The extension, built beside the library under test."""
    if LIBRARY_VARIABLE in os.environ:
        pytest.skip("a library that was built elsewhere is under test")
    cmake = Path(ov.__file__).parent / "cmake"
    if not (cmake / "OpenVINOConfig.cmake").exists():
        pytest.skip("this OpenVINO brings no headers")
    return build("test", "-DEDGE_QA_OPENVINO=ON", f"-DOpenVINO_DIR={cmake}") / "libedge_qa_openvino.so"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def exported(bundle, tmp_path_factory) -> Path:
    return export(bundle, tmp_path_factory.mktemp("export") / "out", target="extension").path


@pytest.fixture(scope="module")
def compiled(extension, exported) -> "ov.CompiledModel":
    core = ov.Core()
    core.add_extension(extension)
    return core.compile_model(exported / "model.xml", "CPU")


def inputs(ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    positions = np.ascontiguousarray(np.broadcast_to(np.arange(ids.shape[1]), ids.shape))
    return dict(zip(INPUT_ROLES, (ids, mask, np.zeros_like(ids), positions), strict=True))


def test_it_gives_the_bits_of_the_engine(library, compiled, bundle):
    first, second = np.array([2, 5, 6, 7, 8, 3, 9, 10]), np.array([2, 5, 3])
    ids = np.zeros((2, 8), np.int64)
    ids[0], ids[1, :3] = first, second
    found = compiled(inputs(ids, (ids > 0).astype(np.int64)), share_inputs=False)
    with Running(library, pack_bundle(Bundle.load(bundle)), library.best_path() or "portable") as running:
        wanted = running.logits([first, second], [np.zeros_like(first), np.zeros_like(second)])
    for side, name in enumerate(("output_s", "output_e")):
        np.testing.assert_array_equal(found[name][0], wanted[0][side])
        np.testing.assert_array_equal(found[name][1], [*wanted[1][side], 0, 0, 0, 0, 0])


def test_other_lengths_need_no_other_model(compiled):
    for tokens in (1, 3, 200, 17):
        ids = np.full((1, tokens), 5)
        assert compiled(inputs(ids, np.ones_like(ids)), share_inputs=False)["output_s"].shape == (1, tokens)


def test_nothing_but_padding_is_zeros(compiled):
    ids = np.full((2, 4), 5)
    assert not compiled(inputs(ids, np.zeros_like(ids)), share_inputs=False)["output_e"].any()


def test_ids_outside_the_vocabulary_are_an_error(compiled):
    ids = np.full((1, 4), 10**6)
    with pytest.raises(RuntimeError, match="an id is outside the vocabulary"):
        compiled(inputs(ids, np.ones_like(ids)), share_inputs=False)


def test_a_damaged_model_is_an_error(extension, exported, tmp_path):
    content = bytearray((exported / "model.bin").read_bytes())
    content[8] = 99
    (tmp_path / "model.bin").write_bytes(content)
    (tmp_path / "model.xml").write_bytes((exported / "model.xml").read_bytes())
    core = ov.Core()
    core.add_extension(extension)
    model = core.compile_model(tmp_path / "model.xml", "CPU")
    with pytest.raises(RuntimeError, match="another version of the format"):
        model(inputs(np.full((1, 4), 5), np.ones((1, 4), np.int64)), share_inputs=False)


def test_benchmark_app_runs_it(extension, exported, tmp_path):
    program = Path(sys.executable).parent / "benchmark_app"
    if not program.exists():
        pytest.skip("this OpenVINO brings no benchmark_app")
    samples = ",".join(f"{role}:{exported / role}.npy" for role in INPUT_ROLES)
    command = [str(program), "-m", str(exported / "model.xml"), "-extensions", str(extension), "-i", samples]
    done = subprocess.run(
        [*command, "-niter", "3", "-hint", "none", "-nstreams", "1", "-nireq", "1"],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert re.search(r"Count: +3 iterations", done.stdout)
