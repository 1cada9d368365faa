"""edge-qa calibrate-confidence."""

from pathlib import Path

import click

from calibration.confidence.options import ConfidenceOptions
from edge_qa.bundle.manifest import ConfidenceRecord
from edge_qa.cli.app import echo_json
from edge_qa.cli.parameters import PATH, finite
from edge_qa.cli.progress import progress_bars

# Half of them fit and half check: with fewer the tables below are of a handful of answers.
_FEWEST_READS = 200


@click.command("calibrate-confidence")
@click.argument("bundle", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--data",
    required=True,
    type=PATH,
    help="Questions with answers of the kind that will be asked: a SQuAD file (.json, .json.gz) or JSON lines.",
)
@click.option(
    "--questions",
    type=click.IntRange(min=4),
    default=ConfidenceOptions.questions,
    show_default=True,
    help="Read this many, half of them to fit and half to check.",
)
@click.option(
    "--false-answers",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    callback=finite,
    default=ConfidenceOptions.false_answers,
    show_default=True,
    metavar="SHARE",
    help="Find the --min-confidence at which no more than this share of questions without an answer is answered.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draw the questions with this.")
@click.option(
    "--documents",
    type=click.IntRange(min=0),
    default=ConfidenceOptions.documents,
    show_default=True,
    metavar="QUESTIONS",
    help="Also fit the answers of ask --documents: ask this many of an index of all texts of the data, say 500.",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists; it is refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of tables.")
def calibrate_confidence(
    bundle: Path,
    output: Path,
    data: Path,
    questions: int,
    false_answers: float,
    seed: int,
    documents: int,
    force: bool,
    as_json: bool,
) -> None:
    """Fit how sure the answers of BUNDLE are, and write it as OUTPUT: its answers then have a confidence.

    Questions without an answer are needed; where the file has none, retrieval makes them from its own passages.
    """
    # Here: --help must not need the extra.
    from calibration.confidence.calibrate import calibrate_confidence as run_calibration

    result = run_calibration(
        bundle,
        output,
        data=data,
        options=ConfidenceOptions(questions, false_answers, seed, documents),
        force=force,
        progress=progress_bars(),
    )
    if as_json:
        echo_json(result.as_json())
        return
    click.echo(f"{output}: confidence fitted on {result.record.dataset}, {result.record.questions} reads")
    if result.record.questions < _FEWEST_READS:
        note = f"note: {result.record.questions} reads say little; give {_FEWEST_READS // 2} questions or more"
        click.echo(note, err=True)
    click.echo("\n".join(tables(result.record)))
    if documents and (found := result.manifest.documents) is not None:
        click.echo(
            f"\nanswers from documents, {found.passages} passages a question: rank = margin + "
            f"{found.closeness:.2f} closeness"
        )
        click.echo("\n".join(tables(found.confidence)))


def tables(record: ConfidenceRecord) -> list[str]:
    """Reliability, what is wrong at which confidence, and the limit for false answers, as lines."""
    lines = ["", "confidence  answers   says  is right"]
    lines += [
        f"{one.low:.1f} to {one.high:.1f}  {one.answers:7}  {one.confidence:5.1%}  {one.right:8.1%}"
        for one in record.reliability
    ]
    lines += [f"expected calibration error {record.expected_calibration_error:.3f}", ""]
    lines.append("--min-confidence  answered  of these wrong  right ones kept  false answers")
    lines += [
        f"{one.min_confidence:16.2f}  {one.answered:8.1%}  {one.wrong:14.1%}  {one.kept:15.1%}  "
        f"{one.false_answers:13.1%}"
        for one in record.levels
    ]
    limit = record.limit
    if limit is None:
        return [*lines, "too few questions without an answer for a limit of false answers"]
    return [
        *lines,
        f"--min-confidence {limit.min_confidence:.4f} answers at most {limit.false_answers:.0%} of the questions "
        f"without an answer on average, if they are like these {limit.questions}, and keeps {limit.kept:.1%} of the "
        "right answers",
    ]
