"""edge-qa inspect: what a bundle or a checkpoint holds."""

import os
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MANIFEST_NAME, Budget, ConfidenceRecord, Manifest, ScoreRecord, Step
from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH
from edge_qa.errors import missing_extra

# Looking at weights belongs to the packages of a workstation. It is loaded when it is asked for, so
# that a device with the four core packages inspects its bundles.
_WEIGHTS = "converters.cli.inspect"


@click.command()
@click.argument("path", type=PATH)
@click.option(
    "--tensors",
    is_flag=True,
    help="Show the shape, the zeros and the block pattern of every matrix; only layers are shown by default.",
)
@click.option(
    "--html",
    "page",
    type=PATH,
    metavar="FILE",
    help="Write a page with pictures of the weights to this file; none by default.",
)
@click.option(
    "--against",
    type=PATH,
    metavar="BUNDLE",
    help="Check that every zero weight of this bundle is zero in PATH, too; not checked by default.",
)
@click.option(
    "--mask-method",
    metavar="NAME",
    help="Read the mask scores of a raw training checkpoint by this method, as convert does; as the "
    "checkpoint says by default.",
)
@click.option(
    "--mask-threshold",
    type=float,
    help="Use this threshold for the mask scores of a raw training checkpoint, as convert does; as the "
    "checkpoint says by default.",
)
@click.option(
    "--mask-bias/--no-mask-bias",
    default=None,
    help="Say whether a row of a raw training checkpoint that is masked as a whole loses its bias, too, as "
    "for convert; as the checkpoint says by default.",
)
@click.option("--force", is_flag=True, help="Replace the page if it exists; it is refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead of text.")
def inspect(
    path: Path,
    tensors: bool,
    page: Path | None,
    against: Path | None,
    mask_method: str | None,
    mask_threshold: float | None,
    mask_bias: bool | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show what PATH holds, a bundle or a checkpoint.

    Every byte of a bundle is checked. Of a checkpoint, and of a bundle with --tensors or --html, the
    weights are looked at: which heads and neurons are left, where the zeros lie, what they are worth.
    --against compares an INT8 bundle, weight by weight, with the one that it was made from; a zero
    that was lost makes the exit code 1.
    """
    masks = {"mask_method": mask_method, "mask_threshold": mask_threshold, "mask_bias": mask_bias}
    bundle = None if _is_checkpoint(path) else Bundle.load(path)
    if bundle is not None and any(value is not None for value in masks.values()):
        raise click.UsageError("the --mask options belong to raw checkpoints, and PATH is a bundle")
    if bundle is None and against is not None:
        raise click.UsageError("--against compares bundles, and PATH is a checkpoint")
    shown = None
    if bundle is None or tensors or page is not None or against is not None:
        earlier = None if against is None else Bundle.load(against)
        shown = _look_at_weights()(path, bundle, tensors=tensors, page=page, against=earlier, force=force, **masks)
    if as_json:
        manifest = asdict(bundle.manifest) if bundle else {"checkpoint": str(path)}
        echo_json(manifest | ({"weights": shown.data} if shown else {}))
    else:
        lines = describe(path, bundle.manifest) if bundle else []
        click.echo("\n".join([*lines, *(shown.lines if shown else ())]))
    if shown is not None and shown.lost_zeros:
        click.get_current_context().exit(1)


def _is_checkpoint(path: Path) -> bool:
    # Not Path.is_file: that raises where one may not look, and the bundle says it better.
    return os.path.isfile(path / "config.json") and not os.path.exists(path / MANIFEST_NAME)


def _look_at_weights() -> Any:
    """The function that looks at weights. Raises ResourceError if its packages are not installed."""
    try:
        return import_module(_WEIGHTS).look
    except ModuleNotFoundError as error:
        raise missing_extra(error, "convert") from None


def describe(path: Path, manifest: Manifest) -> list[str]:
    """The manifest for human eyes, a line a fact."""
    model, io = manifest.model, manifest.io
    shape = f"[{io.batch or 'any'}, {io.tokens or 'any'}]"
    inputs = ", ".join(f"{role} ({record.type})" for role, record in io.inputs.items())
    giga = model.multiply_adds_384 / 1e9
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
        ("matrix products", f"{2 * giga:.2f} GOps ({giga:.2f} G multiply-adds) at 384 tokens"),
        ("sparsity", f"{model.sparsity:.1%} of the matrix weights were zero when they were stored as floats"),
        ("precision", manifest.precision + (f", for CPUs: {manifest.target}" if manifest.target else "")),
        ("inputs", f"{inputs} {shape}"),
        ("licence", model.licence or "not stated"),
        ("languages", ", ".join(model.languages or ()) or "not stated"),
        ("defaults", ", ".join(f"{key} {value}" for key, value in asdict(manifest.defaults).items())),
    ]
    total = sum(record.bytes for record in manifest.files.values())
    facts += [("file", f"{name}  {record.bytes / 1e6:.2f} MB") for name, record in manifest.files.items()]
    facts.append(("total size", f"{total / 1e6:.2f} MB"))
    facts += [("budget", _budget(name, budget)) for name, budget in (manifest.budgets or {}).items()]
    facts += [("lineage", _step(step)) for step in manifest.lineage]
    facts.append(("confidence", _confidence(manifest.confidence)))
    documents = manifest.documents
    facts.append(("of documents", _confidence(None if documents is None else documents.confidence, " --documents")))
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


def _budget(name: str, budget: Budget) -> str:
    kept = " ".join(f"{share:.0%}" for share in budget.keep)
    f1 = "F1 not measured" if budget.f1 is None else f"F1 {budget.f1:.2f}"
    slower = budget.relative_latency
    latency = "latency not measured" if slower is None else f"{slower:.0%} of the full latency"
    return f"{name}: {f1}, {latency}; tokens kept by layer {kept} (ranked by {budget.rule})"


def _confidence(record: ConfidenceRecord | None, option: str = "") -> str:
    if record is None:
        return f"none; edge-qa calibrate-confidence{option} fits one"
    limit = record.limit
    at = f"; {limit.min_confidence:.2f} for at most {limit.false_answers:.0%} false answers" if limit else ""
    return f"expected calibration error {record.expected_calibration_error:.3f} on {record.dataset}{at}"


def _score(record: ScoreRecord) -> str:
    return (
        f"{record.dataset} ({record.metric}, {record.questions} questions): "
        f"exact match {record.exact_match:.2f}, F1 {record.f1:.2f}"
    )
