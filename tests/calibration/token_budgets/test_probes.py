"""Probes: what they are taught, against numpy, and how they are solved."""

import numpy as np
import pytest

from calibration.token_budgets.probes import fit_probes, targets
from converters.ir.bundle_encoder import read_back
from converters.verification.reference import apply_layer, embed, reference_logits
from converters.verification.verify import seeded_inputs
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError
from tests.support.tiny import tiny_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    return Bundle.load(tiny_bundle(tmp_path_factory.mktemp("probes")))


def probabilities(x: np.ndarray, attention) -> np.ndarray:
    """Attention probabilities of one example, (heads, tokens, tokens), head by head."""
    size = attention.query.outputs // attention.heads
    query = x @ attention.query.weight.astype(np.float32).T + attention.query.bias
    key = x @ attention.key.weight.astype(np.float32).T + attention.key.bias
    found = []
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        scores = np.exp(query[:, part] @ key[:, part].T * attention.scale)
        found.append(scores / scores.sum(axis=1, keepdims=True))
    return np.stack(found)


def lessons(bundle: Bundle, samples: list) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """What the probes are to learn, layer by layer, from the numpy reference: (tokens, hidden) and (tokens,)."""
    encoder = read_back(bundle)
    rows: dict[int, list] = {i: [] for i in range(len(encoder.layers))}
    for inputs in samples:
        tokens = inputs["input_ids"].shape[1]
        states = [embed(encoder, inputs)]
        for layer in encoder.layers:
            states.append(apply_layer(states[-1], layer, np.ones((1, 1, 1, tokens), bool), encoder.activation))
        start, end = (side[0] for side in reference_logits(encoder, inputs))
        weights = (np.exp(start) / np.exp(start).sum() + np.exp(end) / np.exp(end).sum()) / 2
        paid = np.zeros(tokens)
        for index in reversed(range(len(encoder.layers))):
            paid = paid + weights @ probabilities(states[index][0], encoder.layers[index].attention).mean(axis=0)
            likely = [np.exp(side - side.max()) for side in (start, end)]
            target = np.sqrt(likely[0]) + np.sqrt(likely[1]) + 0.3 * np.sqrt(paid / paid.max())
            rows[index].append((states[index][0], target))
    return {i: tuple(np.concatenate(part) for part in zip(*pairs, strict=True)) for i, pairs in rows.items()}


def test_a_probe_is_the_ridge_regression_of_its_target(bundle):
    encoder = read_back(bundle)
    # 21 and 40 tokens: neither is what a length is rounded to, so that padding is tested too.
    samples = [one for n in (21, 40, 33, 57) for one in seeded_inputs(encoder, ((1, n, n),))]
    found = fit_probes(bundle, samples)
    assert sorted(found) == list(range(len(encoder.layers)))
    for index, (x, y) in lessons(bundle, samples).items():
        centred = (x - x.mean(axis=0)).astype(np.float64)
        ridge = 1e-3 * (centred**2).mean() * np.eye(x.shape[1])
        wanted = np.linalg.solve(centred.T @ centred / len(x) + ridge, centred.T @ (y - y.mean()) / len(x))
        np.testing.assert_allclose(found[index], wanted, atol=2e-3 * np.abs(wanted).max())


def test_targets_by_hand():
    start = np.log(np.array([1.0, 0.25, 0.04], np.float32))
    end = np.log(np.array([0.09, 1.0, 0.01], np.float32))
    paid = np.array([2.0, 0.5, 0.0], np.float32)
    np.testing.assert_allclose(targets(start, end, paid), [1 + 0.3 + 0.3, 0.5 + 1 + 0.15, 0.2 + 0.1], atol=1e-6)


def test_a_model_with_other_names_is_refused(bundle):
    contents = dict(bundle.contents)
    xml = contents["model.xml"].tobytes().replace(b"attention.probabilities", b"attention.softmax")
    contents["model.xml"] = np.frombuffer(xml, np.uint8)
    with pytest.raises(BundleError, match="no attention that edge-qa convert named"):
        fit_probes(Bundle(bundle.path, bundle.manifest, contents), [])
