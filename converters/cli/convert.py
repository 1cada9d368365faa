"""edge-qa convert."""

import time
from dataclasses import asdict
from pathlib import Path

import click

from converters.model.compaction import CompactionReport, Compatibility
from converters.pruned_checkpoints.mask_scores import MASK_METHODS
from edge_qa.cli.app import echo_json, in_options
from edge_qa.cli.parameters import PATH, finite


@click.command()
@click.argument("checkpoint")
@click.argument("output", type=PATH)
@click.option(
    "--hub",
    is_flag=True,
    help="Download CHECKPOINT, a model id of the Hugging Face hub; it is a local folder by default.",
)
@click.option("--revision", help="Download this branch, tag or commit with --hub; the main branch by default.")
@click.option(
    "--torch",
    is_flag=True,
    help="Export an architecture that is not read natively, such as DeBERTa, through PyTorch and "
    "transformers; torch is not used by default.",
)
@click.option(
    "--no-compact", is_flag=True, help="Keep heads and neurons that have no effect; they are removed by default."
)
@click.option(
    "--compat",
    type=click.Choice(["exact", "nn_pruning"]),
    default="exact",
    show_default=True,
    help="Remove only what has no effect (exact), or what the nn_pruning library removes, which changes the logits.",
)
@click.option(
    "--mask-method",
    type=click.Choice(MASK_METHODS),
    help="Turn the mask scores of a raw training checkpoint into masks by this method; as the checkpoint "
    "says by default.",
)
@click.option(
    "--mask-threshold",
    type=float,
    help="Use this threshold for mask scores, or this share to keep with topK; as the checkpoint says by default.",
)
@click.option(
    "--mask-bias/--no-mask-bias",
    default=None,
    help="Say whether a row that mask scores remove as a whole loses its bias, too; as the checkpoint says by default.",
)
@click.option(
    "--cased/--uncased",
    default=None,
    help="Whether a WordPiece vocabulary tells upper from lower case, where the checkpoint does not say so.",
)
@click.option(
    "--no-answer-threshold",
    type=float,
    callback=finite,
    metavar="MARGIN",
    help='Store this margin of logits, above which the bundle answers "none"; evaluate finds the best one. '
    "None is stored by default.",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists; it is refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of text.")
def convert(
    checkpoint: str,
    output: Path,
    hub: bool,
    revision: str | None,
    torch: bool,
    no_compact: bool,
    compat: Compatibility,
    mask_method: str | None,
    mask_threshold: float | None,
    mask_bias: bool | None,
    cased: bool | None,
    no_answer_threshold: float | None,
    force: bool,
    as_json: bool,
) -> None:
    """Turn CHECKPOINT, a folder of a question-answering model, into the bundle OUTPUT.

    The bundle is verified against an independent reference before it is written.
    """
    from converters.conversion import convert as run_conversion  # here: --help must not need the extra

    begin = time.perf_counter()
    if revision and not hub:
        raise click.UsageError("--revision needs --hub")
    if no_compact and compat != "exact":
        raise click.UsageError("--compat needs compaction; leave out --no-compact")
    source = Path(checkpoint)
    if hub:
        from converters.checkpoints.hub import download

        source = download(checkpoint, revision)
    result = run_conversion(
        source,
        output,
        torch=torch,
        compact=None if no_compact else compat,
        mask_method=mask_method,
        mask_threshold=mask_threshold,
        mask_bias=mask_bias,
        cased=cased,
        no_answer_threshold=no_answer_threshold,
        force=force,
    )
    seconds = time.perf_counter() - begin
    if as_json:
        echo_json(
            {
                "bundle": str(output),
                "seconds": round(seconds, 3),
                "verification": asdict(result.verification),
                "compaction": None if result.compaction is None else asdict(result.compaction),
                "notes": list(result.notes),
                "manifest": asdict(result.manifest),
            }
        )
        return
    model = result.manifest.model
    size = sum(record.bytes for record in result.manifest.files.values()) / 1e6
    if result.compaction is not None and result.compaction.changed:
        click.echo(_describe_compaction(result.compaction))
    for note in result.notes:
        click.echo(f"note: {in_options(note, click.get_current_context().command)}")
    click.echo(
        f"{output}: {model.family}, {model.layers} layers, {model.parameters / 1e6:.2f} M parameters, {size:.1f} MB, "
        f"{seconds:.1f} s\nverified: logits within {result.verification.difference:.1e} of the reference; "
        f"float16 storage changed them by {result.verification.rounding:.1e}"
    )


def _describe_compaction(report: CompactionReport) -> str:
    heads = sum(report.heads_before), sum(report.heads_after)
    neurons = sum(map(sum, report.ffn_widths_before)), sum(map(sum, report.ffn_widths_after))
    return (
        f"compacted: {heads[0]} -> {heads[1]} heads, {neurons[0]} -> {neurons[1]} neurons, "
        f"{report.parameters_before / 1e6:.2f} -> {report.parameters_after / 1e6:.2f} M parameters; "
        f"logits changed by {report.difference:.1e}"
    )
