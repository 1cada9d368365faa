"""Several token budgets over one weights file."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from converters.conversion import convert
from converters.ir.bundle_encoder import read_back
from converters.token_budgets.budgets import budget_files, read_keep, token_dropping_model
from converters.token_budgets.reference import token_dropping_logits
from converters.token_budgets.token_dropping import Keep
from converters.verification.verify import TOLERANCE, relative_difference, seeded_inputs
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES
from edge_qa.errors import BundleError
from edge_qa.inference.engine import Engine
from tests.support.budgets import bundle_with_budgets


def keeps(hidden: int = 384) -> dict[str, Keep]:
    random = np.random.default_rng(3)
    probes = {layer: random.normal(0, 1, hidden).astype(np.float32) for layer in range(6)}
    return {
        "fast": Keep((1, 0.8, 0.5, 0.5, 0.3, 0.3), step=16, probes=probes),
        "balanced": Keep((1, 1, 1, 1, 0.5, 0.5)),
    }


@pytest.fixture(scope="module")
def fp16_budgets(fp16_bundle, tmp_path_factory):
    return Bundle.load(bundle_with_budgets(fp16_bundle, tmp_path_factory.mktemp("budgets") / "bundle", keeps()))


@pytest.mark.parametrize("name", ["fast", "balanced"])
def test_each_budget_computes_its_statement(fp16_bundle, fp16_budgets, name):
    model = read_back(Bundle.load(fp16_bundle))
    engine = Engine(fp16_budgets, xml=f"model.{name}.xml")
    for inputs in seeded_inputs(model, ((1, 90, 90), (2, 61, 30))):
        wanted = token_dropping_logits(model, inputs, keeps()[name])
        assert relative_difference(engine.run(inputs), wanted, inputs["attention_mask"].astype(bool)) <= TOLERANCE


def test_the_weights_are_shared(fp16_bundle, fp16_budgets):
    plain = Bundle.load(fp16_bundle)
    assert fp16_budgets.model_xml == plain.model_xml
    both, alone = fp16_budgets.model_bin, plain.model_bin
    np.testing.assert_array_equal(both[: alone.size], alone)
    # Probe and head of three layers, the head alone of one, two int32 tables of 513 counts for each, a few numbers.
    needed = (3 * 3 + 2) * 384 * 4 + 2 * (3 + 1) * 513 * 4
    assert needed < both.size - alone.size < needed + 4096


def test_the_same_budgets_give_the_same_bytes(fp16_bundle):
    bundle = Bundle.load(fp16_bundle)
    assert budget_files(bundle, keeps()) == budget_files(bundle, keeps())


@pytest.mark.parametrize("name", ["fast", "balanced"])
def test_a_budget_reads_back(fp16_budgets, name):
    wanted = keeps()[name]
    found = read_keep(fp16_budgets, fp16_budgets.manifest.budgets[name])
    assert (found.shares, found.step) == (wanted.shares, wanted.step)
    assert sorted(found.probes) == ([1, 2, 4] if name == "fast" else [])
    for layer, probe in found.probes.items():
        np.testing.assert_array_equal(probe, wanted.probes[layer])


def test_int8_bundles_drop_tokens_too(int8_bundle, tmp_path):
    """INT8 follows the FP16 statement as closely as its plain model follows the plain one."""
    bundle = Bundle.load(bundle_with_budgets(int8_bundle, tmp_path / "bundle", keeps()))
    plain = Engine(bundle)
    assert set(bundle.manifest.budgets) == {"fast", "balanced"}
    inputs = {role: np.ones((1, 40), np.int64) for role in ("input_ids", "attention_mask", "token_type_ids")}
    inputs["input_ids"] = np.arange(1000, 1040)[None]
    inputs["position_ids"] = np.arange(40)[None]
    dropped, full = Engine(bundle, xml="model.balanced.xml").run(inputs), plain.run(inputs)
    same = np.isclose(dropped[0], full[0], atol=1.0)
    # The first four layers keep all 40 tokens, the last two 24 of them: the rest has early logits.
    assert 20 <= same.sum() < 40


def test_an_imported_bundle_is_refused(fp16_budgets):
    model = replace(fp16_budgets.manifest.model, heads=None)
    imported = replace(fp16_budgets, manifest=replace(fp16_budgets.manifest, model=model))
    with pytest.raises(BundleError, match="was imported"):
        token_dropping_model(imported, keeps()["fast"])


def test_converted_bundles_have_no_budgets(checkpoint, tmp_path):
    assert convert(checkpoint, tmp_path / "bundle").manifest.budgets is None


@pytest.mark.slow
def test_quantizing_keeps_the_budgets(fp16_bundle, questions, tmp_path):
    source = bundle_with_budgets(fp16_bundle, tmp_path / "fp16", keeps())
    quantize(source, tmp_path / "int8", calibration=questions, options=QuantizationOptions(samples=4))
    made = Bundle.load(tmp_path / "int8")
    assert made.manifest.precision == "int8"
    for name, budget in made.manifest.budgets.items():
        keep = read_keep(made, budget)
        assert keep.shares == tuple(map(float, keeps()[name].shares))
        assert (budget.f1, budget.relative_latency) == (None, None)
        inputs = {role: np.ones((1, 24), np.int64) for role in INPUT_ROLES}
        start, _ = Engine(made, xml=budget.model).run(inputs | {"position_ids": np.arange(24)[None]})
        assert np.isfinite(start).all()
    assert made.model_bin.size < Bundle.load(source).model_bin.size * 0.55
