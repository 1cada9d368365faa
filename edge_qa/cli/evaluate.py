"""edge-qa evaluate: official scores and times of bundles on a data set."""

import json
from pathlib import Path

import click

from edge_qa.answerer import QuestionAnswerer
from edge_qa.cli.app import echo_json
from edge_qa.cli.language import language_option
from edge_qa.cli.options import budgets_option, engine_option, no_answer_option
from edge_qa.cli.parameters import PATH
from edge_qa.cli.progress import progress_bars
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.evaluate import Evaluation, metric_name, shown_name
from edge_qa.evaluation.evaluate import evaluate as run_evaluation
from edge_qa.files import check_file, write_file
from edge_qa.inference.engine_choice import EngineName
from edge_qa.system.machine import DISTURBED


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=PATH, metavar="BUNDLE...")
@click.option(
    "--data",
    required=True,
    type=PATH,
    help="Score on this SQuAD file (.json, .json.gz) or on these JSON lines.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Use this many questions, spread over the data; all by default.",
)
@language_option
@no_answer_option
@click.option(
    "--threads", type=click.IntRange(min=1), help="Use this many cores; all that this process may use by default."
)
@budgets_option
@engine_option
@click.option(
    "--predictions",
    type=PATH,
    help="Write the first bundle's answers to this file as JSON; they are not kept by default.",
)
@click.option("--force", is_flag=True, help="Replace the file of predictions if it exists; it is refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON instead of text.")
def evaluate(
    bundles: tuple[Path, ...],
    data: Path,
    limit: int | None,
    language: str | None,
    no_answer_threshold: float | None,
    threads: int | None,
    budgets: tuple[str, ...],
    engine: EngineName,
    predictions: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Score each BUNDLE with the official SQuAD metric, one question at a time.

    Several bundles take turns on every question, so that their times compare.
    """
    if predictions is not None:
        check_file(predictions, force=force, sources=[data, *bundles])
    dataset = read_dataset(data, language=language)
    answerers = [
        (path, budget, QuestionAnswerer.load(path, threads=threads, budget=budget, engine=engine))
        for path in bundles
        for budget in dict.fromkeys(budgets)
    ]
    results = run_evaluation(
        [(shown_name(path, budget, answerer.engine.name), answerer) for path, budget, answerer in answerers],
        dataset,
        limit=limit,
        no_answer_threshold=no_answer_threshold,
        progress=progress_bars(),
    )
    if predictions is not None:
        write_file(predictions, json.dumps(results[0].predictions, ensure_ascii=False, indent=0).encode())
    if as_json:
        echo_json([result.summary() for result in results])
    else:
        click.echo(table(results))


def table(results: list[Evaluation]) -> str:
    """Scores and times, a row each, with the speed relative to the first, question by question."""
    first = results[0]
    width = max(6, *(len(result.bundle) for result in results))
    lines = [
        f"{first.dataset}: {first.scores.questions} questions, {metric_name(first)}",
        f"{'bundle':{width}}  {'EM':>6} {'F1':>6}  {'mean ms':>8} {'p50':>6} {'p90':>6} {'p99':>6}  "
        f"{'speed (95 % interval)':>22}  outside inference",
    ]
    for result in results:
        scores, latency = result.scores, result.latency
        lines.append(
            f"{result.bundle:{width}}  {scores.exact_match:6.2f} {scores.f1:6.2f}  {latency.mean_ms:8.2f} "
            f"{latency.p50_ms:6.2f} {latency.p90_ms:6.2f} {latency.p99_ms:6.2f}  "
            f"{'1.00x' if result is first else str(result.speed):>22}  {result.outside_inference:.1%}"
        )
    for result in results:
        scores, best = result.scores, result.best_threshold
        if scores.has_answer_f1 is not None:
            lines.append(
                f"{result.bundle}: answerable EM {scores.has_answer_exact_match:.2f} F1 {scores.has_answer_f1:.2f} "
                f"({scores.has_answer_questions} questions)"
                + (f"; best no-answer threshold {best.threshold:.2f}: F1 {best.score:.2f}" if best else "")
            )
    if first.disturbed:
        lines.append(f"warning: {DISTURBED}")
    return "\n".join(lines)
