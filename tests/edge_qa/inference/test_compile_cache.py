"""A folder of compiled models makes a start faster and never changes an answer."""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edge_qa import QuestionAnswerer
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError, ResourceError
from edge_qa.inference.engine import Engine
from tests.support.tiny import tiny_bundle

HEADER = 4096


def logits(engine: Engine, *lengths: int) -> bytes:
    """The very bits of both outputs on seeded inputs of these lengths."""
    bits = b""
    for tokens in lengths:
        ids = np.random.default_rng(tokens).integers(0, engine.model.vocabulary, (1, tokens))
        roles = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        bits += b"".join(a.tobytes() for a in engine.run(roles | {"position_ids": np.arange(tokens)[None]}))
    return bits


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    folder = tmp_path / "compiled"
    folder.mkdir()
    return folder


def entry(cache: Path) -> Path:
    """The one file in the folder."""
    (path,) = cache.iterdir()
    return path


@pytest.mark.parametrize("fixture", ["fp16_bundle", "int8_bundle"])
def test_the_second_start_needs_no_model_and_gives_the_same_bits(fixture, request, cache, tmp_path):
    copy = shutil.copytree(request.getfixturevalue(fixture), tmp_path / "copy")
    plain = logits(QuestionAnswerer.load(copy).engine, 16, 64, 384)
    assert logits(QuestionAnswerer.load(copy, cache=cache).engine, 16, 64, 384) == plain
    (copy / "model.bin").unlink()  # it can only come from the cache now
    (copy / "model.xml").unlink()
    kept = QuestionAnswerer.load(copy, cache=cache)
    assert logits(kept.engine, 16, 64, 384) == plain
    assert kept.answer("Who wrote it?", "Ada Lovelace wrote it.").text == "Ada Lovelace"
    with pytest.raises(BundleError, match=r"model\.bin: missing"):
        QuestionAnswerer.load(copy)


def test_the_options_of_a_kept_model_are_those_asked_for(tiny, cache):
    for _ in range(2):
        compiled = Engine(Bundle.load(tiny), threads=1, cache=cache)._compiled
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
        assert compiled.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32
        assert compiled.get_property("NUM_STREAMS") == 1
    assert entry(cache)


def _other_openvino(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "edge_qa.inference.compile_cache.ov",
        SimpleNamespace(Core=ov.Core, Tensor=ov.Tensor, get_version=lambda: "2099.1"),
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda patch: patch.setattr("edge_qa.inference.compile_cache.__version__", "0.0.9"),
        _other_openvino,
        lambda patch: patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2"),
        lambda patch: patch.setattr(
            "edge_qa.inference.compile_cache.read_lines", lambda path: iter(["model name : Another CPU"])
        ),
        lambda patch: patch.setattr(
            "edge_qa.inference.compile_cache.read_lines", lambda path: iter(["Features : fp asimd"])
        ),
        lambda patch: patch.setattr("edge_qa.inference.compile_cache.platform.machine", lambda: "aarch64"),
    ],
    ids=["edge-qa", "openvino", "cap", "cpu", "flags", "machine"],
)
def test_another_version_or_cpu_has_its_own_entry(change: Callable[[pytest.MonkeyPatch], None], tiny, cache):
    Engine(Bundle.load(tiny), threads=1, cache=cache)
    with pytest.MonkeyPatch.context() as patch:
        change(patch)
        Engine(Bundle.load(tiny), threads=1, cache=cache)
    assert len(list(cache.iterdir())) == 2
    Engine(Bundle.load(tiny), threads=1, cache=cache)
    assert len(list(cache.iterdir())) == 2


def test_other_options_and_other_bundles_have_their_own_entries(tiny, cache, tmp_path):
    other = tiny_bundle(tmp_path, seed=1)
    for number, (bundle, options) in enumerate(
        [(tiny, {"threads": 1}), (tiny, {"threads": 2}), (tiny, {"threads": 1, "precision": "bf16"}), (other, {})]
    ):
        Engine(Bundle.load(bundle), cache=cache, **options)
        assert len(list(cache.iterdir())) == number + 1
    assert logits(Engine(Bundle.load(other), cache=cache), 32) == logits(Engine(Bundle.load(other)), 32)
    assert logits(Engine(Bundle.load(tiny), threads=1, cache=cache), 32) != logits(Engine(Bundle.load(other)), 32)


def test_a_bundle_in_which_only_a_weight_differs_is_another_bundle(tiny, cache):
    bundle = Bundle.load(tiny)
    Engine(bundle, cache=cache)
    forged = replace(bundle, manifest=replace(bundle.manifest, digest="0" * 64))
    Engine(forged, cache=cache)
    assert len(list(cache.iterdir())) == 2


def flip(place: int) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        damaged = bytearray(content)
        damaged[place] ^= 4
        return bytes(damaged)

    return damage


def forge(content: bytes) -> bytes:
    """Junk under a header that vouches for it."""
    header = json.loads(content[:HEADER])
    blob = b"junk" * 1000
    header |= {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    return json.dumps(header).encode().ljust(HEADER) + blob


def older(content: bytes) -> bytes:
    """An entry that was made by another OpenVINO and renamed."""
    header = json.loads(content[:HEADER])
    header["key"]["openvino"] = "2025.0"
    return json.dumps(header).encode().ljust(HEADER) + content[HEADER:]


@pytest.mark.parametrize(
    "damage",
    [
        flip(5),
        flip(HEADER - 1),
        flip(HEADER),
        flip(HEADER + 9000),
        flip(-1),
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:HEADER],
        lambda content: content[:100],
        lambda content: b"",
        lambda content: content + b"\0",
        lambda content: b"[" * HEADER + content[HEADER:],
        lambda content: b"null".ljust(HEADER) + content[HEADER:],
        forge,
        older,
    ],
    ids=[
        *("header", "padding", "first byte", "weights", "last byte", "half", "one byte short", "no model"),
        *("half a header", "empty", "one byte more", "nested", "null", "junk", "another version"),
    ],
)
def test_a_damaged_entry_is_made_again(damage: Callable[[bytes], bytes], tiny, cache, caplog):
    plain = logits(Engine(Bundle.load(tiny), cache=cache), 32)
    path = entry(cache)
    path.write_bytes(damage(path.read_bytes()))
    assert logits(Engine(Bundle.load(tiny), cache=cache), 32) == plain
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(path) in record.getMessage()
    assert "the model is compiled again" in record.getMessage()
    assert "\n" not in record.getMessage()
    caplog.clear()
    assert logits(Engine(Bundle.load(tiny), cache=cache), 32) == plain
    assert entry(cache) == path
    assert not caplog.records


def test_the_entry_of_another_bundle_is_not_believed(tiny, cache, tmp_path, caplog):
    other = Bundle.load(tiny_bundle(tmp_path, seed=1))
    Engine(other, cache=cache)
    theirs = entry(cache)
    content = theirs.read_bytes()
    theirs.unlink()
    Engine(Bundle.load(tiny), cache=cache)
    entry(cache).write_bytes(content)
    assert logits(Engine(Bundle.load(tiny), cache=cache), 32) == logits(Engine(Bundle.load(tiny)), 32)
    assert "made for something else" in caplog.text


def test_a_damaged_bundle_is_refused_where_it_is_read(tiny, cache, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    damaged = flip(100)((copy / "model.bin").read_bytes())
    (copy / "model.bin").write_bytes(damaged)
    with pytest.raises(BundleError, match=r"model\.bin: its bytes are not those that were written"):
        QuestionAnswerer.load(copy, cache=cache)
    assert not list(cache.iterdir())
    (copy / "tokenizer.json").write_bytes(flip(100)((copy / "tokenizer.json").read_bytes()))
    QuestionAnswerer.load(tiny, cache=cache)
    with pytest.raises(BundleError, match=r"tokenizer\.json: its bytes are not those"):
        QuestionAnswerer.load(copy, cache=cache)


def test_a_folder_that_is_none_is_an_error(tiny, tmp_path):
    with pytest.raises(ResourceError, match="nowhere: does not exist; create the folder for compiled models first"):
        QuestionAnswerer.load(tiny, cache=tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="file: is not a folder"):
        QuestionAnswerer.load(tiny, cache=tmp_path / "file")


def test_a_folder_that_takes_no_files_is_a_warning(tiny, caplog):
    plain = QuestionAnswerer.load(tiny).answer("who ?", "ada wrote a book .")
    assert QuestionAnswerer.load(tiny, cache="/proc/self").answer("who ?", "ada wrote a book .") == plain
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("/proc/self/")
    assert record.getMessage().endswith("; the compiled model is not kept")


def test_without_a_cache_nothing_is_written(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDGE_QA_CACHE", str(tmp_path))  # the command's, not the library's
    before = sorted(tiny.iterdir())
    QuestionAnswerer.load(tiny)
    assert sorted(tiny.iterdir()) == before
    assert not list(tmp_path.iterdir())
