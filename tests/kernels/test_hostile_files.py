"""Packed files that were damaged on purpose, their hash made anew: refused, or run to an end; never a crash."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from converters.native.pack import pack_encoder
from converters.native.packed_file import HEADER
from converters.token_budgets.token_dropping import Keep
from edge_qa.errors import BundleError
from edge_qa.inference.native.library import BAD_FILE, OK, Library
from edge_qa.inference.native.packed_model import PackedModel
from tests.kernels.test_sparse_products import thin_layer, thinning
from tests.support.encoders import ENCODERS, bottleneck_layer, encoder, layer
from tests.support.kernels import FULL, library_path, open_code

MUTATIONS = int(os.environ.get("EDGE_QA_MUTATIONS", "10000" if FULL else "1500"))


def packed() -> bytes:
    # Blocks of zeros in layers that quantize heads turned, and by rows.
    thin = thinning(np.random.default_rng(0), 0.3)
    sparse = [thin_layer(layer(1, 12, size=size), thin) for size in (16, 6)]
    model = encoder(layer(2, 12), bottleneck_layer("shared"), *sparse, layer(0, 0))
    return pack_encoder(model, {"fast": Keep((1.0, 0.5, 0.5, 0.5, 0.5), 4, {1: np.ones(16, np.float32)})})


def rehashed(content: bytearray) -> bytes:
    digest = hashlib.sha256(bytes(content[: HEADER.size - 32]) + bytes(content[HEADER.size :])).digest()
    content[HEADER.size - 32 : HEADER.size] = digest
    return bytes(content)


def mutated(original: bytes, seed: int) -> bytes:
    """One to four words of the header, the description or an array changed."""
    random = np.random.default_rng(seed)
    content = bytearray(original)
    described = int.from_bytes(original[12:16], "little")
    for _ in range(random.integers(1, 5)):
        kind = random.integers(0, 10)
        if kind < 7:
            place = HEADER.size + 8 * int(random.integers(0, described // 8))
            word = random.choice(
                [0, 1, 2, 3, 7, 16, 255, 4096, 2**31 - 1, 2**32, 2**63 - 1, -1, -64, len(original) - 64, 64, 128]
            )
            content[place : place + 8] = int(word).to_bytes(8, "little", signed=True)
        elif kind < 9:
            place = int(random.integers(0, len(content) - 8))
            content[place : place + 8] = random.bytes(8)
        else:
            del content[int(random.integers(HEADER.size, len(content))) :]
    return rehashed(content)


def run_mutations(first: int, last: int) -> None:
    """In a process of its own: open each damaged file, and run what opens."""
    library = Library(library_path())
    names = ("avx512_vnni", "avx_vnni", "avx_vnni_evex", "avx2", "portable", "amx_software")
    paths = [path for path in names if library.runs(path)]
    original = packed()
    opened = 0
    from tests.support.kernels import Running

    for seed in range(first, last):
        content = mutated(original, seed)
        code = open_code(library, content)
        assert code in (OK, BAD_FILE)
        if code != OK:
            continue
        opened += 1
        with Running(library, content, paths[seed % len(paths)]) as running:
            about = running.model.description
            tokens = min(20, about.longest_input)
            ids = np.zeros(tokens, np.int64)
            for budget in range(-1, about.budgets):
                running.logits([ids], [ids], budget=budget)
    print(opened)


def test_no_damage_crashes():
    code = "import sys; from tests.kernels.test_hostile_files import run_mutations; run_mutations(0, int(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(MUTATIONS)], capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    # Most damage is found; some, such as another weight, is another model.
    assert 0 < int(done.stdout) < MUTATIONS


@pytest.mark.parametrize("damage", ["byte", "short", "long", "version", "empty"])
def test_what_differs_is_refused_by_its_hash(library, tmp_path, damage):
    content = bytearray(pack_encoder(ENCODERS["ragged"]))
    if damage == "byte":
        content[len(content) // 2] ^= 1
    elif damage == "short":
        del content[-1]
    elif damage == "long":
        content += b"\0"
    elif damage == "version":
        content[8] = 99
        content = bytearray(rehashed(content))
    else:
        content.clear()
    path = tmp_path / "packed"
    path.write_bytes(content)
    with pytest.raises(BundleError):
        PackedModel.mapped(path, library, "portable")
