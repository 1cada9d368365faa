"""edge-qa train."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from calibration.training.options import (
    COMPUTES,
    DEVICES,
    MODES,
    RANKINGS,
    RECIPES,
    TOKEN_RULES,
    TrainingRecipe,
    make_recipe,
)
from calibration.training.train import check_request
from calibration.training.train import train as run_training
from edge_qa.cli.app import echo_json
from edge_qa.cli.interruption import resumable
from edge_qa.cli.options import finite
from edge_qa.cli.progress import Quiet, progress_bars
from edge_qa.errors import InputError

if TYPE_CHECKING:
    from calibration.training.curve import Report
    from calibration.training.result import Training

_TEACHER = "Checkpoint to learn from; distil needs one, the other recipes that learn from one take CHECKPOINT itself."
_RANKING = "What prune-gain removes: least gain, least Fisher information, or that with shrink's swaps and refit."
_RULE = "What ranks tokens in lengthdrop; the one that search-budgets will use, whose default is the same."


def _number(name: str, help: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(name, type=float, callback=finite, help=help, **settings)


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--recipe", required=True, type=click.Choice(list(RECIPES)), help="What to do.")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="SQuAD file or JSON lines with answers.")
@click.option("--teacher", type=click.Path(path_type=Path), help=_TEACHER)
@click.option("--evaluation", type=click.Path(path_type=Path), help="Data set to score the result on.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Evaluate on N questions only.")
@click.option("--evaluations", type=click.IntRange(min=1), default=1, show_default=True, help="How many times.")
@_number("--epochs", "Times through the data; 0.5 is half.", default=1.0, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), help="Steps, instead of epochs.")
@click.option("--batch-tokens", type=click.IntRange(min=1), help="Tokens of a step  [4096; 16384 on a GPU]")
@_number("--learning-rate", "The highest one  [by recipe]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_number("--distillation", "Share of the teacher in the loss, 0 to 1  [by recipe]")
@_number("--temperature", "That softens the teacher.", default=2.0, show_default=True)
@_number("--hidden-weight", "Of the loss on hidden states.", default=0.0, show_default=True)
@_number("--attention-weight", "Of the loss on attention scores.", default=0.0, show_default=True)
@click.option("--train-words", is_flag=True, help="Train the table of word embeddings, too.")
@_number(
    "--ratio",
    "Share that goes: prune-gain (this or --speedup), prune-gates, block-movement, magnitude  [0.5]; sparse-1x4  [0.8]",
)
@_number("--speedup", "Measured, in INT8 on this CPU (prune-gain).")
@click.option("--ranking", type=click.Choice(RANKINGS), default="gain", show_default=True, help=_RANKING)
@click.option("--samples", type=click.IntRange(min=1), default=1000, show_default=True, help="That rank (prune-gain).")
@_number("--schedule", "Share of the steps in which sparsity grows.", default=0.6, show_default=True)
@click.option("--refresh", type=click.IntRange(min=1), default=50, show_default=True, help="Steps between masks.")
@_number("--no-answer", "Questions with no answer, to one with (SQuAD 2.0: all).", default=0.0, show_default=True)
@_number("--shortest", "Least share of tokens that a layer keeps (lengthdrop).", default=0.2, show_default=True)
@click.option("--rule", type=click.Choice(TOKEN_RULES), default="probe", show_default=True, help=_RULE)
@click.option("--mode", type=click.Choice(MODES), default="local", show_default=True, help="Of NNCF (magnitude).")
@click.option("--device", type=click.Choice(DEVICES), default="auto", show_default=True)
@click.option("--compute", type=click.Choice(COMPUTES), default="auto", show_default=True, help="Type of products.")
@click.option("--state", type=click.Path(path_type=Path), help="Folder for the run's state  [OUTPUT.state]")
@click.option("--resume", is_flag=True, help="Go on from the state.")
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def train(
    checkpoint: Path,
    output: Path,
    data: Path,
    teacher: Path | None,
    evaluation: Path | None,
    limit: int | None,
    device: Any,
    state: Path | None,
    resume: bool,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train CHECKPOINT by a recipe into the checkpoint OUTPUT. Ctrl-C saves the state; --resume goes on from it."""
    chosen = _options(teacher, evaluation, limit, options)
    place = state or f"{output}.state"
    with resumable(f"--resume goes on from the last state saved in {place}, or begins anew if no step was made"):
        result = run_training(
            checkpoint,
            output,
            chosen,
            data=data,
            teacher=teacher,
            evaluation=evaluation,
            limit=limit,
            device=device,
            state=state,
            resume=resume,
            force=force,
            progress=progress_bars(),
            report=_report(),
        )
    if as_json:
        echo_json(result.values())
        return
    click.echo("\n".join(_summary(result, output)))


def _options(teacher: Path | None, evaluation: Path | None, limit: int | None, given: dict[str, Any]) -> TrainingRecipe:
    """The options, checked. Raises click's UsageError: what does not fit together is wrong usage."""
    try:
        chosen = make_recipe(given.pop("recipe"), given)
        check_request(chosen, teacher, evaluation, limit)
    except InputError as error:
        raise click.UsageError(str(error).replace("_", "-")) from None
    return chosen


def _report() -> "Callable[[Report], None]":
    """One line that is redrawn on a terminal, and elsewhere a line a minute."""
    watched = sys.stderr.isatty()
    quiet = Quiet()
    first = True

    def show(report: "Report") -> None:
        nonlocal first
        point = report.point
        last = point.step == report.total
        if not (watched or first or last or quiet.due()):
            return
        first = False
        line = (
            f"step {point.step}/{report.total}  loss {point.loss:.4f}  {point.tokens_per_second:,.0f} tokens/s  "
            f"{_duration(report.seconds_left)} left"
        )
        click.echo(f"\r{line}   " if watched else line, err=True, nl=last or not watched)

    return show


def _summary(result: "Training", output: Path) -> Iterator[str]:
    yield (
        f"{output}: {result.recipe}, {result.steps} steps over {result.windows} windows on {result.device}; "
        f"{_duration(result.seconds)}"
    )
    yield from result.summary
    if result.evaluation is not None:
        scores = result.evaluation.scores
        yield f"exact match {scores.exact_match:.2f}, F1 {scores.f1:.2f} ({scores.questions} questions)"
        best = result.evaluation.best_threshold
        if best is not None:
            yield f"F1 {best.score:.2f} with the no-answer threshold {best.threshold:.3g}"
    scored = any(point.f1 is not None for point in result.curve)
    yield f"{'step':>7}  {'loss':>8}" + f"  {'F1':>6}" * scored
    for point in result.curve:
        f1 = "" if point.f1 is None else f"{point.f1:.2f}"
        yield f"{point.step:7}  {point.loss:8.4f}" + f"  {f1:>6}" * scored


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
