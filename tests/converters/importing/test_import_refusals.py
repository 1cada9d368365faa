"""What cannot be imported: one line that says what was found, and the exit code of the real command."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from converters.ir.graph import build_graph
from edge_qa._openvino import ov
from edge_qa.cli.app import main
from tests.support.foreign_models import ONNX, VOCAB, headless, image_model, make_encoder, ops, save, zoo_model

ENCODER = make_encoder()


class Command:
    """edge-qa import, as a shell runs it, within this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        """Return the exit code, stdout and stderr."""
        self._monkeypatch.setattr("sys.argv", ["edge-qa", "import", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        out, err = self._capsys.readouterr()
        return int(stop.value.code or 0), out, err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def assert_refused(command: Command, model: Path, code: int, *parts: str) -> None:
    """One line on stderr with all `parts`, the exit code, and nothing written."""
    output = model.with_name("out")
    got, out, err = command(model, output, "--vocab", VOCAB)
    assert (got, out) == (code, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    assert not output.exists()
    assert not list(model.parent.glob(".out*"))


# Files


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(zoo_model(ENCODER, tokens=16), tmp_path_factory.mktemp("good") / "model.xml")


@pytest.fixture
def copy(good: Path, tmp_path: Path) -> Path:
    """A copy of a good IR, to be damaged."""
    for suffix in (".xml", ".bin"):
        shutil.copy(good.with_suffix(suffix), tmp_path)
    return tmp_path / good.name


def test_a_file_that_is_not_there(command: Command, tmp_path: Path) -> None:
    assert_refused(command, tmp_path / "model.xml", 3, "does not exist", "give an .xml or .onnx file")


def test_a_folder(command: Command, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert_refused(command, tmp_path / "model", 3, "a folder; give the .xml or .onnx file in it")


def test_another_kind_of_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "model.pb").write_bytes(b"x")
    assert_refused(command, tmp_path / "model.pb", 3, "got a .pb file, wanted OpenVINO's .xml or an .onnx")


def test_an_ir_without_its_weights(command: Command, copy: Path) -> None:
    copy.with_suffix(".bin").unlink()
    assert_refused(command, copy, 3, "model.bin: does not exist; put it beside model.xml")


def test_an_empty_weights_file(command: Command, copy: Path) -> None:
    copy.with_suffix(".bin").write_bytes(b"")
    assert_refused(command, copy, 3, "model.bin: empty")


def test_a_weights_file_that_was_cut(command: Command, copy: Path) -> None:
    weights = copy.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes()[:-100])
    assert_refused(command, copy, 3, "not a model that is safe to read", "a constant outside of the")


def test_a_graph_that_was_cut(command: Command, copy: Path) -> None:
    text = copy.read_text()
    copy.write_text(text[: len(text) // 2])
    assert_refused(command, copy, 3, "not a model that is safe to read")


@pytest.mark.parametrize("version", [6, 9, 12])
def test_an_ir_of_a_version_that_openvino_does_not_read(command: Command, copy: Path, version: int) -> None:
    copy.write_text(copy.read_text().replace('version="11"', f'version="{version}"', 1))
    assert_refused(command, copy, 3, f"IR version {version}, wanted 10 or 11")


def test_some_other_xml(command: Command, copy: Path) -> None:
    copy.write_text("<html></html>")
    assert_refused(command, copy, 3, "not an OpenVINO IR")


def test_an_ir_with_an_operation_that_openvino_does_not_know(command: Command, copy: Path) -> None:
    copy.write_text(copy.read_text().replace('type="MatMul"', 'type="Unheard"', 1))
    assert_refused(command, copy, 3, "not a model that is safe to read", "Unheard")


def test_a_pipe(command: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    assert_refused(command, tmp_path / "model.onnx", 3, "not a plain file")


@pytest.mark.parametrize("content", [b"garbage" * 100, b"\x08\x08"])
def test_an_onnx_file_that_is_none(command: Command, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    assert_refused(command, tmp_path / "model.onnx", 3, "model.onnx")


def test_an_onnx_file_that_was_cut(command: Command, tmp_path: Path) -> None:
    content = (ONNX / "pair.onnx").read_bytes()
    (tmp_path / "model.onnx").write_bytes(content[: len(content) // 2])
    assert_refused(command, tmp_path / "model.onnx", 3, "not an ONNX model")


def test_an_onnx_file_without_the_file_of_its_weights(command: Command, tmp_path: Path) -> None:
    shutil.copy(ONNX / "external.onnx", tmp_path / "model.onnx")
    assert_refused(command, tmp_path / "model.onnx", 3, "its weights lie in external.data, which is not there")


@pytest.mark.parametrize("name", ["../secretdata", "/etc/hostname", "a/../../xdata", "a\\b\\xyz0.data"])
def test_an_onnx_file_with_weights_outside_its_folder(command: Command, tmp_path: Path, name: str) -> None:
    # As many characters as "external.data", whose length stands before it.
    assert len(name) == len("external.data")
    content = (ONNX / "external.onnx").read_bytes().replace(b"external.data", name.encode())
    (tmp_path / "model.onnx").write_bytes(content)
    assert_refused(command, tmp_path / "model.onnx", 3, f"keeps weights in {name!r}, outside its folder")


def test_an_onnx_file_whose_weights_are_a_link_out_of_its_folder(command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(ONNX / "external.onnx", folder / "model.onnx")
    shutil.copy(ONNX / "external.data", tmp_path / "elsewhere")
    (folder / "external.data").symlink_to("../elsewhere")
    assert_refused(command, folder / "model.onnx", 3, "keeps weights in external.data, a link out of its folder")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"


def test_a_pointer_of_git_lfs(command: Command, copy: Path, tmp_path: Path) -> None:
    copy.with_suffix(".bin").write_text(POINTER)
    assert_refused(command, copy, 3, "model.bin: a pointer of Git LFS, not the file itself; run git lfs pull")
    copy.write_text(POINTER)
    assert_refused(command, copy, 3, "model.xml: a pointer of Git LFS")
    model = tmp_path / "model.onnx"
    model.write_text(POINTER)
    assert_refused(command, model, 3, "model.onnx: a pointer of Git LFS")
    shutil.copy(ONNX / "external.onnx", model)
    (tmp_path / "external.data").write_text(POINTER)
    assert_refused(command, model, 3, "external.data: a pointer of Git LFS")


@pytest.mark.parametrize("option", ["--vocab", "--tokenizer"])
def test_a_tokenizer_that_is_a_pointer_of_git_lfs(command: Command, good: Path, tmp_path: Path, option: str) -> None:
    pointer = tmp_path / "pointer"
    pointer.write_text(POINTER)
    code, _, err = command(good, tmp_path / "out", option, pointer)
    assert code == 3
    assert "pointer: a pointer of Git LFS" in err


# Models


def test_embedding_models_of_the_zoo(command: Command, tmp_path: Path) -> None:
    for pooled, shape in ((True, "[1,32]"), (False, "[1,48,32]")):
        model = save(headless(ENCODER, pooled=pooled), tmp_path / "model.xml")
        assert_refused(command, model, 3, f"got the outputs embedding f32 {shape}", "cannot answer questions")


def test_a_classifier_of_texts(command: Command, tmp_path: Path) -> None:
    model = zoo_model(ENCODER)
    first = ops.gather(
        model.get_results()[0].input_value(0), ops.constant(np.array([0, 1])), ops.constant(np.int64(1))
    ).output(0)
    first.set_names({"classes"})
    save(ov.Model([ops.result(first)], model.get_parameters(), "classifier"), tmp_path / "model.xml")
    assert_refused(command, tmp_path / "model.xml", 3, "got the outputs classes f32 [1,2]", "classes")


def test_a_model_of_images(command: Command, tmp_path: Path) -> None:
    model = save(image_model(), tmp_path / "model.xml")
    assert_refused(command, model, 3, "got the inputs data f32 [1,3,8,8]", "integers of shape (batch, tokens)")


def test_a_model_without_an_attention_mask(command: Command, tmp_path: Path) -> None:
    model = zoo_model(ENCODER, inputs=3)
    ids, mask, types = model.get_parameters()
    mask.output(0).replace(ops.constant(np.ones((1, 48), np.int32)).output(0))
    model = ov.Model(model.get_results(), [ids, types], "maskless")
    assert_refused(
        command,
        save(model, tmp_path / "model.xml"),
        3,
        "no input could be attention_mask",
        "input_ids i32 [1,48] indexes tables of 60x32",
    )


def test_an_input_that_has_no_role(command: Command, tmp_path: Path) -> None:
    model = zoo_model(ENCODER)
    extra = ops.parameter([1, 48], np.int32, name="visual_ids")
    extra.output(0).set_names({"visual_ids"})
    start = model.get_results()[0]
    start.input(0).replace_source_output(ops.add(start.input_value(0), ops.convert(extra, "f32")).output(0))
    made = ov.Model(model.get_results(), [*model.get_parameters(), extra], "extra")
    for output, name in zip(made.outputs, ("output_s", "output_e"), strict=True):
        output.set_names({name})
    assert_refused(command, save(made, tmp_path / "model.xml"), 3, "no role for visual_ids i32 [1,48]")


def test_a_short_table_without_a_name_could_be_anything(command: Command, tmp_path: Path) -> None:
    model = build_graph(make_encoder(words=500, positions=383))
    model.get_parameters()[3].set_friendly_name("3")
    model.get_parameters()[3].output(0).set_names({"3"})
    path = save(model, tmp_path / "model.xml")
    assert_refused(command, path, 3, "no role for 3 i64 [?,?]", "3 i64 [?,?] indexes tables of 383x32")


def test_two_inputs_of_one_name(command: Command, tmp_path: Path) -> None:
    model = zoo_model(ENCODER)
    model.get_parameters()[2].output(0).set_names({"input_word_ids"})
    model.get_parameters()[2].set_friendly_name("input_word_ids")
    assert_refused(command, save(model, tmp_path / "model.xml"), 3, "two inputs could be input_ids")


def test_weights_that_are_not_numbers(command: Command, copy: Path) -> None:
    weights = copy.with_suffix(".bin")
    content = np.fromfile(weights, np.float16)
    content[: 60 * 32] = np.nan  # the word embeddings stand first
    content.tofile(weights)
    assert_refused(command, copy, 3, "gives logits that are not finite")


def test_a_model_of_larger_batches(command: Command, tmp_path: Path) -> None:
    model = zoo_model(ENCODER, tokens=16)
    model.reshape({port: [4, 16] for port in model.inputs})
    fixed = ops.constant(np.eye(4, dtype=np.float32))  # mixes the rows of a batch
    for result in model.get_results():
        names = result.input_value(0).get_names()
        mixed = ops.matmul(fixed, result.input_value(0), False, False).output(0)
        result.input_value(0).set_names(set())
        mixed.set_names(names)
        result.input(0).replace_source_output(mixed)
    model.validate_nodes_and_infer_types()
    assert_refused(command, save(model, tmp_path / "model.xml"), 3, "takes batches of 4 only")


def test_a_free_shape_that_the_graph_does_not_keep(command: Command, tmp_path: Path) -> None:
    model = zoo_model(ENCODER, rigid=True)
    for result in model.get_results():
        names = result.input_value(0).get_names()
        shaped = ops.reshape(result.input_value(0), ops.shape_of(model.get_parameters()[0]), False).output(0)
        result.input_value(0).set_names(set())
        shaped.set_names(names)
        result.input(0).replace_source_output(shaped)
    for parameter in model.get_parameters():
        parameter.set_partial_shape(ov.PartialShape([1, -1]))
    model.validate_nodes_and_infer_types()
    assert_refused(command, save(model, tmp_path / "model.xml"), 3, "fails on an input of 9 tokens", "export it again")


# Tokenizer, destination, options


def test_a_tokenizer_with_more_ids_than_the_model(command: Command, copy: Path) -> None:
    vocab = copy.with_name("vocab.txt")
    vocab.write_text(VOCAB.read_text() + "one_too_many\n")
    code, _, err = command(copy, copy.with_name("out"), "--vocab", vocab)
    assert code == 3
    assert "the tokenizer gives ids up to 60, the word embeddings have 60 rows" in err


def test_a_vocabulary_given_as_a_tokenizer(command: Command, copy: Path) -> None:
    code, _, err = command(copy, copy.with_name("out"), "--tokenizer", VOCAB)
    assert code == 3
    assert "cannot be read as a tokenizer.json" in err


def test_an_output_that_exists(command: Command, copy: Path) -> None:
    copy.with_name("out").mkdir()
    code, _, err = command(copy, copy.with_name("out"), "--vocab", VOCAB)
    assert code == 4
    assert "already exists" in err


@pytest.mark.parametrize("options", [(), ("--vocab", "v", "--tokenizer", "t"), ("--tokenizer", "t", "--cased")])
def test_options_that_do_not_fit(command: Command, copy: Path, options: tuple[str, ...]) -> None:
    code, _, err = command(copy, copy.with_name("out"), *options)
    assert code == 2
    assert "--vocab" in err


# What the command says of a good model


def test_the_command_says_what_it_found(command: Command, copy: Path) -> None:
    code, out, err = command(copy, copy.with_name("out"), "--vocab", VOCAB)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "IR v11, 2 layers" in lines[0]
    assert "  input_ids: input_ids i32 [1,16] (by its name)" in lines
    assert any(line.startswith("  note: shape freed: it was 1 x 16") for line in lines)
    assert lines[-1].startswith("verified: logits within ")


def test_the_command_says_it_as_json(command: Command, copy: Path) -> None:
    code, out, _ = command(copy, copy.with_name("out"), "--vocab", VOCAB, "--static", "--json")
    assert code == 0
    result = json.loads(out)
    assert result["format"] == "IR v11"
    assert result["found"][0] == {"role": "input_ids", "tensor": "input_ids i32 [1,16]", "how": "by its name"}
    assert result["manifest"]["io"]["tokens"] == 16
    code, out, _ = command(copy, copy.with_name("out"), "--vocab", VOCAB, "--json")
    assert code == 4
    assert json.loads(out)["error"]["kind"] == "InputError"
