"""edge-qa export."""

from pathlib import Path

import click

from converters.exporting.export import TARGETS
from converters.exporting.export import export as run_export
from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--for",
    "target",
    type=click.Choice(sorted(TARGETS)),
    required=True,
    help="Write for this server; edge-qa need be installed beside it where it is to take text.",
)
@click.option("--name", help="Name the model so; as the folder of BUNDLE by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def export(bundle: Path, output: Path, target: str, name: str | None, as_json: bool) -> None:
    """Write BUNDLE into the new folder OUTPUT in the layout that another server reads."""
    done = run_export(bundle, output, target=target, name=name)
    if as_json:
        echo_json({"output": str(done.path), "for": done.target, "name": done.name, "steps": list(done.steps)})
        return
    click.echo(f"{done.path}: written for {TARGETS[target].what}")
    for step in done.steps:
        click.echo(f"  {step}")
