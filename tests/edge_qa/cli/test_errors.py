"""Every kind of bad input: one clear line on stderr, the right exit code, nothing half-written."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.checkpoints import VOCABULARY, bert_config, bert_tensors, write_checkpoint
from tests.support.tiny import tiny_bundle

USAGE, BUNDLE, INPUT, RESOURCES = 2, 3, 4, 6


def check(result, code: int, *parts: str) -> None:
    """One line, no traceback, and it says all of `parts`."""
    assert result.code == code, result.err
    lines = result.err.strip().splitlines()
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]
    assert result.out == ""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A destination in a folder of its own, so that leftovers show."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "bundle"


def nothing_left(out: Path) -> bool:
    return list(out.parent.iterdir()) == []


def without(tensors: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in tensors.items() if name not in names}


# Checkpoints


def test_a_missing_checkpoint(command, out):
    check(command("convert", "nowhere", out), BUNDLE, "nowhere: does not exist")
    assert nothing_left(out)


def test_a_folder_that_is_no_checkpoint(command, out, tmp_path):
    (tmp_path / "empty").mkdir()
    result = command("convert", tmp_path / "empty", out)
    check(result, BUNDLE, "not a checkpoint", "config.json", "model.safetensors", "tokenizer.json or vocab.txt")


def test_a_file_that_is_no_checkpoint(command, out, questions):
    check(command("convert", questions, out), BUNDLE, "a file; wanted a folder")


def test_an_unsupported_family_lists_the_supported_ones(command, out, tmp_path):
    folder = write_checkpoint(tmp_path / "c", config=bert_config() | {"model_type": "gpt2"})
    check(command("convert", folder, out), BUNDLE, "model_type 'gpt2' is not supported", "bert")


def test_all_wrong_tensors_at_once(command, out, tmp_path):
    tensors = without(bert_tensors(), "qa_outputs.weight", "bert.encoder.layer.1.output.dense.bias")
    tensors["bert.embeddings.LayerNorm.weight"] = np.ones(31, np.float32)
    folder = write_checkpoint(tmp_path / "c", tensors=tensors)
    check(
        command("convert", folder, out),
        BUNDLE,
        "qa_outputs.weight: missing, wanted 2x32",
        "bert.encoder.layer.1.output.dense.bias: missing",
        "bert.embeddings.LayerNorm.weight: got 31, wanted 32",
    )
    assert nothing_left(out)


def test_a_vocabulary_larger_than_the_embedding(command, out, tmp_path):
    folder = write_checkpoint(tmp_path / "c", vocabulary=[*VOCABULARY, "more", "words"])
    ids = len(VOCABULARY)
    check(command("convert", folder, out), BUNDLE, f"gives ids up to {ids + 1}", f"{ids} rows")
    assert nothing_left(out)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_no_number(command, out, tmp_path, bad):
    tensors = bert_tensors()
    tensors["bert.encoder.layer.0.output.dense.weight"][3, 4] = bad
    folder = write_checkpoint(tmp_path / "c", tensors=tensors)
    check(command("convert", folder, out), BUNDLE, "output.dense.weight: 1 values are NaN or infinite")
    assert nothing_left(out)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_damaged_checkpoint_file(command, out, tmp_path, name):
    folder = write_checkpoint(tmp_path / "c")
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2] + b"\xff\xfe")
    result = command("convert", folder, out)
    check(result, BUNDLE, name)
    assert nothing_left(out)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_act": "xielu"}, "config hidden_act: got 'xielu'"),
        ({"hidden_size": "many"}, "config hidden_size: got 'many'"),
        ({"position_embedding_type": "rotary"}, "config position_embedding_type"),
        ({"num_hidden_layers": 3}, "config: 3 layers, but the weights hold 2"),
        ({"num_hidden_layers": 1}, "config: 1 layers, but the weights hold 2"),
        ({"num_hidden_layers": 10**30}, "but the weights hold 2"),
        ({"num_attention_heads": 7}, "hidden size 32 is no multiple of the 7 attention heads"),
        ({"hidden_act": ["gelu"]}, "config hidden_act: got ['gelu']"),
        ({"model_type": {}}, "model_type {} is not supported"),
        ({"num_attention_heads": 0}, "config num_attention_heads: got 0"),
    ],
)
def test_a_configuration_that_does_not_fit(command, out, tmp_path, config, message):
    folder = write_checkpoint(tmp_path / "c", config=bert_config() | config)
    check(command("convert", folder, out), BUNDLE, message)


def test_a_sharded_checkpoint_with_a_lost_shard(command, out, tmp_path):
    folder = write_checkpoint(tmp_path / "c")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = dict.fromkeys(bert_tensors(), "model-00001-of-00002.safetensors")
    index["qa_outputs.bias"] = "model-00002-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    check(command("convert", folder, out), BUNDLE, "shards are missing: model-00002-of-00002.safetensors")


def test_a_shard_outside_the_folder(command, out, tmp_path):
    folder = write_checkpoint(tmp_path / "c")
    (folder / "model.safetensors").rename(tmp_path / "secret.safetensors")
    index = {"weight_map": {"a": "../secret.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    check(command("convert", folder, out), BUNDLE, "outside the checkpoint")


# Destinations


def test_an_existing_destination_is_kept(command, tmp_path):
    folder = write_checkpoint(tmp_path / "c")
    assert command("convert", folder, tmp_path / "out").code == 0
    before = (tmp_path / "out" / "bundle.json").stat().st_mtime_ns
    check(command("convert", folder, tmp_path / "out"), INPUT, "already exists", "--force")
    assert (tmp_path / "out" / "bundle.json").stat().st_mtime_ns == before
    assert command("convert", folder, tmp_path / "out", "--force").code == 0
    assert (tmp_path / "out" / "bundle.json").stat().st_mtime_ns != before


def test_force_replaces_nothing_but_a_bundle_or_a_checkpoint(command, tmp_path):
    folder = write_checkpoint(tmp_path / "c")
    for kind in ("files", "folders"):
        mine = tmp_path / kind
        mine.mkdir()
        if kind == "files":
            (mine / "bundle.json").write_text("{}")
            (mine / "thesis.txt").write_text("keep")
        else:
            (mine / "sub").mkdir()
        check(command("convert", folder, mine, "--force"), INPUT, "--force replaces a bundle or a checkpoint")
    assert (tmp_path / "files" / "thesis.txt").read_text() == "keep"
    assert (tmp_path / "folders" / "sub").is_dir()
    (tmp_path / "empty").mkdir()
    assert command("convert", folder, tmp_path / "empty", "--force").code == 0


def test_no_destination_is_at_the_cost_of_its_source(command, tmp_path):
    folder = write_checkpoint(tmp_path / "box" / "c")
    (tmp_path / "link").symlink_to(folder)
    for source, destination in ((folder, folder), (folder, tmp_path / "box"), (tmp_path / "link", folder)):
        check(command("convert", source, destination, "--force"), INPUT, "is, or holds, what is read")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_a_bundle_is_not_quantized_onto_itself(command, fp16_bundle, questions, tmp_path):
    copy = shutil.copytree(fp16_bundle, tmp_path / "copy")
    check(command("quantize", copy, copy, "--calibration", questions, "--force"), INPUT, "is, or holds, what is read")
    assert (copy / "bundle.json").read_bytes() == (fp16_bundle / "bundle.json").read_bytes()


def test_a_name_that_is_too_long(command, tmp_path):
    folder = write_checkpoint(tmp_path / "c")
    assert command("convert", folder, tmp_path / ("x" * 250)).code == RESOURCES
    assert command("convert", folder, tmp_path / ("x" * 300)).code == RESOURCES


def test_a_destination_without_a_parent(command, tmp_path):
    folder = write_checkpoint(tmp_path / "c")
    check(command("convert", folder, tmp_path / "a" / "b"), INPUT, "its parent folder does not exist")


def run(*arguments: object, file_limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if file_limit is not None:
            # Writing past the limit fails as a full disk does.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.run(
        [sys.executable, "-m", "edge_qa", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


@pytest.mark.parametrize("limit", [1000, 30_000])
def test_a_full_disk_leaves_nothing(out, tmp_path, limit):
    folder = write_checkpoint(tmp_path / "c")
    done = run("convert", folder, out, file_limit=limit)
    assert done.returncode == RESOURCES, done.stderr
    assert "the disk is full" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert nothing_left(out)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_nothing(out, checkpoint, ending):
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_qa", "convert", str(checkpoint), str(out)], stderr=subprocess.PIPE, text=True
    )
    while nothing_left(out) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(ending)
    _, err = process.communicate()
    assert process.returncode == 128 + ending
    assert err.strip() == "interrupted; nothing was left half-written"
    assert nothing_left(out)


def test_a_hangup_is_ignored_under_nohup(out, checkpoint):
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "edge_qa", "convert", str(checkpoint), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while nothing_left(out) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGHUP)
    told, _ = process.communicate()
    assert process.returncode == 0, told
    assert out.is_dir()


# Bundles


@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json", "bundle.json"])
def test_a_damaged_bundle(command, int8_bundle, tmp_path, name):
    copy = Path(shutil.copytree(int8_bundle, tmp_path / "copy"))
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 3] ^= 4
    (copy / name).write_bytes(content)
    check(command("ask", copy, "Who?", "--text", "Ada."), BUNDLE, name)
    check(command("inspect", copy), BUNDLE, name)


def test_a_missing_bundle(command, tmp_path):
    check(command("ask", tmp_path / "none", "Who?", "--text", "Ada."), BUNDLE, "does not exist")


def test_a_checkpoint_where_a_bundle_is_wanted(command, checkpoint):
    check(command("ask", checkpoint, "Who?", "--text", "Ada."), BUNDLE, "convert it first")


# Questions and contexts


@pytest.mark.parametrize(
    ("question", "text", "message"),
    [
        ("", "Ada.", "question is empty"),
        ("  ", "Ada.", "question is empty"),
        ("Who?", " \n", "context is empty"),
        ("Who?", "\udcff", "lone surrogate"),
    ],
)
def test_text_that_cannot_be_used(command, int8_bundle, question, text, message):
    check(command("ask", int8_bundle, question, "--text", text), INPUT, message)


def test_a_context_file_that_cannot_be_used(command, int8_bundle, tmp_path):
    check(command("ask", int8_bundle, "Who?", "--context", tmp_path / "no.txt"), INPUT, "cannot be read")
    (tmp_path / "latin.txt").write_bytes("Zoë".encode("latin-1"))
    check(command("ask", int8_bundle, "Who?", "--context", tmp_path / "latin.txt"), INPUT, "not UTF-8 at byte 2")


def test_wrong_usage(command, int8_bundle):
    for arguments in (
        ("ask", int8_bundle, "Who?", "--text", "a", "--context", "b"),
        ("ask", int8_bundle, "Who?", "--text", "a", "--top-k", "0"),
        ("frobnicate",),
        ("convert",),
        ("convert", "a", "b", "--revision", "main"),
    ):
        result = command(*arguments)
        assert result.code == USAGE
        assert "Error: " in result.err
        assert result.out == ""


# Data sets


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"data": []}', "not json", '{"question": "Who?"}', '{"question": "", "context": ""}'],
)
def test_calibration_data_without_a_usable_sample(command, fp16_bundle, out, tmp_path, content):
    (tmp_path / "data.json").write_text(content)
    result = command("quantize", fp16_bundle, out, "--calibration", tmp_path / "data.json")
    check(result, INPUT, "data.json")
    assert nothing_left(out)


def test_quantizing_twice(command, int8_bundle, questions, out):
    check(command("quantize", int8_bundle, out, "--calibration", questions), BUNDLE, "is quantized already")


def test_an_evaluation_question_that_cannot_be_asked(command, int8_bundle, tmp_path):
    (tmp_path / "data.jsonl").write_text(json.dumps({"question": " ", "context": "Ada.", "answers": ["Ada"]}))
    check(command("evaluate", int8_bundle, "--data", tmp_path / "data.jsonl"), INPUT, "blank; correct or remove it")


def test_predictions_replace_nothing_unasked(command, int8_bundle, questions, tmp_path):
    data = shutil.copy(questions, tmp_path / "data.json")
    before = Path(data).read_bytes()
    for force in ([], ["--force"]):
        result = command("evaluate", int8_bundle, "--data", data, "--limit", 1, "--predictions", data, *force)
        check(result, INPUT, "is what is read")
    (tmp_path / "old.json").write_text("keep")
    result = command("evaluate", int8_bundle, "--data", data, "--limit", 1, "--predictions", tmp_path / "old.json")
    check(result, INPUT, "already exists", "--force")
    assert Path(data).read_bytes() == before


def test_a_pipe_is_not_replaced(command, int8_bundle, questions, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    result = command("evaluate", int8_bundle, "--data", questions, "--limit", 1, "--predictions", pipe, "--force")
    assert (result.code, pipe.is_fifo()) == (4, True)
    assert "is a device or a pipe" in result.err


@pytest.mark.parametrize("call", [("ask", "Who?", "--text", "Ada."), ("inspect",), ("doctor",), ("bench",)])
def test_a_bundle_with_too_long_a_name(command, call):
    name, *rest = call
    result = command(name, "x" * 300, *rest)
    assert (result.code, result.err.count("\n")) == (3, 1)


def test_data_without_answers_is_refused_before_anything_is_asked(command, int8_bundle, tmp_path):
    data = tmp_path / "lines.jsonl"
    row = '{"question": "Who?", "context": "Ada."'
    data.write_text(f'{row}, "answers": ["Ada"]}}\n{row}}}\n')
    result = command("evaluate", int8_bundle, "--data", data, "--limit", 1)
    assert (result.code, "has no answer to score by" in result.err) == (4, True)


@pytest.mark.parametrize("name", ["ask", "batch", "evaluate"])
def test_a_threshold_that_is_no_number(command, int8_bundle, name):
    result = command(name, int8_bundle, "x", "--no-answer-threshold", "nan")
    assert (result.code, "got nan, wanted a number" in result.err) == (2, True)


def test_predictions_that_cannot_be_written(command, int8_bundle, questions, tmp_path):
    result = command(
        "evaluate", int8_bundle, "--data", questions, "--limit", 1, "--predictions", tmp_path / "no" / "p.json"
    )
    check(result, INPUT, "cannot be written")


# Machines


@pytest.mark.slow
def test_a_bundle_for_vnni_on_a_smaller_cpu(fp16_bundle, questions, tmp_path):
    made = run(
        "quantize", fp16_bundle, tmp_path / "vnni", "--calibration", questions, "--samples", 2, "--target", "vnni"
    )
    assert made.returncode == 0, made.stderr
    done = subprocess.run(
        [sys.executable, "-m", "edge_qa", "ask", tmp_path / "vnni", "Who?", "--text", "Ada."],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == RESOURCES
    assert "quantize it for the target" in done.stderr


def test_a_missing_extra_names_the_install_command(fp16_bundle, questions, tmp_path):
    code = (
        "import sys; sys.modules['nncf'] = None\n"
        f"sys.argv = ['edge-qa', 'quantize', {str(fp16_bundle)!r}, 'out', '--calibration', {str(questions)!r}]\n"
        "from edge_qa.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == USAGE
    assert done.stderr.strip() == ("error: nncf is not installed; pip install 'edge-qa[calibrate]' brings it")


def test_something_in_a_layer_that_is_not_computed(command, out, tmp_path):
    tensors = bert_tensors()
    tensors["bert.encoder.layer.0.attention.self.distance_embedding.weight"] = np.ones((63, 8), np.float32)
    folder = write_checkpoint(tmp_path / "c", tensors=tensors)
    check(command("convert", folder, out), BUNDLE, "distance_embedding", "layers hold tensors that BERT does not have")


def test_debug_shows_the_traceback_before_the_same_line_and_exit_code(command):
    plain, debug = command("inspect", "nowhere"), command("--debug", "inspect", "nowhere")
    assert (debug.code, debug.out) == (plain.code, plain.out) == (BUNDLE, "")
    traceback = debug.err.removesuffix(plain.err)
    assert traceback != debug.err
    assert traceback.startswith("Traceback (most recent call last)")


def test_a_value_outside_its_range_is_wrong_usage(command):
    result = command("ask", "bundle", "Who?", "--text", "Ada.", "--min-confidence", "2")
    assert (result.code, result.out) == (USAGE, "")


# Notes


def test_torch_that_is_not_needed_is_named(command, out, tmp_path):
    result = command("convert", write_checkpoint(tmp_path / "c"), out, "--torch")
    assert "note: bert is read natively: --torch was not needed, and not used\n" in result.out


def test_the_packed_bundle_is_named_as_it_was_given(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_bundle(tmp_path).rename(tmp_path / "b")
    assert command("pack-native", "b", "p").out.startswith("p: packed for the native engine, ")


# JSON


def test_a_path_that_is_not_utf8_is_json_all_the_same(command):
    result = command("inspect", b"no\xff".decode("utf-8", "surrogateescape"), "--json")
    assert result.json["error"]["kind"] == "BundleError"
    result.out.encode()


def test_errors_are_json_when_results_are(command, tmp_path):
    result = command("inspect", tmp_path / "none", "--json")
    assert result.code == BUNDLE
    assert result.json["error"]["kind"] == "BundleError"
    assert result.json["error"]["message"] in result.err
    result = command("ask", "--json")
    assert result.code == USAGE
    assert result.json["error"]["kind"] == "UsageError"
