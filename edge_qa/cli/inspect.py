"""edge-qa inspect: what a bundle holds."""

from dataclasses import asdict
from pathlib import Path

import click

from edge_qa.bundle import Bundle
from edge_qa.cli.app import echo_json
from edge_qa.manifest import Manifest, ScoreRecord, Step


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
def inspect(bundle: Path, as_json: bool) -> None:
    """Check every byte of BUNDLE and show what it holds."""
    manifest = Bundle.load(bundle).manifest
    if as_json:
        echo_json(asdict(manifest))
    else:
        click.echo("\n".join(describe(bundle, manifest)))


def describe(path: Path, manifest: Manifest) -> list[str]:
    """The manifest for human eyes, a line a fact."""
    model, io = manifest.model, manifest.io
    shape = f"[{io.batch or 'any'}, {io.tokens or 'any'}]"
    inputs = ", ".join(f"{role} ({record.type})" for role, record in io.inputs.items())
    facts: list[tuple[str, str]] = [
        ("bundle", f"{path} (format {manifest.format}, every byte checked)"),
        ("family", model.family),
        ("layers", _known(model.layers)),
        ("hidden size", _known(model.hidden)),
        ("heads per layer", _series(model.heads)),
        ("FFN widths per layer", _series(None if model.ffn_widths is None else [_widths(w) for w in model.ffn_widths])),
        ("vocabulary", str(model.vocabulary)),
        ("longest input", f"{model.longest_input} tokens"),
        ("parameters", f"{model.parameters / 1e6:.2f} M"),
        ("matrix products", f"{2 * model.multiply_adds_384 / 1e9:.2f} GOps at 384 tokens"),
        ("sparsity", f"{model.sparsity:.1%} of the matrix weights are zero"),
        ("precision", manifest.precision + (f", for CPUs: {manifest.target}" if manifest.target else "")),
        ("inputs", f"{inputs} {shape}"),
        ("licence", model.licence or "not stated"),
        ("defaults", ", ".join(f"{key} {value}" for key, value in asdict(manifest.defaults).items())),
    ]
    total = sum(record.bytes for record in manifest.files.values())
    facts += [("file", f"{name}  {record.bytes / 1e6:.2f} MB") for name, record in manifest.files.items()]
    facts.append(("total size", f"{total / 1e6:.2f} MB"))
    facts += [("lineage", _step(step)) for step in manifest.lineage]
    facts += [("score", _score(record)) for record in manifest.scores] or [("score", "none recorded")]
    return [f"{name + ':':22}{value}" for name, value in facts]


def _known(value: int | None) -> str:
    return "not told by the model" if value is None else str(value)


def _widths(widths: tuple[int, ...]) -> str:
    return "+".join(map(str, widths))


def _series(values: tuple[int, ...] | list[str] | None) -> str:
    """12, 12, 12 as "12 each", anything else in full."""
    if values is None:
        return "not told by the model"
    words = [str(value) for value in values]
    return f"{words[0]} each" if len(set(words)) == 1 else " ".join(words)


def _step(step: Step) -> str:
    options = " ".join(f"{key}={value}" for key, value in step.options.items())
    tools = " ".join(f"{key} {value}" for key, value in step.tools.items())
    return f"{step.recipe} {options}{' ' if options else ''}of {step.source[:12]} ({tools})"


def _score(record: ScoreRecord) -> str:
    return (
        f"{record.dataset} ({record.metric}, {record.questions} questions): "
        f"exact match {record.exact_match:.2f}, F1 {record.f1:.2f}"
    )
