"""edge-qa search-budgets."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from calibration.token_budgets.options import BudgetSearchOptions
from calibration.token_budgets.page import budgets_page
from calibration.token_budgets.report import BudgetSearch, NoBudgetError, Standing, budget_names, shares_text
from edge_qa.bundle.manifest import TokenRule
from edge_qa.cli.app import echo_json
from edge_qa.cli.interruption import resumable
from edge_qa.cli.parameters import PATH, finite
from edge_qa.cli.progress import progress_bars
from edge_qa.files import check_file, write_file

_COUNT = click.IntRange(min=1)


@click.command("search-budgets")
@click.argument("bundle", type=PATH)
@click.argument("output", type=PATH)
@click.option(
    "--calibration",
    required=True,
    type=PATH,
    help="Fit and score the budgets on the questions of this file, which should be training questions.",
)
@click.option(
    "--evaluation",
    required=True,
    type=PATH,
    help="Decide on the questions of this file which budgets are stored.",
)
@click.option(
    "--max-drop",
    required=True,
    type=click.FloatRange(0, 100),
    callback=finite,
    metavar="POINTS",
    help="Let the budget fast lose at most this many points of F1 on --evaluation, and balanced a third of it.",
)
@click.option(
    "--questions",
    type=_COUNT,
    default=BudgetSearchOptions.questions,
    show_default=True,
    help="Search with this many questions.",
)
@click.option(
    "--samples",
    type=_COUNT,
    default=BudgetSearchOptions.samples,
    show_default=True,
    help="Fit the probes on this many questions.",
)
@click.option(
    "--population",
    type=_COUNT,
    default=BudgetSearchOptions.population,
    show_default=True,
    help="Try this many budgets in each generation.",
)
@click.option(
    "--generations",
    type=_COUNT,
    default=BudgetSearchOptions.generations,
    show_default=True,
    help="Try at most this many generations.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    default=BudgetSearchOptions.minutes,
    show_default=True,
    help="End the search after this time with what it has.",
)
@click.option(
    "--rule",
    type=click.Choice(["probe", "attention"]),
    default="probe",
    show_default=True,
    help="Rank tokens by a fitted probe, or by the attention that they are paid.",
)
@click.option(
    "--limit",
    type=_COUNT,
    metavar="N",
    help="Evaluate on this many questions, spread over the file; on all by default.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Draw the questions and the budgets with this seed.",
)
@click.option("--threads", type=_COUNT, help="Use this many cores; all that this process may use by default.")
@click.option(
    "--state",
    type=PATH,
    metavar="FILE",
    help="Write each measurement to this file, from which an interrupted search goes on; nothing is kept by default.",
)
@click.option(
    "--html",
    type=PATH,
    metavar="FILE",
    help="Write a page with every budget that was tried to this file; none by default.",
)
@click.option("--force", is_flag=True, help="Replace OUTPUT and the page if they exist; they are refused by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, with every budget, instead of text.")
def search_budgets(
    bundle: Path,
    output: Path,
    calibration: Path,
    evaluation: Path,
    max_drop: float,
    questions: int,
    samples: int,
    population: int,
    generations: int,
    minutes: float,
    rule: TokenRule,
    limit: int | None,
    seed: int,
    threads: int | None,
    state: Path | None,
    html: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Find which tokens BUNDLE's layers can let go of, and write it as OUTPUT with budgets: `fast`, `balanced`.

    Answer with one by `edge-qa ask OUTPUT --budget fast`. Where nothing is both faster and within --max-drop,
    nothing is written and the exit code is 1.
    """
    read = [bundle, calibration, evaluation]
    if html is not None:
        check_file(html, force=force, sources=read, others=[output, state])
    if state is not None:
        check_file(state, force=True, sources=read, others=[output])
    options = BudgetSearchOptions(
        questions=questions,
        samples=samples,
        population=population,
        generations=generations,
        minutes=minutes,
        rule=rule,
        seed=seed,
    )
    from calibration.token_budgets.search_budgets import (
        search_budgets as run_search,
    )  # here: --help must not need the extra

    with resumable(None if state is None else f"the same command goes on from {state}"), _page_of_failure(html):
        result = run_search(
            bundle,
            output,
            calibration=calibration,
            evaluation=evaluation,
            max_drop=max_drop,
            options=options,
            limit=limit,
            threads=threads,
            state=state,
            force=force,
            progress=progress_bars(),
            report=_standing(max_drop),
        )
    if html is not None:
        write_file(html, budgets_page(result))
    if as_json:
        echo_json(result.as_json())
        return
    click.echo("\n".join(_summary(result, output)))


@contextmanager
def _page_of_failure(html: Path | None) -> Iterator[None]:
    """Write the page of a search that found nothing, too: it shows how close it came."""
    try:
        yield
    except NoBudgetError as error:
        if html is not None:
            write_file(html, budgets_page(error.search))
        raise


def _standing(max_drop: float) -> Callable[[Standing], None]:
    """A line that says how far the search is, the best so far, and the time left."""
    if not sys.stderr.isatty():
        return lambda standing: None
    shown = 0

    def show(standing: Standing) -> None:
        nonlocal shown
        line = standing_line(standing, max_drop)
        click.echo(f"\r{line.ljust(shown)}", err=True, nl=standing.done == standing.total)
        shown = len(line)

    return show


def standing_line(standing: Standing, max_drop: float) -> str:
    """Return where a search stands, in one line."""
    best = next((trial for trial in standing.front if trial.drop is not None and trial.drop <= max_drop), None)
    shown = "none yet" if best is None else f"{1 / best.latency:.2f}x at {-(best.drop or 0):+.2f} F1"
    return (
        f"search: {standing.done}/{standing.total}  front {len(standing.front)}, best {shown}  "
        f"{standing.seconds_left:.0f} s left"
    )


def _summary(result: BudgetSearch, output: Path) -> Iterator[str]:
    full = result.full
    yield (
        f"{output}: {', '.join(result.budgets)}; {len(result.trials)} budgets searched in "
        f"{result.search_seconds:.0f} s with {result.questions} questions of {result.calibration}"
    )
    yield f"{full.dataset}: {full.scores.questions} questions, end to end; full {full.latency.p50_ms:.2f} ms"
    yield f"{'budget':>9}  {'F1':>6}  {'lost':>6}  {'95 % interval':>16}  {'speed':>6}  tokens left, by layer"
    yield f"{'full':>9}  {full.scores.f1:6.2f}  {'':>6}  {'':>16}  {1:5.2f}x"
    for place, one in enumerate(result.finalists):
        interval = f"{one.drop.low:+.2f} to {one.drop.high:+.2f}"
        yield (
            f"{budget_names(result.budgets, place) or '-':>9}  {one.f1:6.2f}  {one.drop.points:+6.2f}  {interval:>16}  "
            f"{1 / one.relative_latency:5.2f}x  {shares_text(one.trial)}"
        )
    yield from (f"note: {note}" for note in result.notes)
