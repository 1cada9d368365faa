"""The torch model computes what the numpy references and transformers compute."""

import numpy as np
import pytest

from converters.checkpoints.checkpoint import read_checkpoint
from converters.families import read_encoder
from converters.model.encoder import Encoder, named_arrays
from converters.token_budgets.reference import token_dropping_logits
from converters.token_budgets.token_dropping import Keep
from converters.verification.reference import reference_logits
from edge_qa.errors import CheckpointError
from tests.support.encoders import ENCODERS

torch = pytest.importorskip("torch")

from calibration.torch_model.model import TorchEncoder, Trace  # noqa: E402
from tests.support.places import GOLDEN_FILES  # noqa: E402

pytestmark = pytest.mark.torch

FAMILIES = GOLDEN_FILES / "families"
NAMES = ["camembert", "distilbert", "distilbert-pruned", "electra", "electra-wide", "roberta", "xlm-roberta"]
REFUSED = {"shared layers", "trigrams", "bottleneck, narrow", "bottleneck, whole", "several blocks"}
REFUSED |= {"relative_key", "relative_key_query"}
LENGTHS = np.array([20, 13, 9])
TOLERANCE = 1e-4


def inputs(encoder: Encoder) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shape = (len(LENGTHS), int(LENGTHS.max()))
    types = (np.arange(shape[1]) > 6) & (encoder.token_types > 1)
    return {
        "input_ids": random.integers(5, encoder.vocabulary, shape),
        "attention_mask": (np.arange(shape[1]) < LENGTHS[:, None]).astype(np.int64),
        "token_type_ids": np.broadcast_to(types, shape).astype(np.int64),
        "position_ids": np.broadcast_to(np.arange(shape[1]), shape),
    }


def torch_logits(encoder: Encoder, given: dict[str, np.ndarray], **changes) -> np.ndarray:
    arrays = (given["input_ids"], given["token_type_ids"], LENGTHS)
    with torch.no_grad():
        return TorchEncoder(encoder)(*(torch.from_numpy(array) for array in arrays), **changes).numpy()


def assert_same(found: np.ndarray, start: np.ndarray, end: np.ndarray, given: dict[str, np.ndarray]) -> None:
    wanted, real = np.stack([start, end], -1), given["attention_mask"].astype(bool)
    scale = max(1.0, float(np.abs(wanted[real]).max()))
    assert np.abs(found - wanted)[real].max() <= TOLERANCE * scale
    assert (found[~real] <= -1e4).all()


@pytest.mark.parametrize("name", NAMES)
def test_families(name):
    encoder = read_encoder(read_checkpoint(FAMILIES / name))
    given = inputs(encoder)
    assert_same(torch_logits(encoder, given), *reference_logits(encoder, given), given)


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_shapes(name):
    encoder = ENCODERS[name]
    if name in REFUSED:
        with pytest.raises(CheckpointError, match="cannot be trained here"):
            TorchEncoder(encoder)
        return
    given = inputs(encoder)
    assert_same(torch_logits(encoder, given), *reference_logits(encoder, given), given)


@pytest.mark.parametrize("probed", [False, True])
def test_dropped_tokens(checkpoint, probed):
    encoder = read_encoder(read_checkpoint(checkpoint))
    random = np.random.default_rng(1)
    probes = {layer: random.normal(size=encoder.hidden).astype(np.float32) for layer in range(6)} if probed else {}
    keep = Keep((1.0, 0.8, 0.8, 0.5, 0.4, 0.2), 4, probes)
    given = inputs(encoder)
    found = torch_logits(encoder, given, keep=keep)
    assert_same(found, *token_dropping_logits(encoder, given, keep), given)
    whole = torch_logits(encoder, given)
    assert np.abs(found - whole).max() > 0.01


def test_transformers(checkpoint):
    transformers = pytest.importorskip("transformers")
    encoder = read_encoder(read_checkpoint(checkpoint))
    model = transformers.BertForQuestionAnswering.from_pretrained(checkpoint, dtype=torch.float32).eval()
    given = inputs(encoder)
    with torch.no_grad():
        out = model(**{name: torch.from_numpy(array.copy()) for name, array in given.items()})
    assert_same(torch_logits(encoder, given), out.start_logits.numpy(), out.end_logits.numpy(), given)


def test_an_encoder_comes_out_as_it_went_in(checkpoint):
    encoder = read_encoder(read_checkpoint(checkpoint))
    back = dict(named_arrays(TorchEncoder(encoder).encoder()))
    for name, array in named_arrays(encoder):
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)


def test_a_trace_has_every_hidden_state_and_scores():
    encoder = ENCODERS["layer without heads"]
    trace, given = Trace(), inputs(encoder)
    torch_logits(encoder, given, trace=trace)
    assert [tuple(state.shape) for state in trace.hidden] == [(3, 20, 16)] * 3
    assert tuple(trace.scores[0].shape) == (3, 4, 20, 20)
    assert trace.scores[1] is None
