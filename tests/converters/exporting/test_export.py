"""edge-qa export: what is written for each server."""

import json
import re
from pathlib import Path

import pytest

from converters.exporting.export import TARGETS, export
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError, InputError
from tests.conftest import ROOT
from tests.support.command import Command

BUNDLE = ROOT / "examples" / "models" / "minilm-squad-small-int8"
ROLES = ("input_ids", "attention_mask", "token_type_ids", "position_ids")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def bundle_files(folder: str) -> set[str]:
    return {f"{folder}/{name}" for name in ("README.md", "bundle.json", "model.bin", "model.xml", "tokenizer.json")}


@pytest.mark.parametrize(
    ("target", "bundle", "tensors", "others"),
    [
        ("mlserver", "qa/bundle", None, {"settings.json", "qa/model-settings.json"}),
        ("ovms", "qa/bundle", "qa-tensors/1", {"config.json", "Containerfile", "qa/graph.pbtxt", "qa/qa_node.py"}),
        ("triton", "qa/1/bundle", "qa-tensors/1", {"qa/config.pbtxt", "qa/1/model.py", "qa-tensors/config.pbtxt"}),
    ],
)
def test_a_repository_holds_the_whole_bundle_and_the_model_alone(tmp_path, target, bundle, tensors, others):
    done = export(BUNDLE, tmp_path / "out", target=target, name="qa")
    assert (done.path, done.target, done.name) == (tmp_path / "out", target, "qa")
    model = set() if tensors is None else {f"{tensors}/model.xml", f"{tensors}/model.bin"}
    assert files(done.path) == bundle_files(bundle) | model | others
    assert Bundle.load(done.path / bundle).manifest == Bundle.load(BUNDLE).manifest
    for name in model:
        assert (done.path / name).read_bytes() == (BUNDLE / Path(name).name).read_bytes()
    assert str(done.path) in done.steps[-1] + done.steps[0]


def test_the_files_of_ovms_name_each_other(tmp_path):
    out = export(BUNDLE, tmp_path / "out", target="ovms", name="small.qa-1").path
    config = json.loads((out / "config.json").read_text())
    # The keys that the server's schema has, and no others.
    assert set(config) == {"model_config_list", "mediapipe_config_list"}
    (model,), (graph,) = config["model_config_list"], config["mediapipe_config_list"]
    assert model == {
        "config": {
            "name": "small.qa-1-tensors",
            "base_path": "/models/small.qa-1-tensors",
            "plugin_config": {"INFERENCE_PRECISION_HINT": "f32"},
        }
    }
    assert graph == {"name": "small.qa-1", "graph_path": "/models/small.qa-1/graph.pbtxt"}
    text = (out / "small.qa-1" / "graph.pbtxt").read_text()
    (handler,) = re.findall(r'handler_path: "/models/(.+?)"', text)
    # A name that Python imports, and that no other model's node has: the server loads each name once.
    assert handler == "small.qa-1/small_qa_1_node.py"
    assert (out / handler).read_text().startswith("from edge_qa.integrations.servers.ovms import OvmsPythonModel\n")
    graph_part, node = text.split("node {")
    for kind, names in (("input", ["question", "context"]), ("output", ["answer", "score", "start", "end"])):
        assert re.findall(rf'^{kind}_stream: "OVMS_PY_TENSOR_\w+:(\w+)"', graph_part, re.MULTILINE) == names
        assert re.findall(rf'^  {kind}_stream: "[A-Z]+:(\w+)"', node, re.MULTILINE) == names
    assert node.count("{") + 1 == node.count("}")


def test_the_files_of_triton_say_what_the_models_take(tmp_path):
    out = export(BUNDLE, tmp_path / "out", target="triton", name="qa").path
    tensors, text = ((out / name / "config.pbtxt").read_text() for name in ("qa-tensors", "qa"))
    assert re.findall(r'input \{ name: "(\w+)" data_type: TYPE_INT64 dims: \[ -1, -1 \] \}', tensors) == list(ROLES)
    assert re.findall(r'output \{ name: "(\w+)" data_type: TYPE_FP32 dims', tensors) == ["output_s", "output_e"]
    assert re.findall(r'put \{ name: "(\w+)" data_type: TYPE_(\w+) dims: \[ -1 \] \}', text) == [
        ("question", "STRING"),
        ("context", "STRING"),
        ("answer", "STRING"),
        ("score", "FP64"),
        ("start", "INT64"),
        ("end", "INT64"),
    ]


@pytest.mark.parametrize("model", ["qa", "qa-tensors"])
def test_triton_s_own_reader_takes_its_files(tmp_path, model):
    reader = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed")
    from google.protobuf import text_format

    out = export(BUNDLE, tmp_path / "out", target="triton", name="qa").path
    config = text_format.Parse((out / model / "config.pbtxt").read_text(), reader.ModelConfig())
    assert (config.name, config.max_batch_size) == (model, 0)


def test_the_settings_of_mlserver(tmp_path):
    out = export(BUNDLE, tmp_path / "out", target="mlserver", name="qa").path
    settings = json.loads((out / "qa" / "model-settings.json").read_text())
    assert settings["name"] == "qa"
    assert settings["implementation"] == "edge_qa.integrations.servers.mlserver.AnswerModel"
    assert settings["parameters"] == {"uri": "./bundle"}
    assert [tensor["name"] for tensor in settings["outputs"]] == ["answer", "score", "start", "end"]
    assert json.loads((out / "settings.json").read_text())["host"] == "127.0.0.1"


@pytest.mark.parametrize("name", ["", ".", "a b", "a/b", "../up", "-x", "x" * 101, "ü"])
def test_a_name_that_a_server_would_not_take_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="name: got"):
        export(BUNDLE, tmp_path / "out", target="ovms", name=name)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(InputError, match="target: got 'other', wanted one of"):
        export(BUNDLE, tmp_path / "out", target="other")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match=r"there: already exists; give another name$"):
        export(BUNDLE, tmp_path / "there", target="ovms")
    with pytest.raises(BundleError):
        export(tmp_path / "there", tmp_path / "out", target="ovms")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command_says_how_it_is_started(command, tmp_path):
    shown = command("export", "--for", "mlserver", BUNDLE, tmp_path / "out")
    assert (shown.code, shown.err) == (0, "")
    assert f"mlserver start {tmp_path / 'out'}" in shown.out
    found = command("export", "--for", "triton", BUNDLE, tmp_path / "two", "--name", "qa", "--json").json
    assert (found["for"], found["name"], found["output"]) == ("triton", "qa", str(tmp_path / "two"))
    assert command("export", BUNDLE, tmp_path / "three").code == 2


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_a_writer(target):
    assert callable(TARGETS[target].writer())


def test_the_model_for_the_extension_is_one_operation(tmp_path):
    out = export(BUNDLE, tmp_path / "out", target="extension").path
    assert files(out) == {"model.xml", "model.bin", *(f"{role}.npy" for role in ROLES)}
    xml = (out / "model.xml").read_text()
    assert re.findall(r'type="(\w+)" version="extension"', xml) == ["EdgeQaEncoder"]
    assert re.findall(r'names="(\w+)"', xml) == [*ROLES, "output_s", "output_e"]
    # The packed file itself is all its weights: from its magic to the zeros behind its last array.
    packed = (out / "model.bin").read_bytes()
    assert packed[:8] == b"EDGEQAPK"
    assert int.from_bytes(packed[16:24], "little") == len(packed)


def test_a_model_that_the_native_engine_cannot_run_is_not_exported_for_it(tmp_path, monkeypatch):
    monkeypatch.setattr("converters.native.pack.cannot_run", lambda encoder: "the native engine does not take it")
    with pytest.raises(BundleError, match="does not take it"):
        export(BUNDLE, tmp_path / "out", target="extension")
    assert not (tmp_path / "out").exists()
