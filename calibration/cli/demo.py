"""edge-qa demo."""

from dataclasses import asdict
from pathlib import Path

import click

from calibration.cli.quantize import size_mb
from edge_qa.cli.app import echo_json
from edge_qa.cli.evaluate import table
from edge_qa.cli.parameters import PATH
from edge_qa.cli.progress import progress_bars, terminal


@click.command()
@click.option(
    "--checkpoint",
    type=PATH,
    help="Convert this checkpoint folder.  [default: the one that the project's checkout carries]",
)
@click.option(
    "--data",
    type=PATH,
    help="Calibrate and score on the questions of this file.  [default: those that the project's checkout carries]",
)
@click.option(
    "--folder",
    type=PATH,
    default=Path("demo"),
    show_default=True,
    help="Write the bundles fp16 and int8 into this folder.",
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=100, show_default=True, help="Calibrate on this many questions."
)
@click.option("--force", is_flag=True, help="Replace these bundles if they exist; they are refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of text.")
def demo(checkpoint: Path | None, data: Path | None, folder: Path, samples: int, force: bool, as_json: bool) -> None:
    """Convert a checkpoint, quantize it, score both and ask three questions; each step with its time."""
    from calibration.demo import demo as run_demo  # here: --help must not need the extra

    result = run_demo(
        folder,
        checkpoint=checkpoint,
        data=data,
        samples=samples,
        force=force,
        say=lambda line: click.echo(line, err=True),
        progress=progress_bars(),
        bars=terminal(),
    )
    before, after = result.quantization.before, result.quantization.after
    assert before is not None
    assert after is not None
    if as_json:
        echo_json(
            {
                "seconds": result.seconds,
                "verification": asdict(result.conversion.verification),
                "before": before.summary(),
                "after": after.summary(),
                "answers": [{"question": question, "answer": asdict(answer)} for question, answer in result.answers],
            }
        )
        return
    sizes = (size_mb(result.conversion.manifest), size_mb(result.quantization.manifest))
    click.echo(
        f"verified: logits within {result.conversion.verification.difference:.1e} of the reference\n"
        f"size: {sizes[0]:.1f} MB -> {sizes[1]:.1f} MB\n{table([before, after])}\n"
        "(the same questions calibrate and score, and the checkpoint never saw unanswerable ones: a smoke test)"
    )
    for question, answer in result.answers:
        click.echo(f"\n{question}\n  {answer.text}  ({answer.score:.1%})")
