"""edge-qa import."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH

if TYPE_CHECKING:
    from converters.importing.import_model import Import


@click.command("import")
@click.argument("model", type=PATH)
@click.argument("output", type=PATH)
@click.option("--tokenizer", type=PATH, help="Use this tokenizer.json; give it or --vocab.")
@click.option(
    "--vocab",
    type=PATH,
    help="Use this vocab.txt, one WordPiece token a line; give it or --tokenizer.",
)
@click.option("--cased", is_flag=True, help="Tell upper from lower case, with --vocab; text is lower-cased by default.")
@click.option(
    "--static",
    is_flag=True,
    help="Keep a fixed input length; by default other lengths are allowed where the model takes them.",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists; it is refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of text.")
def import_command(
    model: Path,
    output: Path,
    tokenizer: Path | None,
    vocab: Path | None,
    cased: bool,
    static: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Turn MODEL, an OpenVINO .xml with its .bin or an .onnx file, into the bundle OUTPUT.

    Inputs and outputs are found by their names, else by how the model uses them. The bundle is
    verified against the model itself before it is written.
    """
    from converters.importing.import_model import import_model  # here: --help must not need the extra

    begin = time.perf_counter()
    if (tokenizer is None) == (vocab is None):
        raise click.UsageError("give the model's tokenizer.json with --tokenizer, or its vocab.txt with --vocab")
    if cased and vocab is None:
        raise click.UsageError("--cased needs --vocab; a tokenizer.json says by itself what it does with case")
    result = import_model(
        model, output, tokenizer=tokenizer, vocab=vocab, lower_case=False if cased else None, static=static, force=force
    )
    seconds = time.perf_counter() - begin
    if as_json:
        echo_json(
            {
                "bundle": str(output),
                "seconds": round(seconds, 3),
                "format": result.format,
                "found": [asdict(found) for found in result.found],
                "notes": list(result.notes),
                "difference": result.difference,
                "manifest": asdict(result.manifest),
            }
        )
        return
    click.echo("\n".join(describe(output, result, seconds)))


def describe(output: Path, result: "Import", seconds: float) -> list[str]:
    """What was found and made, for human eyes."""
    manifest = result.manifest
    model, io = manifest.model, manifest.io
    size = sum(record.bytes for record in manifest.files.values()) / 1e6
    target = f" for CPUs: {manifest.target}" if manifest.target else ""
    layers = "an unknown number of" if model.layers is None else model.layers
    lines = [
        f"{output}: {result.format}, {layers} layers, {model.parameters / 1e6:.2f} M parameters, "
        f"{2 * model.multiply_adds_384 / 1e9:.2f} GOps at 384 tokens, {manifest.precision}{target}, {size:.1f} MB, "
        f"{seconds:.1f} s",
        f"takes batches of {io.batch or 'any size'}, inputs of {io.tokens or f'up to {model.longest_input}'} tokens",
    ]
    lines += [f"  {found.role}: {found.tensor} ({found.how})" for found in result.found]
    lines += [f"  note: {note}" for note in result.notes]
    return [*lines, f"verified: logits within {result.difference:.1e} of the model's own"]
