"""Quantized bundles: small, deterministic, close to what they were made from."""

from pathlib import Path

import numpy as np
import pytest

from calibration.data.samples import draw_samples
from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from converters.conversion import convert
from converters.ir.int8_pairs import largest_pair
from edge_qa import QuestionAnswerer
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import read_dataset


@pytest.fixture(scope="module")
def answerer(fp16_bundle) -> QuestionAnswerer:
    return QuestionAnswerer.load(fp16_bundle)


def constants(bundle: Path) -> dict[str, np.ndarray]:
    loaded = Bundle.load(bundle)
    model = this_core().read_model(loaded.model_xml, ov.Tensor(loaded.model_bin))
    return {node.get_friendly_name(): node.get_data() for node in model.get_ops() if node.get_type_name() == "Constant"}


def test_an_int8_bundle_is_half_the_size(fp16_bundle, int8_bundle):
    sizes = [(path / "model.bin").stat().st_size for path in (fp16_bundle, int8_bundle)]
    assert sizes[1] < 0.52 * sizes[0]
    assert sizes[1] < 24e6


def test_every_large_weight_is_eight_bits(int8_bundle):
    large = {
        name: array for name, array in constants(int8_bundle).items() if array.size > 10_000 and min(array.shape) > 1
    }
    # The matrices of six layers, and three embedding tables of which the types are too small to count.
    assert len(large) == 6 * 6 + 2
    assert {array.dtype for array in large.values()} == {np.dtype(np.int8)}


@pytest.mark.slow
def test_the_safe_target_cannot_overflow(fp16_bundle, int8_bundle, questions, tmp_path):
    """Without VNNI two products of 8 bits are added in 16: 255 * 128 fits, 255 * 129 does not."""
    vnni = quantize(
        fp16_bundle, tmp_path / "vnni", calibration=questions, options=QuantizationOptions(samples=2, target="vnni")
    ).path

    def largest(bundle: Path) -> int:
        return max(
            largest_pair(array)
            for name, array in constants(bundle).items()
            if array.dtype == np.int8 and "encoder.layer" in name
        )

    assert largest(int8_bundle) <= 128
    assert largest(vnni) > 200


def test_answers_stay_the_same(answerer, int8_bundle, questions):
    small = QuestionAnswerer.load(int8_bundle)
    examples = [example for example in read_dataset(questions).examples if example.answers][::9]
    same = sum(
        answerer.answer(e.question, e.context).text == small.answer(e.question, e.context).text for e in examples
    )
    assert same >= 0.85 * len(examples)


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_bytes(fp16_bundle, questions, tmp_path):
    for name in ("a", "b"):
        quantize(fp16_bundle, tmp_path / name, calibration=questions, options=QuantizationOptions(samples=3))
    for file in ("model.xml", "model.bin", "bundle.json", "tokenizer.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint, fp16_bundle, tmp_path):
    again = convert(checkpoint, tmp_path / "again").path
    for file in ("model.xml", "model.bin", "bundle.json", "tokenizer.json"):
        assert (again / file).read_bytes() == (fp16_bundle / file).read_bytes()


def test_the_lineage_tells_each_step(fp16_bundle, int8_bundle):
    source, manifest = Bundle.load(fp16_bundle).manifest, Bundle.load(int8_bundle).manifest
    assert [step.recipe for step in manifest.lineage] == ["convert", "quantize"]
    assert manifest.lineage[1].source == source.digest
    assert manifest.lineage[1].options["samples"] == "12"
    assert manifest.target == "any"


def test_samples_have_batch_one_and_their_true_length(answerer, questions):
    samples = draw_samples(answerer, read_dataset(questions).examples, 20)
    assert len(samples) == 20
    lengths = [sample["input_ids"].shape[1] for sample in samples]
    assert all(sample["input_ids"].shape[0] == 1 and sample["attention_mask"].all() for sample in samples)
    assert len({length % 16 for length in lengths}) > 4  # not rounded up
    assert max(lengths) - min(lengths) > 150  # short and long ones are there


def test_samples_are_drawn_with_the_seed(answerer, questions):
    examples = read_dataset(questions).examples

    def ids(seed: int) -> list[list[int]]:
        return [sample["input_ids"].tolist() for sample in draw_samples(answerer, examples, 5, seed=seed)]

    assert ids(1) == ids(1)
    assert ids(1) != ids(2)


def test_unusable_samples_are_passed_over(answerer, tmp_path):
    (tmp_path / "data.jsonl").write_text(
        '{"question": " ", "context": "Ada."}\n{"question": "Who?", "context": "Ada."}\n'
    )
    assert len(draw_samples(answerer, read_dataset(tmp_path / "data.jsonl").examples, 5)) == 1


@pytest.mark.parametrize("count", [0, -1])
def test_a_senseless_number_of_samples_is_refused(answerer, questions, count):
    with pytest.raises(InputError, match="wanted at least 1"):
        draw_samples(answerer, read_dataset(questions).examples, count)
