"""edge-qa convert."""

import time
from dataclasses import asdict
from pathlib import Path

import click

from converters.convert import convert as run_conversion
from edge_qa.cli.app import echo_json


@click.command()
@click.argument("checkpoint")
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--hub", is_flag=True, help="CHECKPOINT is a model id of the Hugging Face hub; download it.")
@click.option("--revision", help="With --hub: branch, tag or commit to download.")
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def convert(checkpoint: str, output: Path, hub: bool, revision: str | None, force: bool, as_json: bool) -> None:
    """Turn CHECKPOINT, a folder of a question-answering model, into the bundle OUTPUT.

    The bundle is verified against an independent reference before it is written.
    """
    begin = time.perf_counter()
    if revision and not hub:
        raise click.UsageError("--revision needs --hub")
    source = Path(checkpoint)
    if hub:
        from converters.hub import download

        source = download(checkpoint, revision)
    result = run_conversion(source, output, force=force)
    seconds = time.perf_counter() - begin
    if as_json:
        echo_json(
            {
                "bundle": str(output),
                "seconds": round(seconds, 3),
                "verification": asdict(result.verification),
                "manifest": asdict(result.manifest),
            }
        )
        return
    model = result.manifest.model
    size = sum(record.bytes for record in result.manifest.files.values()) / 1e6
    click.echo(
        f"{output}: {model.family}, {model.layers} layers, {model.parameters / 1e6:.2f} M parameters, {size:.1f} MB, "
        f"{seconds:.1f} s\nverified: logits within {result.verification.difference:.1e} of the reference; "
        f"float16 storage changed them by {result.verification.rounding:.1e}"
    )
