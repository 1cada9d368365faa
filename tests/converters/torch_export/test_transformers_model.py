"""Architectures with no module of their own: what is said without the torch extra, and what is exported with it."""

import hashlib
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from converters.conversion import convert
from converters.families import FAMILIES
from edge_qa import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import INPUT_ROLES, OUTPUT_ROLES
from edge_qa.cli.app import cli
from edge_qa.errors import CheckpointError
from edge_qa.inference.engine import Engine
from tests.support.checkpoints import bert_config, write_checkpoint
from tests.support.places import ROOT

TOLERANCE = 1e-4

# Without the extra


@pytest.fixture
def deberta(tmp_path: Path) -> Path:
    """A folder that says it is a DeBERTa."""
    return write_checkpoint(tmp_path / "deberta", config=bert_config() | {"model_type": "deberta-v2"})


def edge_qa(*arguments: str, blocked: tuple[str, ...] = (), home: Path | None = None) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own, where the `blocked` packages are not installed."""
    code = (
        "import sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        f"sys.argv = {['edge-qa', *arguments]!r}\n"
        "from edge_qa.cli import main; main()"
    )
    environment = {} if home is None else {"env": {"HOME": str(home), "PATH": "/usr/bin:/bin"}}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, **environment)


def test_an_architecture_without_a_module_is_refused_with_the_way_out(deberta, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        convert(deberta, tmp_path / "bundle")
    message = str(caught.value)
    assert message.startswith(f"{deberta}/config.json: model_type 'deberta-v2' is not supported natively")
    assert all(name in message for name in FAMILIES)
    assert "`torch` exports others" in message
    assert "\n" not in message
    assert not (tmp_path / "bundle").exists()


def test_torch_that_is_not_installed_is_named_with_the_line_that_installs_it(deberta, tmp_path):
    result = edge_qa("convert", str(deberta), str(tmp_path / "bundle"), "--torch", blocked=("torch",))
    assert result.returncode == 2
    wanted = "pip install 'edge-qa[torch]'"
    assert result.stderr == f"error: torch is not installed; {wanted} brings it\n"
    assert result.stdout == ""
    assert not (tmp_path / "bundle").exists()


def test_torch_is_not_needed_for_a_family_that_has_a_module(tmp_path):
    source = write_checkpoint(tmp_path / "bert")
    assert convert(source, tmp_path / "bundle", torch=True).manifest.lineage[0].tools.keys() == {
        "edge-qa",
        "openvino",
        "machine",
    }


def test_the_option_explains_itself():
    assert "--torch" in "".join(option.opts[0] for option in cli.get_command(None, "convert").params)  # type: ignore[arg-type]


# With it

WORDS = "the a of in who wrote what where when is was ada lovelace book london paris program engine first . , ?"
SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
PIECES = [*SPECIAL, *(f"▁{word}" for word in WORDS.split()), *"▁abcdefghijklmnopqrstuvwxyz.,?"]
SIZES: dict[str, Any] = {
    "vocab_size": len(PIECES),
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 70,
}
DEBERTA: dict[str, Any] = {
    **SIZES,
    "type_vocab_size": 0,
    "relative_attention": True,
    # Away from 70: the bucket of the last position but one is a float32 ceiling of exactly 1 * 3 there.
    "max_relative_positions": 128,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}
CONTEXT = "  Ada Lovelace wrote, in London,  the first program. The engine was in Paris?"


def make(folder: Path, kind: str, pair: str = "[CLS] $A [SEP] $B:1 [SEP]:1", **settings: Any) -> Any:
    """Write a seeded checkpoint whose matrices float16 holds exactly, and return its torch model."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**(settings or SIZES), attn_implementation="eager")
    model = getattr(transformers, f"{kind}ForQuestionAnswering")(config).eval()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.add_(torch.randn_like(tensor) * 0.2)
            if tensor.ndim > 1:
                tensor.copy_(tensor.half().float())
        head = getattr(model, "qa_outputs", None) or model.classifier
        head.weight.mul_(4)
    model.save_pretrained(folder)
    pieces = [(piece, 0.0 if index < 5 else -float(3 + 3 * (len(piece) == 1))) for index, piece in enumerate(PIECES)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


def padded(lengths: tuple[int, ...], types: int, seed: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    real = np.arange(max(lengths)) < np.array(lengths)[:, None]
    return {
        "input_ids": random.integers(5, len(PIECES), real.shape) * real,
        "attention_mask": real.astype(np.int64),
        "token_type_ids": random.integers(0, max(1, types), real.shape) * real,
        "position_ids": np.broadcast_to(np.arange(max(lengths)), real.shape),
    }


def worst_difference(engine: Engine, model: Any, lengths: tuple[int, ...]) -> float:
    """The largest difference from torch, which is given no positions, relative to max(1, largest |logit|)."""
    import torch

    inputs = padded(lengths, engine.model.token_types)
    roles = INPUT_ROLES[: 3 if engine.model.token_types else 2]
    with torch.no_grad():
        output = model(**{role: torch.from_numpy(inputs[role]) for role in roles})
    real, worst = inputs["attention_mask"] == 1, 0.0
    for got, logits in zip(engine.run(inputs), (output.start_logits, output.end_logits), strict=True):
        wanted = logits.numpy()[real]
        assert np.abs(wanted).max() > 0.5
        worst = max(worst, float(np.abs(got[real] - wanted).max() / max(1, np.abs(wanted).max())))
    return worst


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Any]:
    """A tiny DeBERTa-v2: its checkpoint, its bundle, its torch model."""
    folder = tmp_path_factory.mktemp("foreign")
    model = make(folder / "deberta", "DebertaV2", **DEBERTA)
    return folder / "deberta", convert(folder / "deberta", folder / "bundle", torch=True).path, model


@pytest.mark.torch
@pytest.mark.parametrize("lengths", [(1,), (7,), (21,), (22,), (70,), (5, 70), (33, 12), (40, 40), (64, 3, 29)])
def test_the_export_holds_for_every_length_and_batch(exported, lengths):
    _, bundle, model = exported
    assert worst_difference(Engine(Bundle.load(bundle)), model, lengths) <= TOLERANCE


@pytest.mark.torch
def test_the_export_keeps_the_contract(exported):
    from edge_qa._openvino import ov, this_core

    _, bundle, model = exported

    loaded = Bundle.load(bundle)
    graph = this_core().read_model(loaded.model_xml, ov.Tensor(loaded.model_bin))
    assert [port.get_names() for port in graph.inputs] == [{role} for role in INPUT_ROLES]
    assert all(port.get_element_type() == ov.Type.i64 for port in graph.inputs)
    assert all(port.get_partial_shape() == ov.PartialShape([-1, -1]) for port in graph.inputs)
    assert [port.get_names() >= {role} for port, role in zip(graph.outputs, OUTPUT_ROLES, strict=True)] == [True] * 2
    record = loaded.manifest.model
    assert (record.family, record.layers, record.hidden) == ("deberta-v2", 2, 24)
    assert (record.heads, record.ffn_widths) == (None, None)
    assert (record.vocabulary, record.token_types, record.longest_input) == (len(PIECES), 0, 70)
    step = loaded.manifest.lineage[0]
    assert (step.recipe, step.options) == ("convert", {"through": "torch"})
    assert {"torch", "transformers", "openvino"} <= step.tools.keys()
    # Every matrix is there once, in float16; what DeBERTa computes of its positions alone is folded, in float32.
    matrices = [tensor.numel() for tensor in model.parameters() if tensor.ndim > 1]
    halves = [
        int(np.prod(node.get_output_shape(0)))
        for node in graph.get_ops()
        if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f16
    ]
    assert sum(halves) == sum(matrices) - model.deberta.encoder.rel_embeddings.weight.numel()


@pytest.mark.torch
def test_the_bundle_answers_as_the_pipeline_of_transformers(exported):
    import transformers

    source, bundle, model = exported
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(source / "tokenizer.json"), pad_token="<pad>", cls_token="[CLS]", sep_token="[SEP]"
    )
    ask = transformers.pipeline("question-answering", model=model, tokenizer=tokenizer, device="cpu")
    qa = QuestionAnswerer.load(bundle)
    for question in ("Who wrote the first program?", "Where was the engine?", "What is in London?"):
        wanted = ask(question=question, context=CONTEXT, align_to_words=False, max_seq_len=70, max_answer_len=8)
        answer = qa.answer(question, CONTEXT, max_answer_len=8)
        text = CONTEXT[wanted["start"] : wanted["end"]]
        assert answer.text == text.strip()
        assert answer.start == wanted["start"] + len(text) - len(text.lstrip())
        assert CONTEXT[answer.start : answer.end] == answer.text
        assert answer.score == pytest.approx(wanted["score"], rel=1e-3)


@pytest.mark.torch
def test_the_same_checkpoint_gives_the_same_bytes(exported, tmp_path):
    source, bundle, _ = exported
    convert(source, tmp_path / "again", torch=True)
    for name in ("model.xml", "model.bin", "bundle.json"):
        digests = [hashlib.sha256((folder / name).read_bytes()).digest() for folder in (bundle, tmp_path / "again")]
        assert digests[0] == digests[1], name


@pytest.mark.torch
def test_the_command_says_what_it_did_and_leaves_the_home_folder_alone(exported, tmp_path):
    source, _, _ = exported
    home = tmp_path / "home"
    home.mkdir()
    result = edge_qa("convert", str(source), str(tmp_path / "bundle"), "--torch", "--json", home=home)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    printed = json.loads(result.stdout)
    assert printed["verification"]["difference"] <= TOLERANCE
    assert printed["verification"]["rounding"] == 0  # float16 holds this checkpoint exactly
    # OpenVINO's telemetry would have written here, and posted to a server.
    assert list(home.rglob("*")) == []


@pytest.mark.torch
@pytest.mark.parametrize(
    ("kind", "settings", "pair", "token_types", "longest"),
    [
        # Positions counted from behind the padding row, no token types.
        ("MPNet", SIZES, "[CLS] $A [SEP] [SEP] $B [SEP]", 0, 68),
        # Token types.
        ("SqueezeBert", {**SIZES, "embedding_size": 24}, "[CLS] $A [SEP] $B:1 [SEP]:1", 2, 70),
        ("ModernBert", {**SIZES, "pad_token_id": 0, "local_attention": 8}, "[CLS] $A [SEP] $B [SEP]", 0, 70),
    ],
)
def test_other_architectures(kind, settings, pair, token_types, longest, tmp_path):
    model = make(tmp_path / kind, kind, pair, **settings)
    bundle = convert(tmp_path / kind, tmp_path / "bundle", torch=True).path
    engine = Engine(Bundle.load(bundle))
    assert (engine.model.token_types, engine.model.longest_input) == (token_types, longest)
    for lengths in ((6,), (longest,), (30, 11)):
        assert worst_difference(engine, model, lengths) <= TOLERANCE
    answer = QuestionAnswerer.load(bundle).answer("Who wrote the first program?", CONTEXT)
    assert CONTEXT[answer.start : answer.end] == answer.text != ""


@pytest.mark.torch
def test_segments_without_a_table_are_counted_from_the_tokenizer(tmp_path):
    """XLNet: no positions to run out of, three kinds of segments, the classification token at the end."""
    sizes = {"vocab_size": len(PIECES), "d_model": 24, "n_layer": 2, "n_head": 3, "d_inner": 40}
    pytest.importorskip("transformers")
    import transformers

    transformers.XLNetForQuestionAnswering = transformers.XLNetForQuestionAnsweringSimple
    model = make(tmp_path / "xlnet", "XLNet", "$A:0 [SEP]:0 $B:1 [SEP]:1 [CLS]:2", **sizes)
    engine = Engine(Bundle.load(convert(tmp_path / "xlnet", tmp_path / "bundle", torch=True).path))
    assert (engine.model.token_types, engine.model.longest_input) == (3, 512)
    assert worst_difference(engine, model, (44, 13)) <= TOLERANCE


@pytest.mark.torch
@pytest.mark.parametrize(
    ("kind", "settings", "reason"),
    [
        ("FNet", {name: SIZES[name] for name in SIZES if "heads" not in name}, "takes no attention mask"),
        (
            "Funnel",
            {"vocab_size": len(PIECES), "block_sizes": [1, 1], "d_model": 24, "n_head": 3, "d_head": 8, "d_inner": 40},
            "operation AvgPool",
        ),
        (
            "Bart",
            {
                "vocab_size": len(PIECES),
                "d_model": 24,
                "encoder_layers": 1,
                "decoder_layers": 1,
                "encoder_attention_heads": 3,
                "decoder_attention_heads": 3,
                "encoder_ffn_dim": 40,
                "decoder_ffn_dim": 40,
            },
            "Conversion is failed for",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(kind, settings, reason, tmp_path):
    make(tmp_path / kind, kind, **settings)
    level = logging.getLogger().level
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / kind, tmp_path / "bundle", torch=True)
    assert logging.getLogger().level == level
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / kind}: {kind.lower()} cannot be exported through transformers (")
    assert reason in message
    assert "\n" not in message
    assert sorted(path.name for path in tmp_path.iterdir()) == [kind]


@pytest.mark.torch
def test_all_problems_of_the_weights_are_reported_at_once(exported, tmp_path):
    from safetensors.numpy import load_file, save_file

    source, _, _ = exported
    folder = tmp_path / "broken"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_bytes((source / name).read_bytes())
    tensors = load_file(source / "model.safetensors")
    del tensors["qa_outputs.weight"]
    tensors["deberta.encoder.layer.1.output.dense.bias"] = np.zeros(7, np.float32)
    tensors["deberta.encoder.layer.0.output.dense.bias"][3] = np.nan
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError) as caught:
        convert(folder, tmp_path / "bundle", torch=True)
    message = str(caught.value)
    assert "qa_outputs.weight: missing" in message
    assert "deberta.encoder.layer.1.output.dense.bias: got 7, wanted 24" in message
    assert "deberta.encoder.layer.0.output.dense.bias: holds values that are NaN" in message
    assert "\n" not in message


@pytest.mark.torch
def test_code_that_came_with_a_checkpoint_is_not_run(exported, tmp_path):
    source, _, _ = exported
    folder = tmp_path / "remote"
    folder.mkdir()
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((source / "config.json").read_text())
    config |= {"model_type": "homemade", "auto_map": {"AutoConfig": "own.C", "AutoModelForQuestionAnswering": "own.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nC = M = None\n")
    with pytest.raises(CheckpointError, match="transformers cannot load it") as caught:
        convert(folder, tmp_path / "bundle", torch=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()
