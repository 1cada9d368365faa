"""The engine checks what OpenVINO does not."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError, InputError, ResourceError
from edge_qa.inference.engine import Engine
from edge_qa.system import cpu


@pytest.fixture(scope="module")
def bundle(int8_bundle) -> Bundle:
    return Bundle.load(int8_bundle)


@pytest.fixture(scope="module")
def engine(bundle) -> Engine:
    return Engine(bundle)


def inputs(tokens: int = 16, batch: int = 1, *, seed: int = 0) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(seed).integers(1000, 20000, (batch, tokens))
    return {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "token_type_ids": np.zeros_like(ids),
        "position_ids": np.broadcast_to(np.arange(tokens), ids.shape),
    }


@pytest.mark.parametrize("role", ["input_ids", "attention_mask", "token_type_ids", "position_ids"])
def test_a_missing_input_is_an_error(engine, role):
    given = inputs()
    del given[role]
    with pytest.raises(InputError, match=f"inputs: {role} missing"):
        engine.run(given)


@pytest.mark.parametrize(
    ("role", "value", "ceiling"),
    [
        ("input_ids", 30522, 30521),
        ("input_ids", -1, 30521),
        ("attention_mask", 2, 1),
        ("token_type_ids", 2, 1),
        ("position_ids", 512, 511),
    ],
)
def test_a_value_out_of_range_is_an_error(engine, role, value, ceiling):
    given = inputs()
    given[role] = given[role].copy()
    given[role][0, 3] = value
    with pytest.raises(InputError, match=rf"{role}: got values .*, wanted 0\.\.{ceiling}"):
        engine.run(given)


def test_floating_point_ids_are_an_error(engine):
    given = inputs()
    given["input_ids"] = given["input_ids"].astype(np.float32)
    with pytest.raises(InputError, match="input_ids: got float32, wanted integers"):
        engine.run(given)


def test_shapes_must_agree(engine):
    given = inputs()
    given["attention_mask"] = given["attention_mask"][:, :8]
    with pytest.raises(InputError, match=r"attention_mask: got shape \(1, 8\)"):
        engine.run(given)


def test_an_input_longer_than_the_position_table_is_an_error(engine):
    given = inputs(513)
    given["position_ids"] = np.zeros_like(given["input_ids"])
    with pytest.raises(InputError, match="513 tokens, the model takes at most 512"):
        engine.run(given)


def test_the_order_of_the_inputs_does_not_matter(engine):
    given = inputs()
    start, end = engine.run(given)
    again = engine.run(dict(reversed(given.items())))
    np.testing.assert_array_equal(again[0], start)
    np.testing.assert_array_equal(again[1], end)


def test_lengths_are_rounded_up_and_padding_does_not_change_the_answer(engine):
    assert [engine.padded_length(n) for n in (1, 16, 17, 384, 500, 512)] == [16, 16, 32, 384, 512, 512]
    exact = inputs(37)
    padded = {role: np.pad(array, ((0, 0), (0, 11))) for role, array in exact.items()}
    padded["position_ids"] = np.arange(48)[None]
    np.testing.assert_allclose(engine.run(padded)[0][:, :37], engine.run(exact)[0], atol=2e-2)


def test_many_threads_get_their_own_results(engine):
    cases = [inputs(16 * (1 + i % 5), seed=i) for i in range(40)]
    wanted = [engine.run(case)[0] for case in cases]
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda case: engine.run(case)[0], cases))
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(g, w)


def test_results_are_not_overwritten_by_the_next_run(engine):
    first = engine.run(inputs(seed=1))[0]
    kept = first.copy()
    engine.run(inputs(seed=2))
    np.testing.assert_array_equal(first, kept)


def test_a_bundle_for_vnni_is_refused_where_it_would_overflow(bundle, monkeypatch):
    forged = replace(bundle, manifest=replace(bundle.manifest, target="vnni"))
    small = cpu.CPU("small", "avx2", 2)
    monkeypatch.setattr("edge_qa.inference.engine.this_cpu", lambda: small)
    with pytest.raises(ResourceError, match="quantized for CPUs with VNNI, this one has avx2"):
        Engine(forged)
    assert Engine(bundle)  # for any CPU


def test_a_binding_that_the_model_lacks_is_found_at_once(bundle):
    io = replace(bundle.manifest.io, outputs={"output_s": "nonsense", "output_e": "output_e"})
    with pytest.raises(BundleError, match="binds nonsense, which the model lacks"):
        Engine(replace(bundle, manifest=replace(bundle.manifest, io=io)))


def test_a_model_that_openvino_cannot_read_is_one_line(bundle):
    broken = replace(bundle, contents={**bundle.contents, "model.xml": np.frombuffer(b"<net>", np.uint8)})
    with pytest.raises(BundleError, match="not a model that is safe to read") as caught:
        Engine(broken)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("threads", [0, -1])
def test_less_than_one_thread_is_refused(fp16_bundle, threads):
    with pytest.raises(InputError, match=f"threads: got {threads}, wanted at least 1, or None for all"):
        Engine(Bundle.load(fp16_bundle), threads=threads)
