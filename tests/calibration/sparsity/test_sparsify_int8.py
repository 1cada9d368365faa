"""Zeros through INT8."""

import pytest

from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from calibration.sparsity.sparsify import sparsify
from converters.conversion import convert
from converters.inspection.weight_density import lost_zeros, weight_zeros
from edge_qa.bundle.bundle import Bundle


def test_int8_keeps_every_zero(source, data, tmp_path, command):
    small = sparsify(source, tmp_path / "small", pattern="1x4", ratio=0.8).path
    fp16, int8 = tmp_path / "fp16", tmp_path / "int8"
    convert(small, fp16, compact=None)
    quantize(fp16, int8, calibration=data, options=QuantizationOptions(samples=4))
    zeros = weight_zeros(Bundle.load(fp16))
    lost = lost_zeros(Bundle.load(fp16), Bundle.load(int8))
    for layer in range(2):
        names = [name for name in lost if name.startswith(f"encoder.layer.{layer}.")]
        assert len(names) == 6
        for name in names:
            assert zeros[name][0] == pytest.approx(0.8 * zeros[name][1], abs=4)
            assert lost[name] == 0
    shown = command("inspect", int8, "--against", fp16)
    assert shown.code == 0
    total = sum(count for count, _ in zeros.values())
    assert f"zeros kept:           all {total:,} of {fp16}, in each of its 13 matrices" in shown.out
    assert command("inspect", int8, "--against", fp16, "--json").json["weights"]["against"]["lost"] == lost


def test_a_lost_zero_is_a_negative_verdict(source, data, tmp_path, command):
    """A bundle whose zeros lie elsewhere: the same model pruned for other inputs."""
    for name, options in (("a", {}), ("b", {"calibration": data, "samples": 2})):
        small = sparsify(source, tmp_path / f"small-{name}", pattern="1x4", ratio=0.5, **options).path
        convert(small, tmp_path / name, compact=None)
    shown = command("inspect", tmp_path / "b", "--against", tmp_path / "a")
    assert shown.code == 1
    assert "zeros LOST" in shown.out
    assert "encoder.layer.0.attention.query: " in shown.out
    assert command("inspect", source, "--against", tmp_path / "a").code == 2
