"""Existing models -> bundles: what each kind becomes, and that it computes what it computed."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from converters.importing.import_model import Import, import_model
from converters.importing.survey import survey
from converters.ir.graph import build_graph
from converters.ir.storage import write_ir
from converters.model.encoder import Encoder
from converters.verification.reference import reference_logits
from edge_qa._openvino import ov, this_core
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import InputError, VerificationError
from edge_qa.inference.engine import Engine
from edge_qa.system.cpu import this_cpu
from tests.support.foreign_models import (
    HIDDEN,
    LAYERS,
    ONNX,
    VOCAB,
    WORDS,
    find,
    make_encoder,
    ops,
    quantize_products,
    save,
    zoo_model,
)

ENCODER = make_encoder()
QUESTION, CONTEXT = "who wrote the book?", "ada wrote the second book in a stone house of london, was built first."


def random_inputs(batch: int, tokens: int, shortest: int, seed: int = 1) -> dict[str, np.ndarray]:
    """The four inputs of the contract; the last row has `shortest` real tokens."""
    random = np.random.default_rng(seed)
    real = np.arange(tokens) < np.linspace(tokens, shortest, batch).astype(int)[:, None]
    return {
        "input_ids": random.integers(0, WORDS, real.shape) * real,
        "attention_mask": real.astype(np.int64),
        "token_type_ids": ((np.arange(tokens) >= tokens // 2) & real).astype(np.int64),
        "position_ids": np.broadcast_to(np.arange(tokens), real.shape),
    }


def run_directly(path: Path, inputs: dict[str, np.ndarray], shape: tuple[int, int] | None = None) -> list[np.ndarray]:
    """What OpenVINO alone gives for a model file; with `shape` it reshapes the file's model first."""
    core = this_core()
    model = core.read_model(path)
    if shape is not None:
        model.reshape({port: list(shape) for port in model.inputs})
    # The threads of the engine: others could add in another order, and 8-bit rounding makes steps of it.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": this_cpu().threads}
    compiled = core.compile_model(model, "CPU", settings | {"PERFORMANCE_HINT": "LATENCY"})
    results = compiled({port.any_name: inputs[port.any_name] for port in model.inputs})
    return [np.array(results[name]) for name in ("output_s", "output_e")]


def assert_same(got: object, wanted: object, mask: np.ndarray) -> None:
    """Equal logits of real tokens, relative to max(1, largest)."""
    for g, w in zip(got, wanted, strict=True):  # type: ignore[call-overload]
        real = mask.astype(bool)
        assert np.abs(g[real] - w[real]).max() <= 1e-4 * max(1.0, np.abs(w[real]).max())


def assert_computes(path: Path, encoder: Encoder, *cases: tuple[int, int, int]) -> None:
    """The bundle gives the logits of the numpy reference, padded and not."""
    engine = Engine(Bundle.load(path))
    for case in cases:
        inputs = random_inputs(*case)
        assert_same(engine.run(inputs), reference_logits(encoder, inputs), inputs["attention_mask"])


def import_ir(tmp_path: Path, model: "ov.Model", *, version: int = 11, **options: bool) -> Import:
    return import_model(save(model, tmp_path / "model.xml", version=version), tmp_path / "out", vocab=VOCAB, **options)


ZOO = {
    "bert-large-uncased-whole-word-masking-squad-0001": (3, False),
    "bert-large-uncased-whole-word-masking-squad-int8-0001": (3, True),
    "bert-small-uncased-whole-word-masking-squad-0001": (3, False),
    "bert-small-uncased-whole-word-masking-squad-0002": (4, False),
    "bert-small-uncased-whole-word-masking-squad-int8-0002": (4, True),
}


@pytest.mark.parametrize(("kind", "version"), [("i32", 10), ("i64", 11)])
@pytest.mark.parametrize("name", ZOO)
def test_each_contract_of_the_zoo_becomes_a_bundle_of_free_shape(
    tmp_path: Path, name: str, kind: str, version: int
) -> None:
    inputs, quantized = ZOO[name]
    encoder = make_encoder(blocks=2) if "small" in name else ENCODER
    result = import_ir(tmp_path, zoo_model(encoder, inputs=inputs, kind=kind, quantized=quantized), version=version)
    manifest = result.manifest
    roles = ["input_ids", "attention_mask", "token_type_ids", "position_ids"][:inputs]
    assert [(role, record.name, record.type) for role, record in manifest.io.inputs.items()] == [
        (role, role, kind) for role in roles
    ]
    assert manifest.io.outputs == {"output_s": "output_s", "output_e": "output_e"}
    assert (manifest.io.batch, manifest.io.tokens) == (None, None)
    assert manifest.precision == ("int8" if quantized else "fp16")
    model = manifest.model
    # The table of three inputs was cut to the length of the file; the whole one has 64 rows.
    assert (model.vocabulary, model.token_types, model.longest_input) == (WORDS, 2, 48 if inputs == 3 else 64)
    assert (model.layers, model.hidden, model.heads) == (LAYERS, HIDDEN, (4, 4))
    assert model.ffn_widths == (((40, 40),) * 2 if "small" in name else ((40,),) * 2)
    assert result.format == f"IR v{version}"
    assert result.difference <= 1e-4
    if not quantized:
        assert_computes(result.path, encoder, (1, 9, 9), (2, 30, 11), (1, 48, 48))
    assert QuestionAnswerer.load(result.path).answer(QUESTION, CONTEXT).text in CONTEXT


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("inputs", [3, 4])
def test_a_static_import_gives_the_very_logits_of_the_file(tmp_path: Path, inputs: int, quantized: bool) -> None:
    result = import_ir(tmp_path, zoo_model(ENCODER, inputs=inputs, quantized=quantized), static=True)
    assert (result.manifest.io.batch, result.manifest.io.tokens) == (1, 48)
    assert result.manifest.model.longest_input == 48
    engine = Engine(Bundle.load(result.path))
    for real in (48, 13):
        case = random_inputs(1, 48, 48)
        case["attention_mask"] = (np.arange(48) < real)[None].astype(np.int64)
        assert_same(engine.run(case), run_directly(tmp_path / "model.xml", case), case["attention_mask"])


def test_a_quantized_model_of_free_shape_computes_what_openvino_makes_of_the_file_reshaped(tmp_path: Path) -> None:
    result = import_ir(tmp_path, zoo_model(ENCODER, quantized=True))
    engine = Engine(Bundle.load(result.path))
    for case in ((1, 9, 9), (2, 40, 17)):
        inputs = random_inputs(*case)
        wanted = run_directly(tmp_path / "model.xml", inputs, (-1, -1))
        assert_same(engine.run(inputs), wanted, inputs["attention_mask"])
    assert "8-bit rounding" in result.notes[-1]


def test_a_static_bundle_answers_as_the_free_one_over_several_windows(tmp_path: Path) -> None:
    path = save(zoo_model(ENCODER, inputs=3), tmp_path / "model.xml")
    answers = []
    for static in (True, False):
        result = import_model(path, tmp_path / f"out{static}", vocab=VOCAB, static=static)
        qa = QuestionAnswerer.load(result.path)
        qa.warm_up()
        long = " ".join([CONTEXT] * 4)
        assert len(list(qa.windows(QUESTION, long))) > 1
        answers.append(qa.answer(QUESTION, long, top_k=3))
    for fixed, free in zip(*answers, strict=True):
        assert (fixed.text, fixed.start, fixed.end) == (free.text, free.start, free.end)
        assert fixed.score == pytest.approx(free.score, abs=1e-5)


def test_a_static_engine_says_what_shape_it_takes(tmp_path: Path) -> None:
    result = import_ir(tmp_path, zoo_model(ENCODER), static=True)
    engine = Engine(Bundle.load(result.path))
    for case in ((1, 9, 9), (2, 48, 48)):
        with pytest.raises(InputError, match=r"takes \(1, 48\) only"):
            engine.run(random_inputs(*case))


@pytest.mark.parametrize("inputs", [3, 4])
def test_lengths_that_the_graph_names_are_undone(tmp_path: Path, inputs: int) -> None:
    model = zoo_model(ENCODER, inputs=inputs, rigid=True)
    with pytest.raises(RuntimeError):  # what the importer undoes is really there
        model.clone().reshape({port: [1, 20] for port in model.inputs})
    result = import_ir(tmp_path, model)
    assert (result.manifest.io.batch, result.manifest.io.tokens) == (None, None)
    assert_computes(result.path, ENCODER, (1, 9, 9), (2, 30, 11), (1, 48, 48))


def test_a_graph_that_joins_batch_and_tokens_keeps_a_batch_of_one(tmp_path: Path) -> None:
    model = zoo_model(ENCODER)
    up = find(model, "encoder.layer.0.ffn.0.up.matmul")
    flat = ops.reshape(up.input_value(0), ops.constant(np.array([48, HIDDEN], np.int64)), False)
    readers = list(up.output(0).get_target_inputs())
    up.input(0).replace_source_output(flat.output(0))
    square = ops.reshape(up, ops.constant(np.array([1, 48, 40], np.int64)), False)
    for reader in readers:
        reader.replace_source_output(square.output(0))
    model.validate_nodes_and_infer_types()
    result = import_ir(tmp_path, model)
    assert (result.manifest.io.batch, result.manifest.io.tokens) == (1, None)
    assert_computes(result.path, ENCODER, (1, 9, 9), (1, 48, 20), (1, 64, 64))


def test_a_graph_that_mixes_a_fixed_number_of_tokens_stays_static_with_a_note(tmp_path: Path) -> None:
    model = zoo_model(ENCODER)
    norm = find(model, "embeddings.norm")
    readers = list(norm.output(0).get_target_inputs())
    mixing = ops.matmul(ops.constant(np.eye(48, dtype=np.float32)[None]), norm, False, False)
    for reader in readers:
        reader.replace_source_output(mixing.output(0))
    model.validate_nodes_and_infer_types()
    result = import_ir(tmp_path, model)
    assert (result.manifest.io.batch, result.manifest.io.tokens) == (1, 48)
    assert "kept at 48 tokens" in result.notes[-1]
    assert_computes(result.path, ENCODER, (1, 48, 48), (1, 48, 20))


def test_a_graph_that_counts_padding_stays_static_with_a_note(tmp_path: Path) -> None:
    model = zoo_model(ENCODER)
    norm = find(model, "embeddings.norm")
    readers = list(norm.output(0).get_target_inputs())
    # Runs with any length, and gives something else without the padding.
    mean = ops.add(norm, ops.reduce_mean(norm, ops.constant(np.array([1])), True))
    for reader in readers:
        reader.replace_source_output(mean.output(0))
    model.validate_nodes_and_infer_types()
    result = import_ir(tmp_path, model)
    assert (result.manifest.io.batch, result.manifest.io.tokens) == (1, 48)
    assert "gives logits that differ" in result.notes[-1]


def test_a_bundle_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = zoo_model(make_encoder(seed=1), tokens=16)
    monkeypatch.setattr("converters.bundle_writer.write_ir", lambda model, folder: write_ir(other, folder))
    with pytest.raises(VerificationError, match="differ from the model's own"):
        import_ir(tmp_path, zoo_model(ENCODER, tokens=16), static=True)
    assert not (tmp_path / "out").exists()


def test_roles_are_found_by_use_where_names_say_nothing(tmp_path: Path) -> None:
    # 400 rows: fewer could be anything where the length of the input is free.
    encoder = make_encoder(words=500, positions=400)
    model = build_graph(encoder)
    for index, parameter in enumerate(model.get_parameters()):
        parameter.set_friendly_name(str(index))
        parameter.output(0).set_names({str(index)})
    mixed = ov.Model(model.get_results(), [model.get_parameters()[i] for i in (3, 1, 0, 2)], "mixed")
    result = import_ir(tmp_path, mixed)
    assert {role: record.name for role, record in result.manifest.io.inputs.items()} == {
        "input_ids": "0",
        "attention_mask": "1",
        "token_type_ids": "2",
        "position_ids": "3",
    }
    assert {found.role: found.how for found in result.found if found.role in result.manifest.io.inputs} == {
        "input_ids": "indexes the largest table, 500 rows",
        "attention_mask": "masks the attention scores",
        "token_type_ids": "indexes a table of 2 rows",
        "position_ids": "indexes a table of 400 rows",
    }


def test_token_types_looked_up_by_a_one_hot_product_are_found(tmp_path: Path) -> None:
    model = zoo_model(ENCODER)
    types = model.get_parameters()[2]
    lookup = next(iter(types.output(0).get_target_inputs())).get_node()
    chosen = ops.one_hot(types, ops.constant(np.int32(2)), ops.constant(1.0), ops.constant(0.0), -1)
    kind = lookup.get_output_element_type(0)
    rows = ops.matmul(ops.convert(chosen, kind), lookup.input_value(0), False, False)
    lookup.output(0).replace(rows.output(0))
    model.get_parameters()[2].set_friendly_name("anything")
    model.get_parameters()[2].output(0).set_names({"anything"})
    result = import_ir(tmp_path, model)
    assert result.manifest.io.inputs["token_type_ids"].name == "anything"
    assert result.manifest.model.token_types == 2
    assert_computes(result.path, ENCODER, (1, 30, 30))


def test_names_of_other_exporters_are_known(tmp_path: Path) -> None:
    model = zoo_model(ENCODER, kind="i64")
    names = ["serving_default_input_word_ids:0", "scope/Input_Mask:0", "segment_ids", "position_ids:0"]
    for parameter, name in zip(model.get_parameters(), names, strict=True):
        parameter.set_friendly_name("arg")
        parameter.output(0).set_names({name})
    for result, name in zip(model.get_results(), ["end_logits:0", "start_logits:0"], strict=True):
        result.input_value(0).set_names({name})
    result = import_ir(tmp_path, model)
    assert [record.name for record in result.manifest.io.inputs.values()] == names
    # By name, not by order: this model gives the end before the start.
    assert result.manifest.io.outputs == {"output_s": "start_logits:0", "output_e": "end_logits:0"}
    assert all(found.how == "by its name" for found in result.found)
    inputs = random_inputs(1, 20, 20)
    start, end = Engine(Bundle.load(result.path)).run(inputs)
    assert_same((end, start), reference_logits(ENCODER, inputs), inputs["attention_mask"])


def test_outputs_without_names_are_taken_in_order_with_a_note(tmp_path: Path) -> None:
    model = zoo_model(ENCODER, tokens=16)
    for number, result in enumerate(model.get_results()):
        result.input_value(0).set_names({str(1742 + number)})
    hidden = find(model, "encoder.layer.1.ffn.0.norm").output(0)
    hidden.set_names({"hidden"})
    three = ov.Model([ops.result(hidden), *model.get_results()], model.get_parameters(), "three")
    result = import_ir(tmp_path, three)
    assert result.manifest.io.outputs == {"output_s": "1742", "output_e": "1743"}
    assert "the first was taken for start" in result.notes[0]
    assert result.notes[1] == f"outputs left out: hidden f32 [1,16,{HIDDEN}]"
    assert_computes(result.path, ENCODER, (1, 16, 16))


def test_ports_without_any_name_get_those_of_the_contract(tmp_path: Path) -> None:
    path = save(zoo_model(ENCODER, tokens=16), tmp_path / "model.xml")
    path.write_text(re.sub(r' names="[^"]*"', "", path.read_text()))
    result = import_model(path, tmp_path / "out", vocab=VOCAB)
    assert list(result.manifest.io.outputs.values()) == ["output_s", "output_e"]
    assert_computes(result.path, ENCODER, (1, 16, 16))


def test_other_integer_types_are_converted_in_the_graph(tmp_path: Path) -> None:
    model = zoo_model(ENCODER, tokens=16)
    kinds = [ov.Type.i16, ov.Type.boolean, ov.Type.u8, ov.Type.i32]
    for parameter, kind in zip(model.get_parameters(), kinds, strict=True):
        readers = list(parameter.output(0).get_target_inputs())
        parameter.set_element_type(kind)
        parameter.validate_and_infer_types()
        back = ops.convert(parameter, "i32")
        for reader in readers:
            reader.replace_source_output(back.output(0))
    model.validate_nodes_and_infer_types()
    result = import_ir(tmp_path, model)
    assert [record.type for record in result.manifest.io.inputs.values()] == ["i64", "i64", "i64", "i32"]
    assert_computes(result.path, ENCODER, (1, 16, 11))


def test_half_precision_outputs_are_widened(tmp_path: Path) -> None:
    model = zoo_model(ENCODER, tokens=16)
    results = []
    for result in model.get_results():
        half = ops.convert(result.input_value(0), "f16")
        names = result.input_value(0).get_names()
        result.input_value(0).set_names(set())
        half.output(0).set_names(names)
        results.append(ops.result(half))
    imported = import_ir(tmp_path, ov.Model(results, model.get_parameters(), "half"))
    assert_computes(imported.path, ENCODER, (1, 16, 16))


def test_positions_that_begin_at_two_leave_two_fewer_tokens(tmp_path: Path) -> None:
    encoder = make_encoder(positions=40, position_offset=2)
    result = import_ir(tmp_path, build_graph(encoder))
    assert result.manifest.model.longest_input == 40
    assert_computes(result.path, encoder, (1, 40, 40))


@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize(("largest_level", "target"), [(127, "vnni"), (65, "vnni"), (64, "any")])
def test_the_target_of_an_int8_model_follows_from_its_weights(
    tmp_path: Path, largest_level: int, target: str, integers: bool
) -> None:
    model = zoo_model(ENCODER, tokens=16)
    quantize_products(model, largest_level=largest_level, integers=integers)
    model.validate_nodes_and_infer_types()
    found = survey(model)
    assert (found.precision, found.target) == ("int8", target)


def test_weights_that_meet_no_rounded_activation_suit_every_cpu(tmp_path: Path) -> None:
    model = zoo_model(ENCODER, tokens=16)
    quantize_products(model, integers=True, activations=False)
    result = import_ir(tmp_path, model)
    assert (result.manifest.precision, result.manifest.target) == ("int8", "any")


def test_what_nncf_quantized_for_any_cpu_is_told_from_its_integers(int8_bundle: Path) -> None:
    found = survey(this_core().read_model(int8_bundle / "model.xml"))
    assert (found.precision, found.target) == ("int8", "any")


def hub_cache(folder: Path, **files: Path) -> Path:
    """Lay files out as a cache of downloads does: named by their hash, with links in a snapshot. Returns that one."""
    blobs, snapshot = folder / "blobs", folder / "snapshots" / "main"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for name, source in files.items():
        file = name.replace("_", ".")
        blob = hashlib.sha256(source.read_bytes()).hexdigest()
        (blobs / blob).write_bytes(source.read_bytes())
        (snapshot / file).symlink_to(Path("..", "..", "blobs", blob))
    return snapshot


def test_an_ir_in_a_cache_of_links_is_read(tmp_path: Path) -> None:
    good = save(zoo_model(ENCODER), tmp_path / "good.xml")
    snapshot = hub_cache(tmp_path / "cache", model_xml=good, model_bin=good.with_suffix(".bin"), vocab_txt=VOCAB)
    made = import_model(snapshot / "model.xml", tmp_path / "made", vocab=snapshot / "vocab.txt")
    assert_computes(made.path, ENCODER, (2, 48, 9))


@pytest.mark.parametrize("linked", [False, True])
def test_an_onnx_model_with_its_weights_in_another_file_is_read(
    tmp_path: Path, linked: bool, no_temporary_folder: None
) -> None:
    files = {"model_onnx": ONNX / "external.onnx", "external_data": ONNX / "external.data"}
    if linked:
        folder = hub_cache(tmp_path / "cache", **files)
    else:
        folder = tmp_path / "model"
        folder.mkdir()
        for name, source in files.items():
            shutil.copy(source, folder / name.replace("_", "."))
    made = import_model(folder / "model.onnx", tmp_path / "made", vocab=VOCAB)
    whole = import_model(ONNX / "pair.onnx", tmp_path / "whole", vocab=VOCAB)
    # The same weights in one file and in two: the very same bundle's model.
    assert made.manifest.files["model.bin"] == whole.manifest.files["model.bin"]
    # Both files count.
    both = (ONNX / "external.onnx").read_bytes() + (ONNX / "external.data").read_bytes()
    assert made.manifest.lineage[0].source == hashlib.sha256(both).hexdigest()


def test_an_onnx_export_computes_what_torch_computes(tmp_path: Path) -> None:
    golden = json.loads((ONNX / "expected.json").read_text())
    inputs = {role: np.array(golden[role]) for role in ("input_ids", "attention_mask", "token_type_ids")}
    inputs["position_ids"] = np.broadcast_to(np.arange(24), inputs["input_ids"].shape)
    wanted = np.array(golden["start"]), np.array(golden["end"])
    pair = import_model(ONNX / "pair.onnx", tmp_path / "pair", vocab=VOCAB)
    single = import_model(ONNX / "single.onnx", tmp_path / "single", vocab=VOCAB)
    for result in (pair, single):
        assert result.format == "ONNX"
        assert result.manifest.precision == "fp32"
        assert (result.manifest.io.batch, result.manifest.io.tokens) == (None, None)
        assert_same(Engine(Bundle.load(result.path)).run(inputs), wanted, inputs["attention_mask"])
        model = result.manifest.model
        assert (model.layers, model.hidden, model.heads, model.ffn_widths) == (2, 16, (2, 2), ((24,), (24,)))
    assert pair.manifest.io.outputs == {"output_s": "start_logits", "output_e": "end_logits"}
    assert pair.manifest.model.longest_input == 32  # max_position_embeddings
    assert single.manifest.model.longest_input == 24  # the rows that the exporter kept
    assert [record.name for record in single.manifest.io.inputs.values()] == ["input.1", "input.2", "input.3"]
    assert "was split" in single.notes[0]


def test_the_same_import_gives_the_same_bytes(tmp_path: Path) -> None:
    zoo = save(zoo_model(ENCODER, inputs=3, rigid=True), tmp_path / "zoo.xml")
    for source in (zoo, ONNX / "pair.onnx"):
        digests = {import_model(source, tmp_path / f"{source.stem}{i}", vocab=VOCAB).manifest.digest for i in range(2)}
        assert len(digests) == 1


def test_the_lineage_names_the_bytes_it_was_made_of(tmp_path: Path) -> None:
    result = import_ir(tmp_path, zoo_model(ENCODER, tokens=16), version=10)
    step = result.manifest.lineage[-1]
    both = (tmp_path / "model.xml").read_bytes() + (tmp_path / "model.bin").read_bytes()
    assert (step.recipe, step.source) == ("import", hashlib.sha256(both).hexdigest())
    assert step.options == {"model": "model.xml", "format": "IR v10", "shape": "any x any"}


def test_case_is_folded_unless_the_model_tells_it_apart(tmp_path: Path) -> None:
    path = save(zoo_model(ENCODER, tokens=16), tmp_path / "model.xml")
    ada = VOCAB.read_text().split().index("ada")
    ids = []
    for lower_case in (True, False):
        result = import_model(path, tmp_path / f"out{lower_case}", vocab=VOCAB, lower_case=lower_case)
        ids.append(QuestionAnswerer.load(result.path).tokenizer.encode("ADA", "text").ids.tolist())
    assert ids[0] == [ada]
    assert ada not in ids[1]


def test_a_model_that_is_good_answers_as_well_from_its_static_int32_export(tmp_path: Path, fp16_bundle: Path) -> None:
    core = this_core()
    model = core.read_model(fp16_bundle / "model.xml")
    for parameter in model.get_parameters():
        parameter.set_element_type(ov.Type.i32)
    model.reshape({port: [1, 64] for port in model.inputs})
    path = save(model, tmp_path / "model.xml", version=10)
    result = import_model(path, tmp_path / "out", tokenizer=fp16_bundle / "tokenizer.json", static=True)
    context = "The first mechanical computer was designed by Charles Babbage in London, and Ada Lovelace wrote for it."
    answer = QuestionAnswerer.load(result.path).answer("Who designed the computer?", context)
    assert (answer.text, answer.start, answer.end) == ("Charles Babbage", 46, 61)
