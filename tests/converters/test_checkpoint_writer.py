"""Encoders written back as checkpoints: read again to the same, and loaded by transformers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.checkpoint_writer import write_checkpoint
from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.families import read_encoder
from converters.model.compaction import compact
from converters.model.encoder import Encoder, Linear, named_arrays
from converters.verification.reference import reference_logits
from edge_qa.bundle.manifest import INPUT_ROLES
from edge_qa.errors import CheckpointError, InputError
from tests.support.checkpoints import VOCABULARY, bert_config, bert_tensors
from tests.support.checkpoints import write_checkpoint as write_source
from tests.support.places import GOLDEN_FILES

PRUNED = GOLDEN_FILES / "pruned_bert"
LAYERS = 3


def source_of(folder: Path, family: str = "bert") -> Checkpoint:
    """A checkpoint of the family whose layer 0 loses heads 1 and 3, layer 1 all heads, layer 2 its whole FFN.

    The feed-forward widths that compaction leaves are 40, 48 and 0.
    """
    tensors = bert_tensors(layers=LAYERS)
    first, second, third = (f"bert.encoder.layer.{layer}" for layer in range(LAYERS))
    tensors[f"{first}.attention.self.value.weight"][8:16] = 0
    tensors[f"{first}.attention.output.dense.weight"][:, 24:] = 0
    tensors[f"{first}.intermediate.dense.weight"][4:12] = 0
    tensors[f"{second}.attention.self.value.weight"][:] = 0
    tensors[f"{third}.output.dense.weight"][:] = 0
    config = bert_config(layers=LAYERS)
    if family == "roberta":
        tensors = {name.replace("bert.", "roberta."): array for name, array in tensors.items()}
        types = "roberta.embeddings.token_type_embeddings.weight"
        tensors[types] = tensors[types][:1]
        config |= {"model_type": "roberta", "type_vocab_size": 1, "pad_token_id": 1, "tokenizer_class": "BertTokenizer"}
    elif family == "electra":
        tensors = {name.replace("bert.", "electra."): array for name, array in tensors.items()}
        random = np.random.default_rng(1)
        for name in [name for name in tensors if "embeddings" in name]:
            tensors[name] = np.ascontiguousarray(tensors[name][..., :16])
        tensors["electra.embeddings_project.weight"] = random.normal(0, 0.4, (32, 16)).astype(np.float32)
        tensors["electra.embeddings_project.bias"] = random.normal(0, 0.1, 32).astype(np.float32)
        config |= {"model_type": "electra", "embedding_size": 16}
    elif family == "distilbert":
        names = {
            "bert.encoder.layer": "distilbert.transformer.layer",
            "bert.": "distilbert.",
            "attention.self.query": "attention.q_lin",
            "attention.self.key": "attention.k_lin",
            "attention.self.value": "attention.v_lin",
            "attention.output.dense": "attention.out_lin",
            "attention.output.LayerNorm": "sa_layer_norm",
            "intermediate.dense": "ffn.lin1",
            "output.dense": "ffn.lin2",
            "output.LayerNorm": "output_layer_norm",
        }
        del tensors["bert.embeddings.token_type_embeddings.weight"]
        for old, new in names.items():
            tensors = {
                name if name.startswith("distilbert.") and old == "bert." else name.replace(old, new): array
                for name, array in tensors.items()
            }
        config = {
            "model_type": "distilbert",
            "dim": 32,
            "n_heads": 4,
            "n_layers": LAYERS,
            "hidden_dim": 48,
            "activation": "gelu",
            "max_position_embeddings": 64,
            "vocab_size": len(VOCABULARY),
            "pad_token_id": 0,
            "sinusoidal_pos_embds": False,
        }
    return read_checkpoint(write_source(folder, tensors=tensors, config=config))


FAMILIES = ("bert", "roberta", "electra", "distilbert")


def inputs_of(encoder: Encoder, tokens: int = 11) -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    real = np.arange(tokens) < np.array([[tokens], [6]])
    return {
        "input_ids": np.where(real, random.integers(5, encoder.vocabulary, real.shape), 0),
        "attention_mask": real.astype(np.int64),
        "token_type_ids": ((np.arange(tokens) >= 4) & real & (encoder.token_types > 1)).astype(np.int64),
        "position_ids": np.tile(np.arange(tokens), (2, 1)),
    }


def assert_same(got: Encoder, wanted: Encoder) -> None:
    """Every array, and everything beside the arrays."""
    arrays, others = dict(named_arrays(got)), dict(named_arrays(wanted))
    assert arrays.keys() == others.keys()
    assert [name for name in others if not np.array_equal(arrays[name], others[name])] == []
    assert [name for name in others if arrays[name].dtype != others[name].dtype] == []
    assert (got.family, got.activation) == (wanted.family, wanted.activation)
    assert got.embeddings.position_offset == wanted.embeddings.position_offset
    for a, b in zip(got.layers, wanted.layers, strict=True):
        assert (a.attention.heads, a.attention.scale) == (b.attention.heads, b.attention.scale)
        assert a.attention_norm.epsilon == b.attention_norm.epsilon


@pytest.mark.parametrize("family", FAMILIES)
def test_a_compacted_encoder_is_read_back_as_it_was(tmp_path, family):
    source = source_of(tmp_path / "source", family)
    encoder = compact(read_encoder(source))
    assert [layer.attention.heads for layer in encoder.layers] == [2, 0, 4]
    assert [layer.feed_forwards[0].width for layer in encoder.layers] == [40, 48, 0]
    written = read_checkpoint(write_checkpoint(encoder, tmp_path / "written", source=source))
    assert_same(compact(read_encoder(written)), encoder)
    # As it lies there, with its fillings, it computes the same too.
    inputs = inputs_of(encoder)
    for got, wanted in zip(
        reference_logits(read_encoder(written), inputs), reference_logits(encoder, inputs), strict=True
    ):
        np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert written.tokenizer == source.tokenizer


def test_the_configuration_says_what_transformers_needs(tmp_path):
    source = source_of(tmp_path / "source")
    folder = write_checkpoint(compact(read_encoder(source)), tmp_path / "written", source=source)
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForQuestionAnswering"]
    assert config["num_attention_heads"] == 4
    assert config["intermediate_size"] == 48
    # The last heads, where nobody knows which; the layer without heads keeps one of zeros.
    assert config["pruned_heads"] == {"0": [2, 3], "1": [1, 2, 3]}
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_the_original_numbers_of_heads_are_kept_where_they_are_known(tmp_path):
    source = read_checkpoint(PRUNED)
    encoder = read_encoder(source)
    written = write_checkpoint(encoder, tmp_path / "same", source=source)
    assert json.loads((written / "config.json").read_text())["pruned_heads"] == {"0": [1, 3], "1": [0]}
    # Head 1 of what is left of layer 1 is the original head 2.
    attention = encoder.layers[1].attention
    keep = np.r_[0:8, 16:24]
    rows = {
        part: Linear(getattr(attention, part).weight[keep], getattr(attention, part).bias[keep])
        for part in ("query", "key", "value")
    }
    output = Linear(attention.output.weight[:, keep], attention.output.bias)
    layer = replace(encoder.layers[1], attention=replace(attention, heads=2, output=output, **rows))
    fewer = replace(encoder, layers=(encoder.layers[0], layer))
    written = write_checkpoint(fewer, tmp_path / "known", source=source, dropped_heads={1: [2]})
    assert json.loads((written / "config.json").read_text())["pruned_heads"] == {"0": [1, 3], "1": [0, 2]}
    written = write_checkpoint(fewer, tmp_path / "unknown", source=source)
    assert json.loads((written / "config.json").read_text())["pruned_heads"] == {"0": [1, 3], "1": [0, 3]}
    assert_same(read_encoder(read_checkpoint(written)), fewer)


def test_no_norm_and_relu_survive(tmp_path):
    config = bert_config(hidden_act="relu", layer_norm_type="no_norm")
    source = read_checkpoint(write_source(tmp_path / "source", config=config))
    encoder = read_encoder(source)
    again = read_encoder(read_checkpoint(write_checkpoint(encoder, tmp_path / "written", source=source)))
    assert_same(again, encoder)
    assert again.activation == "relu"
    assert again.embeddings.norm.epsilon is None


def test_the_card_and_the_licence_go_along(tmp_path):
    folder = tmp_path / "source"
    write_source(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# A model\n")
    (folder / "LICENSE").write_text("Do as you like.\n")
    source = read_checkpoint(folder)
    written = write_checkpoint(read_encoder(source), tmp_path / "written", source=source)
    assert read_checkpoint(written).card == source.card
    assert "Do as you like." in (written / "README.md").read_text()


def test_an_existing_folder_is_kept(tmp_path):
    source = source_of(tmp_path / "source")
    encoder = read_encoder(source)
    (tmp_path / "written").mkdir()
    (tmp_path / "written" / "mine").write_text("")
    with pytest.raises(InputError, match="already exists"):
        write_checkpoint(encoder, tmp_path / "written", source=source)
    with pytest.raises(InputError, match="this folder holds mine"):
        write_checkpoint(encoder, tmp_path / "written", source=source, force=True)
    assert [path.name for path in (tmp_path / "written").iterdir()] == ["mine"]
    (tmp_path / "written" / "mine").unlink()
    for _ in range(2):  # onto an empty folder, then onto a checkpoint
        write_checkpoint(encoder, tmp_path / "written", source=source, force=True)
    assert_same(read_encoder(read_checkpoint(tmp_path / "written")), encoder)


def test_what_the_format_cannot_hold_is_refused(tmp_path):
    source = source_of(tmp_path / "source")
    encoder = read_encoder(source)
    first = encoder.layers[0]
    narrow = replace(first.attention, heads=8)
    cases = {
        "family 'mobilebert' cannot be written": replace(encoder, family="mobilebert"),
        "layer 0: heads of size 4, wanted 8.*layer 0: 8 heads": replace(
            encoder, layers=(replace(first, attention=narrow), *encoder.layers[1:])
        ),
        "layer 0: scores scaled by 0.5": replace(
            encoder, layers=(replace(first, attention=replace(first.attention, scale=0.5)), *encoder.layers[1:])
        ),
        "layer 0: a bottleneck or 2 feed-forward blocks": replace(
            encoder, layers=(replace(first, feed_forwards=first.feed_forwards * 2), *encoder.layers[1:])
        ),
        "norms of different epsilons": replace(
            encoder, layers=(replace(first, attention_norm=replace(first.attention_norm, epsilon=None)),)
        ),
        "positions from 2 on, wanted 0": replace(encoder, embeddings=replace(encoder.embeddings, position_offset=2)),
    }
    for message, case in cases.items():
        with pytest.raises(CheckpointError, match=message):
            write_checkpoint(case, tmp_path / "written", source=source)
        assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.torch
@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_loads_it_and_computes_the_same(tmp_path, family):
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    source = source_of(tmp_path / "source", family)
    encoder = compact(read_encoder(source))
    folder = write_checkpoint(encoder, tmp_path / "written", source=source)
    inputs = inputs_of(encoder)
    wanted = reference_logits(read_encoder(source), inputs)
    model, info = transformers.AutoModelForQuestionAnswering.from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert not info["mismatched_keys"]
    # RoBERTa counts positions from its padding on, by the ids: they are left to it.
    given = {role: inputs[role] for role in INPUT_ROLES if role != "position_ids"}
    if family == "roberta":
        given["input_ids"] = np.where(inputs["attention_mask"] == 1, given["input_ids"], 1)
    if family == "distilbert":
        del given["token_type_ids"]
    with torch.no_grad():
        output = model.eval()(**{name: torch.from_numpy(array) for name, array in given.items()})
    real = inputs["attention_mask"] == 1
    for got, logits in zip((output.start_logits, output.end_logits), wanted, strict=True):
        assert np.abs(got.numpy() - logits)[real].max() / max(1, np.abs(logits[real]).max()) <= 1e-4
