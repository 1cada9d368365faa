"""What a manifest may say of budgets, and numbers and names that no manifest holds."""

import json
from dataclasses import replace

import pytest

from converters.token_budgets.token_dropping import Keep
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import Budget
from edge_qa.errors import BundleError
from tests.support.budgets import bundle_with_budgets
from tests.support.tiny import tiny_bundle


@pytest.fixture
def path(tmp_path):
    source = tiny_bundle(tmp_path)
    layers = Bundle.load(source).manifest.model.layers
    return bundle_with_budgets(source, tmp_path / "budgets", {"fast": Keep((0.5,) * layers)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep": ()}, "shares, none rising"),
        ({"keep": (0.5, 1.0)}, "shares, none rising"),
        ({"keep": (5.0, 5.0)}, "shares, none rising"),
        ({"step": 0}, "step: got 0"),
        ({"model": "tokenizer.json"}, "no name and model of a budget"),
    ],
    ids=str,
)
def test_a_budget_that_cannot_be_is_refused(path, change, message):
    manifest = Bundle.load(path).manifest
    made = Budget(**(manifest.budgets["fast"].__dict__ | change))
    rewrite(path, manifest, {"fast": made})
    with pytest.raises(BundleError, match=message):
        Bundle.load(path)


@pytest.mark.parametrize("name", ["", "a\n\x1b[31mRED", "full"])
def test_a_budget_with_such_a_name_is_refused(path, name):
    manifest = Bundle.load(path).manifest
    rewrite(path, manifest, {name: manifest.budgets["fast"]})
    with pytest.raises(BundleError, match="budgets"):
        Bundle.load(path)


def rewrite(path, manifest, budgets):
    """Write the manifest with other budgets and the digest that belongs to them."""
    changed = replace(manifest, budgets=budgets)
    changed = replace(changed, digest=changed.compute_digest())
    (path / "bundle.json").write_bytes(changed.to_bytes())


@pytest.mark.parametrize("value", ["NaN", "1e999", "1" * 401])
def test_a_number_without_a_value_is_no_internal_error(path, value):
    text = (path / "bundle.json").read_text()
    assert '"f1": 80.5' in text
    (path / "bundle.json").write_text(text.replace('"f1": 80.5', f'"f1": {value}'))
    with pytest.raises(BundleError):
        Bundle.load(path)


def test_half_a_character_is_no_internal_error(path):
    content = json.loads((path / "bundle.json").read_text())
    content["model"]["licence"] = "\ud800"
    (path / "bundle.json").write_text(json.dumps(content, indent=1))
    with pytest.raises(BundleError):
        Bundle.load(path)


def test_a_step_by_its_earlier_name_is_read_as_it_stands(path):
    manifest = Bundle.load(path).manifest
    step = replace(manifest.lineage[-1], recipe="search-lengths")
    rewrite(path, replace(manifest, lineage=(*manifest.lineage, step)), manifest.budgets)
    assert Bundle.load(path).manifest.lineage[-1].recipe == "search-lengths"
