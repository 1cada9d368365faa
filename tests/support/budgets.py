"""Bundles with token-drop budgets, for tests of what reads them."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from converters.token_budgets.budgets import budget_files, budget_record
from converters.token_budgets.token_dropping import Keep
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import CARD, TOKENIZER, Manifest

_OWN = {"format", "digest", "files", "budgets"}


def bundle_with_budgets(source: Path, destination: Path, keeps: Mapping[str, Keep]) -> Path:
    """Write the bundle `source` again, with these budgets."""
    bundle = Bundle.load(source)
    with new_bundle(destination) as draft:
        for name, content in budget_files(bundle, keeps).items():
            draft.add(name, content)
        for name in (TOKENIZER, CARD):
            draft.add(name, bundle.contents[name].tobytes())
        parts = {field.name: getattr(bundle.manifest, field.name) for field in fields(Manifest)}
        records = {name: budget_record(name, keep, f1=80.5, relative_latency=0.75) for name, keep in keeps.items()}
        draft.seal(**{name: part for name, part in parts.items() if name not in _OWN}, budgets=records)
    return destination
