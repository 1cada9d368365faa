"""Reading checkpoint folders."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from converters.checkpoints.checkpoint import read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from edge_qa.errors import CheckpointError
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint


def test_old_names_of_norms_are_read(tmp_path):
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in bert_tensors().items()
    }
    assert any(name.endswith("gamma") for name in old)
    read = read_checkpoint(write_checkpoint(tmp_path / "old", tensors=old)).tensors
    for name, array in bert_tensors().items():
        np.testing.assert_array_equal(read[name], array)


def test_shards_give_the_same_bundle(tmp_path):
    tensors = bert_tensors()
    whole = write_checkpoint(tmp_path / "whole")
    shards = write_checkpoint(tmp_path / "shards")
    (shards / "model.safetensors").unlink()
    index = {}
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names}, shards / file)
        index |= dict.fromkeys(names, file)
    (shards / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    made = [convert(folder, tmp_path / f"{folder.name}.bundle").path for folder in (whole, shards)]
    assert (made[0] / "model.bin").read_bytes() == (made[1] / "model.bin").read_bytes()


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision_is_read_exactly(tmp_path, kind):
    folder = write_checkpoint(tmp_path / kind)
    tensors = bert_tensors()
    if kind == "float16":
        halves = {name: array.astype(np.float16) for name, array in tensors.items()}
        wanted = {name: array.astype(np.float32) for name, array in halves.items()}
        save_file(halves, folder / "model.safetensors")
    else:
        # The upper half of each float32, written by hand: numpy has no bfloat16.
        upper = {name: array.view(np.uint32) >> np.uint32(16) for name, array in tensors.items()}
        wanted = {name: (bits << np.uint32(16)).view(np.float32) for name, bits in upper.items()}
        header, data = {}, b""
        for name, bits in upper.items():
            content = bits.astype("<u2").tobytes()
            header[name] = {
                "dtype": "BF16",
                "shape": list(bits.shape),
                "data_offsets": [len(data), len(data) + len(content)],
            }
            data += content
        text = json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    read = read_checkpoint(folder).tensors
    for name, array in wanted.items():
        np.testing.assert_array_equal(read[name].astype(np.float32), array)
    assert convert(folder, tmp_path / "bundle").verification.difference <= 1e-4


def test_safetensors_come_before_a_pickle(tmp_path):
    folder = write_checkpoint(tmp_path / "both")
    (folder / "pytorch_model.bin").write_bytes(b"not a pickle at all")
    assert read_checkpoint(folder).tensors.keys() == bert_tensors().keys()


def test_the_card_and_the_licence_travel_with_the_bundle(tmp_path):
    folder = write_checkpoint(tmp_path / "c")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (folder / "LICENSE").write_text("Permission is hereby granted")
    made = convert(folder, tmp_path / "bundle")
    card = (made.path / "README.md").read_text()
    assert "# A model" in card
    assert "Permission is hereby granted" in card
    assert made.manifest.model.licence == "mit"


@pytest.mark.parametrize(
    ("front", "licence"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: 'mit'  # as ever", "mit"),
        ("license:\nlanguage: en", None),
        ("license:\n- mit\n- apache-2.0", "mit"),
        ("license: [mit, apache-2.0]", "mit"),
        ("license: >\n  long words", None),
        ("language: en", None),
    ],
)
def test_the_licence_of_a_card(front, licence):
    from converters.bundle_writer import licence_of

    assert licence_of(f"---\n{front}\n---\n# Card\n") == licence
    assert licence_of(f"\ufeff---\n{front}\n---\n") == licence


def test_multiply_adds_are_those_of_384_tokens_whatever_the_model_takes(tmp_path):
    model = convert(write_checkpoint(tmp_path / "c"), tmp_path / "b").manifest.model
    assert model.longest_input == 64
    layer = 4 * 32 * 32 + 2 * 32 * 48
    assert model.multiply_adds_384 == 384 * (2 * layer + 2 * 32) + 2 * 2 * 384 * 384 * 32


def test_an_unreadable_file_is_about_permissions(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "c")
    opened = type(folder).open

    def refuse(path, *arguments, **named):
        if path.name == "model.safetensors":
            raise PermissionError(13, "Permission denied")
        return opened(path, *arguments, **named)

    monkeypatch.setattr(type(folder), "open", refuse)
    with pytest.raises(CheckpointError, match="Permission denied"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("gelu", "gelu"),
        ("gelu_new", "gelu_tanh"),
        ("gelu_pytorch_tanh", "gelu_tanh"),
        ("gelu_fast", "gelu_tanh"),
        ("relu", "relu"),
        ("silu", "silu"),
        ("swish", "silu"),
    ],
)
def test_the_names_of_activations(tmp_path, name, activation):
    folder = write_checkpoint(tmp_path / "c", config=bert_config() | {"hidden_act": name})
    assert read_encoder(read_checkpoint(folder)).activation == activation
