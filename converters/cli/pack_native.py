"""edge-qa pack-native."""

import time
from pathlib import Path

import click

from converters.native.bundle import pack_native as run_packing
from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH


@click.command("pack-native")
@click.argument("bundle", type=PATH)
@click.argument("output", type=PATH)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def pack_native(bundle: Path, output: Path, force: bool, as_json: bool) -> None:
    """Write OUTPUT, a copy of BUNDLE that the native engine runs without further ado.

    Weights are quantized, or keep their values where the bundle is quantized already; no data is needed.
    """
    begin = time.perf_counter()
    packed = run_packing(bundle, output, force=force)
    if as_json:
        echo_json({"bundle": str(output), "packed_bytes": packed.packed_bytes})
    else:
        click.echo(
            f"{output}: packed for the native engine, {packed.packed_bytes / 1e6:.1f} MB, "
            f"{time.perf_counter() - begin:.1f} s"
        )
