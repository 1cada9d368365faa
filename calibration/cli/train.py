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
    NEGATIVES,
    RANKINGS,
    RECIPES,
    TOKEN_RULES,
    TrainingRecipe,
    make_recipe,
)
from edge_qa.cli.app import echo_json, in_options
from edge_qa.cli.interruption import resumable
from edge_qa.cli.parameters import PATH, finite
from edge_qa.cli.progress import Quiet, progress_bars
from edge_qa.errors import InputError

if TYPE_CHECKING:
    from calibration.training.curve import Report
    from calibration.training.result import Training

_TEACHER = (
    "Learn from this checkpoint, which distil needs; CHECKPOINT itself by default, where a recipe learns from one."
)
_RANKING = (
    "Remove what has least gain, or least Fisher information, or the same with shrink's swaps and refit (prune-gain)."
)
_RULE = "Rank tokens by this rule, the one that search-budgets will use (lengthdrop)."


def _number(name: str, help: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(name, type=float, callback=finite, help=help, **settings)


@click.command()
@click.argument("checkpoint", type=PATH)
@click.argument("output", type=PATH)
@click.option("--recipe", required=True, type=click.Choice(list(RECIPES)), help="Train by this recipe.")
@click.option(
    "--data",
    required=True,
    type=PATH,
    help="Train on this SQuAD file or on these JSON lines with answers.",
)
@click.option("--teacher", type=PATH, help=_TEACHER)
@click.option(
    "--evaluation",
    type=PATH,
    help="Score the result on this data set; nothing is scored by default.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Evaluate on this many questions, spread over the file; on all by default.",
)
@click.option(
    "--evaluations",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Score this many times, spread over the run.",
)
@_number("--epochs", "Go through the data this many times; 0.5 is half.", default=1.0, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), help="Train this many steps instead of --epochs.")
@click.option(
    "--batch-tokens",
    type=click.IntRange(min=1),
    help="Learn from this many tokens in each step; 4096 by default, 16384 on a GPU.",
)
@_number("--learning-rate", "Rise to this learning rate, then fall to 0; the recipe's own by default.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draw data and order with this seed."
)
@_number("--distillation", "Give the teacher this share of the loss, 0 to 1; the recipe's own by default.")
@_number("--temperature", "Soften the teacher's logits by this temperature.", default=2.0, show_default=True)
@_number("--hidden-weight", "Weigh the loss on hidden states by this.", default=0.0, show_default=True)
@_number("--attention-weight", "Weigh the loss on attention scores by this.", default=0.0, show_default=True)
@click.option("--train-words", is_flag=True, help="Train the table of word embeddings, too; it is frozen by default.")
@_number(
    "--ratio",
    "Remove this share, by the recipes prune-gain (or give --speedup), prune-gates, block-movement, "
    "magnitude (0.5 by default) and sparse-1x4 (0.8 by default).",
)
@_number(
    "--speedup",
    "Remove as much as makes the layers this many times as fast, measured in INT8 on this CPU "
    "(prune-gain); --ratio decides by default.",
)
@click.option("--ranking", type=click.Choice(RANKINGS), default="gain", show_default=True, help=_RANKING)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Rank heads and neurons on this many questions (prune-gain).",
)
@_number("--schedule", "Let sparsity grow during this share of the steps.", default=0.6, show_default=True)
@click.option(
    "--refresh",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Choose the masks anew after this many steps.",
)
@_number(
    "--no-answer",
    "Add unanswerable questions, as a fraction of answerable ones; of SQuAD 2.0 all are used.",
    default=0.0,
    show_default=True,
)
@click.option(
    "--negatives",
    type=click.Choice(NEGATIVES),
    default="article",
    show_default=True,
    help="Ask the questions of --no-answer of other passages of the article at random, or of the best by BM25 that "
    "hold no answer.",
)
@_number(
    "--trained-share",
    "Write the mean of the trained weights, with this share, and CHECKPOINT's (finetune); 1 writes the trained ones.",
    default=1.0,
    show_default=True,
)
@_number(
    "--shortest",
    "Let a layer keep no smaller share of the tokens than this (lengthdrop).",
    default=0.2,
    show_default=True,
)
@click.option("--rule", type=click.Choice(TOKEN_RULES), default="probe", show_default=True, help=_RULE)
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="local",
    show_default=True,
    help="Let NNCF choose weights by this mode (magnitude).",
)
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Train on this device; auto takes a GPU where torch finds one.",
)
@click.option(
    "--compute",
    type=click.Choice(COMPUTES),
    default="auto",
    show_default=True,
    help="Compute matrix products in this type; auto takes bf16 where the machine has it in hardware.",
)
@click.option("--state", type=PATH, help="Keep the run's state in this folder; in OUTPUT.state by default.")
@click.option(
    "--resume", is_flag=True, help="Go on from the state of a run that was stopped; a run begins anew by default."
)
@click.option("--force", is_flag=True, help="Replace OUTPUT if it exists; it is refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON instead of text.")
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
    from calibration.training.train import train as run_training  # here: --help must not need the extra

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
            progress=progress_bars(pulse=False),
            report=_report(),
        )
    if as_json:
        echo_json(result.values())
        return
    click.echo("\n".join(_summary(result, output)))


def _options(teacher: Path | None, evaluation: Path | None, limit: int | None, given: dict[str, Any]) -> TrainingRecipe:
    """The options, checked. Raises click's UsageError: what does not fit together is wrong usage."""
    from calibration.training.train import check_request

    try:
        chosen = make_recipe(given.pop("recipe"), given)
        check_request(chosen, teacher, evaluation, limit)
    except InputError as error:
        said = in_options(str(error), click.get_current_context().command)
        raise click.UsageError(said.replace("_", "-")) from None
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
