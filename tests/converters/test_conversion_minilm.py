"""The carried checkpoint against the logits that transformers computes for it."""

from pathlib import Path

import numpy as np
import pytest

from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.model.encoder import Encoder
from converters.verification.reference import reference_logits
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES
from edge_qa.inference.engine import Engine
from tests.support.places import GOLDEN_FILES

GOLDEN = GOLDEN_FILES / "minilm_logits.npz"
CASES = [f"{tokens}x{batch}" for tokens in (8, 64, 177, 384) for batch in (1, 4)]


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(GOLDEN) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def encoder(checkpoint: Path) -> Encoder:
    return read_encoder(read_checkpoint(checkpoint))


@pytest.fixture(scope="module")
def engine(fp16_bundle: Path) -> Engine:
    return Engine(Bundle.load(fp16_bundle))


def inputs_of(golden: dict[str, np.ndarray], case: str) -> dict[str, np.ndarray]:
    return {role: golden[f"{case}/{role}"].astype(np.int64) for role in INPUT_ROLES}


def difference(got: np.ndarray, wanted: np.ndarray, real: np.ndarray) -> float:
    return float(np.abs(got - wanted)[real].max() / max(1, np.abs(wanted[real]).max()))


@pytest.mark.parametrize("case", CASES)
def test_the_converted_model_computes_what_transformers_computes(engine, golden, case):
    inputs = inputs_of(golden, case)
    real = inputs["attention_mask"] == 1
    start, end = engine.run(inputs)
    assert difference(start, golden[f"{case}/start"], real) <= 1e-4
    assert difference(end, golden[f"{case}/end"], real) <= 1e-4


@pytest.mark.parametrize("case", CASES)
def test_the_numpy_reference_computes_what_transformers_computes(encoder, golden, case):
    inputs = inputs_of(golden, case)
    real = inputs["attention_mask"] == 1
    start, end = reference_logits(encoder, inputs)
    assert difference(start, golden[f"{case}/start"], real) <= 1e-4
    assert difference(end, golden[f"{case}/end"], real) <= 1e-4


def test_the_manifest_says_what_the_model_is(fp16_bundle):
    model = Bundle.load(fp16_bundle).manifest.model
    assert (model.family, model.layers, model.hidden) == ("bert", 6, 384)
    assert model.heads == (12,) * 6
    assert model.ffn_widths == ((1536,),) * 6
    # By hand: words, positions, types and their norm; 6 layers of 4 square and 2 FFN matrices with
    # biases and 2 norms; the head.
    layer = 4 * (384 * 384 + 384) + 2 * 384 * 1536 + 1536 + 384 + 4 * 384
    assert model.parameters == (30522 + 512 + 2 + 2) * 384 + 6 * layer + 2 * 384 + 2
    # Projections and FFN, scores and contexts, the head; for 384 tokens.
    assert model.multiply_adds_384 == 384 * (6 * (4 * 384**2 + 2 * 384 * 1536) + 2 * 384) + 6 * 2 * 384**2 * 384
    assert model.licence == "apache-2.0"
