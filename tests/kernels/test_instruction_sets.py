"""No instruction of a larger set in what a smaller CPU runs; and which path a cap gives."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge_qa.inference.native.library import PATHS, TEST_PATHS
from tests.support.kernels import ALL_PATHS, FULL, LIBRARY_VARIABLE, build, library_path

ROOT = Path(__file__).resolve().parents[2]
# Registers and mnemonics that an object must not hold, by the path it is of; None: everything else, for any x86-64.
FORBIDDEN = {
    None: r"%[yz]mm|%k[0-7]|%tmm|\bv[a-z]+ .*%xmm",
    "portable": r"%[yz]mm|%k[0-7]|%tmm|\bv[a-z]+ .*%xmm",
    "amx_software": r"%[yz]mm|%k[0-7]|%tmm|\bv[a-z]+ .*%xmm",
    "avx2": r"%zmm|%k[0-7]|%tmm|vpdpbusd|%[xy]mm(1[6-9]|2[0-9]|3[01])",
    "avx_vnni": r"%zmm|%k[0-7]|%tmm|%[xy]mm(1[6-9]|2[0-9]|3[01])",
    "avx512_vnni": r"%tmm",
}


@pytest.fixture(scope="module")
def objects() -> dict[str, list[Path]]:
    """The object files of the release build, by path."""
    if LIBRARY_VARIABLE in os.environ:
        pytest.skip("a library that was built elsewhere is under test")
    folder = build()
    if shutil.which("objdump") is None or shutil.which("nm") is None:
        pytest.skip("no objdump")
    found: dict[str, list[Path]] = {"": sorted((folder / "CMakeFiles" / "edge_qa_kernels.dir").rglob("*.o"))}
    for path in ALL_PATHS:
        found[path] = sorted((folder / "CMakeFiles" / f"path_{path}.dir").rglob("*.o"))
    return found


@pytest.mark.parametrize("path", FORBIDDEN, ids=str)
def test_no_instruction_of_a_larger_set(objects, path):
    assert objects[path or ""]
    pattern = re.compile(FORBIDDEN[path])
    for file in objects[path or ""]:
        listing = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", str(file)], capture_output=True, text=True, check=True
        ).stdout
        wrong = [line for line in listing.splitlines() if "\t" in line and pattern.search(line)]
        assert wrong == [], file.name


@pytest.mark.parametrize("path", ALL_PATHS)
def test_nothing_of_a_path_is_merged_with_others(objects, path):
    # A weak function is kept once, from whichever object comes first: perhaps one for a larger CPU.
    for file in objects[path]:
        symbols = subprocess.run(["nm", "-C", str(file)], capture_output=True, text=True, check=True).stdout
        weak = [line for line in symbols.splitlines() if re.search(r"^[0-9a-f]+ [WVu] ", line)]
        assert weak == []


def test_amx_and_vnni_are_really_there(objects):
    for path, needed in {"amx": "tdpbusd", "avx512_vnni": "vpdpbusd.*%zmm", "avx_vnni": r"\{vex\} vpdpbusd"}.items():
        listing = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", str(objects[path][0])], capture_output=True, text=True, check=True
        ).stdout
        assert re.search(needed, listing), path


def test_caps_step_down(library, monkeypatch):
    runnable = [path for path in PATHS if library.runs(path)]
    if not runnable:
        pytest.skip("this CPU lacks AVX2")
    monkeypatch.delenv("EDGE_QA_ISA", raising=False)
    assert library.best_path() == runnable[-1]
    for number, path in enumerate(PATHS):
        monkeypatch.setenv("EDGE_QA_ISA", path)
        below = [one for one in PATHS[: number + 1] if one in runnable]
        assert library.best_path() == (below[-1] if below else None)
    for path in TEST_PATHS:
        monkeypatch.setenv("EDGE_QA_ISA", path)
        assert library.best_path() == (path if library.runs(path) else None)
    monkeypatch.setenv("EDGE_QA_ISA", "pentium")
    assert library.best_path() is None


def test_a_haswell_runs_the_avx2_path(library, tmp_path):
    emulator = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if emulator is None:
        pytest.skip("no qemu-user")
    version = subprocess.run([emulator, "--version"], capture_output=True, text=True, check=True).stdout
    if int(re.search(r"version (\d+)\.(\d+)", version)[1]) < 7 or "7.1" in version:
        pytest.skip("this qemu emulates no AVX2; 7.2 is the first")
    source = Path(__file__).with_name("haswell.c")
    program = tmp_path / "haswell"
    kernels = ROOT / "kernels"
    file = library_path()
    command = [
        "cc",
        str(source),
        "-I",
        str(kernels / "include"),
        "-o",
        str(program),
        str(file),
        f"-Wl,-rpath,{file.parent}",
    ]
    subprocess.run(command, check=True)
    from converters.native.pack import pack_encoder
    from tests.support.encoders import ENCODERS

    packed = tmp_path / "packed"
    packed.write_bytes(pack_encoder(ENCODERS["ragged"]))
    results = {}
    for name, prefix in {"this CPU": [], "Haswell": [emulator, "-cpu", "Haswell"]}.items():
        done = subprocess.run([*prefix, str(program), str(packed)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, done.stderr)
        results[name] = done.stdout.splitlines()
    assert results["Haswell"][0] == "avx2"
    assert results["Haswell"][1:] == results["this CPU"][1:]


@pytest.mark.slow
def test_sanitizers_find_nothing():
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    # The C++ library, too: loaded later, its exceptions would not be known to the sanitizer.
    names = ("libasan.so", "libstdc++.so.6")
    runtimes = [
        subprocess.run(["c++", f"-print-file-name={name}"], capture_output=True, text=True, check=False).stdout.strip()
        for name in names
    ]
    if not all(map(os.path.isabs, runtimes)):
        pytest.skip("no AddressSanitizer here")
    options = ("-DEDGE_QA_SANITIZE=address,undefined",)
    if FULL:
        folder = build("sanitized-all", *options)
    else:
        # One source for all paths: two of them, not optimized, show what is common to all in a tenth of the time.
        folder = build("sanitized", *options, "-DEDGE_QA_SANITIZE_LEVEL=-O0", "-DEDGE_QA_PATHS=portable;avx2")
    environment = os.environ | {
        LIBRARY_VARIABLE: str(folder / "libedge_qa_kernels.so"),
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "EDGE_QA_MUTATIONS": "10000" if FULL else "200",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }
    names = ("test_products.py", "test_encoder.py", "test_sparse_products.py", "test_token_budgets.py")
    tests = [str(Path(__file__).parent / name) for name in (*names, "test_hostile_files.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        capture_output=True,
        text=True,
        env=environment,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.mark.parametrize("path", ["portable", "avx_vnni", "avx512_vnni"])
def test_the_pool_has_no_data_race(library, tmp_path, path):
    if path != "portable" and not FULL:
        pytest.skip("compiled for minutes; make check-native does")
    if not library.runs(path):
        pytest.skip(f"this CPU cannot run {path}")
    if shutil.which("cmake") is None:
        pytest.skip("no cmake")
    runtime = subprocess.run(["cc", "-print-file-name=libtsan.so"], capture_output=True, text=True, check=False).stdout
    if not os.path.isabs(runtime.strip()):
        pytest.skip("no ThreadSanitizer here")
    name = "threads" if path == "portable" else f"threads-{path}"
    folder = build(name, "-DEDGE_QA_SANITIZE=thread", f"-DEDGE_QA_PATHS={path}")
    from converters.native.pack import pack_encoder
    from tests.kernels.test_sparse_products import sparse_encoder
    from tests.support.encoders import ENCODERS, layer

    # Runs of rows that end at no multiple of 16, of which a sparse tile computes more than it may write.
    model, tokens = ENCODERS["ragged"], 24
    if path != "portable":
        model, tokens = sparse_encoder(layer(2, 40, size=16), layer(3, 20, size=12)), 200
    packed, program = tmp_path / "packed", tmp_path / "pool"
    packed.write_bytes(pack_encoder(model))
    source = Path(__file__).with_name("pool.cpp")
    file = folder / "libedge_qa_kernels.so"
    command = ["c++", "-std=c++17", "-g", "-fsanitize=thread", str(source), "-I", str(ROOT / "kernels" / "include")]
    subprocess.run([*command, "-o", str(program), str(file), f"-Wl,-rpath,{folder}", "-pthread"], check=True)
    # Addresses at random places are more than some versions of ThreadSanitizer take.
    prefix = ["setarch", "-R"] if shutil.which("setarch") else []
    command = [*prefix, str(program), str(packed), path, str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
