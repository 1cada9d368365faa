"""A manifest that promises more than the model's tables have: refused before the first question."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from converters.importing.import_model import import_model
from converters.ir.graph import build_graph
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError
from edge_qa.inference.engine import Engine
from tests.support.foreign_models import VOCAB, make_encoder, save, zoo_model
from tests.support.tiny import tiny_bundle


def promise(bundle: Path, folder: Path, **model: int) -> Bundle:
    """The bundle with another manifest, whose digest is right."""
    shutil.copytree(bundle, folder)
    manifest = Bundle.load(folder).manifest
    manifest = replace(manifest, model=replace(manifest.model, **model))
    manifest = replace(manifest, digest=manifest.compute_digest())
    (folder / "bundle.json").write_bytes(manifest.to_bytes())
    return Bundle.load(folder)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("tables"), positions=64)


@pytest.mark.parametrize("change", [{"longest_input": 65}, {"token_types": 3}, {"vocabulary": 10_000}])
def test_more_than_a_table_has_is_refused(bundle, tmp_path, change):
    ((key, value),) = change.items()
    with pytest.raises(BundleError, match=rf"manifest\.model\.{key}: got {value}, the model's table has rows for"):
        Engine(promise(bundle, tmp_path / "forged", **change))


def test_less_is_taken(bundle, tmp_path):
    assert Engine(promise(bundle, tmp_path / "short", longest_input=32))


def test_the_rows_before_the_first_position_do_not_count(tmp_path):
    # RoBERTa's first token has row 2 of the table.
    encoder = make_encoder(positions=40, position_offset=2)
    model = save(build_graph(encoder), tmp_path / "model.xml")
    bundle = import_model(model, tmp_path / "bundle", vocab=VOCAB).path
    assert Bundle.load(bundle).manifest.model.longest_input == 40
    with pytest.raises(BundleError, match=r"longest_input: got 41, the model's table has rows for 40"):
        Engine(promise(bundle, tmp_path / "forged", longest_input=41))


def test_a_model_without_positions_is_taken_at_its_word(tmp_path):
    model = save(zoo_model(make_encoder(), inputs=3), tmp_path / "model.xml")
    bundle = import_model(model, tmp_path / "bundle", vocab=VOCAB, static=True).path
    assert Engine(Bundle.load(bundle))
