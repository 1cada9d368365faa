"""Bundle -> the same bundle with token budgets, found by a search on this CPU and stored only if they hold."""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from calibration.data.samples import draw_samples, held_out
from calibration.statistics.score_drop import same_questions, score_drop, too_few_questions
from calibration.token_budgets.evolution import Space, evolve
from calibration.token_budgets.measure import Workbench, median_error
from calibration.token_budgets.options import BudgetSearchOptions
from calibration.token_budgets.probes import fit_probes
from calibration.token_budgets.questions import draw_questions
from calibration.token_budgets.report import (
    BudgetSearch,
    Finalist,
    NoBudgetError,
    Standing,
    budget_limits,
    choose_budgets,
    closest,
    pick_finalists,
)
from calibration.token_budgets.state import Record
from calibration.token_budgets.trials import Trial, front
from calibration.token_budgets.writing import write_budgets
from converters.bundle_writer import tool_versions
from converters.token_budgets.budgets import token_dropping_model
from converters.token_budgets.token_dropping import STEP, Keep, Probes
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError, InputError
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.evaluation.evaluate import Evaluation, evaluate, scorable
from edge_qa.files import check_destination, scratch_folder
from edge_qa.progress import Progress, no_progress
from edge_qa.system.cpu import this_cpu
from edge_qa.system.machine import DISTURBED

# Percent points of F1 beyond the gate that a budget may lose while it is searched for: the
# calibration file is what the model was trained on, and a thousand questions tell half a point from none.
_LEEWAY = 1.0


def search_budgets(
    bundle: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    calibration: str | os.PathLike[str],
    evaluation: str | os.PathLike[str],
    max_drop: float,
    options: BudgetSearchOptions = BudgetSearchOptions(),
    limit: int | None = None,
    threads: int | None = None,
    state: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: Progress = no_progress,
    report: Callable[[Standing], None] = lambda standing: None,
) -> BudgetSearch:
    """Find how many tokens each layer can let go of, and write the bundle with up to two such budgets.

    bundle: FP16 or INT8, made by `edge-qa convert`; budgets that it has are replaced.
    calibration: training data, which fits the probes and scores the budgets that are tried. Without answers, the
    full model's own are taken.
    evaluation: decides which budgets are stored; limit: with so many of its questions.
    max_drop: percent points of F1 that "fast" may lose on it; "balanced" may lose a third of that.
    threads: as for `QuestionAnswerer.load`.
    state: a file to which every measurement is written, and from which an interrupted search goes on.
    Raises NoBudgetError if nothing is both faster and within the drop; then nothing is written, and the error
    holds what was measured.
    """
    begin = time.monotonic()
    if not (max_drop >= 0 and math.isfinite(max_drop)):
        raise InputError(f"got {max_drop}", where="max_drop", wanted="percent points, 0 or more")
    output = Path(os.path.abspath(destination))
    check_destination(output, force=force, sources=[bundle, calibration, evaluation])
    progress("read")
    source = Bundle.load(bundle)
    space = _space(source)
    data, test = read_dataset(calibration), scorable(read_dataset(evaluation))
    record = Record(None if state is None else Path(state), _fingerprint(source, data, options, threads))
    record.write()  # fails now if it cannot be written
    answerer = QuestionAnswerer(source, threads=threads)
    held = held_out(options.questions, len(data), seed=options.seed)
    asked = draw_questions(answerer, data, held, seed=options.seed, progress=progress)
    probes: Probes = {}
    fitted = 0
    if options.rule == "probe":
        drawn = draw_samples(
            answerer, data.examples, options.samples, seed=options.seed, where=data.where, skip=frozenset(held)
        )
        probes, fitted = fit_probes(source, drawn, progress=progress), len(drawn)
    with scratch_folder(output) as scratch:
        bench = Workbench(source, asked, probes, STEP, max_drop + _LEEWAY, threads, scratch)
        progress("search")
        searching = time.monotonic()
        trials = _search(space, bench, record, options, report)
        found = time.monotonic()
        full, finalists = _score(bench, pick_finalists(trials, bench.allowance), test, limit, progress)
        budgets = choose_budgets(finalists, max_drop)
        notes = [*same_questions(data, test, full, "the budgets"), *([DISTURBED] if full.disturbed else [])]
        for name, allowed in budget_limits(max_drop).items():
            if name in budgets:
                notes += too_few_questions(finalists[budgets[name]].drop, allowed, name)
        result = BudgetSearch(
            path=output,
            source_name=source.path.name,
            manifest=source.manifest,
            rule=options.rule,
            step=STEP,
            seed=options.seed,
            options=options,
            limit=limit,
            samples=fitted,
            questions=len(asked),
            labelled=asked.labelled,
            full_f1=100 * float(asked.full.mean()),
            calibration=data.name,
            calibration_sha256=data.sha256,
            max_drop=max_drop,
            allowance=bench.allowance,
            trials=tuple(trials),
            full=full,
            finalists=tuple(finalists),
            budgets=budgets,
            search_seconds=found - searching,
            seconds=0.0,
            stopped_early=found - searching >= 60 * options.minutes,
            notes=tuple(notes),
        )
        if not budgets:
            raise _no_budget(replace(result, seconds=time.monotonic() - begin), destination)
        progress("write")
        manifest = write_budgets(bench, result, data, test.examples[0], force=force)
        return replace(result, manifest=manifest, seconds=time.monotonic() - begin)


def _no_budget(search: BudgetSearch, destination: str | os.PathLike[str]) -> NoBudgetError:
    """The error of a search that found no budget, with all that it measured."""
    got = (
        f"no budget is faster than the full model and loses at most {search.max_drop:g} F1: "
        f"{closest(search.finalists, search.trials, search.full.dataset)}"
    )
    error = NoBudgetError(f"{got}; nothing was written", where=Path(destination), remedy=_remedy(search))
    error.search = replace(search, failure=got)
    return error


def _remedy(search: BudgetSearch) -> str:
    """What may help a search that found nothing: more may be lost only where something was faster and lost more."""
    faster = any(one.is_faster for one in search.finalists)
    lost_more = any(
        trial.latency < 1 and trial.drop is not None and trial.drop > search.allowance for trial in search.trials
    )
    if faster or lost_more:
        within = any(one.drop.points <= search.max_drop for one in search.finalists)
        return "allow a larger `max_drop`" + (", or search longer" if within else "")
    if any(trial.latency < 1 for trial in search.trials):
        return "search longer"
    return "search longer, or with longer texts, where there are more tokens to let go of"


def _space(source: Bundle) -> Space:
    """What can be searched. Raises BundleError for a bundle whose layers cannot drop."""
    heads = source.manifest.model.heads or ()
    space = Space(tuple(bool(count) for count in heads))
    if heads and not any(space.droppable):
        raise BundleError("no layer has attention heads, and only such can drop tokens", where=source.path)
    # Fails at once, and not after minutes, where the names that token dropping needs are not there.
    token_dropping_model(source, Keep(space.repaired([0.5] * len(heads)), STEP))
    return space


def _fingerprint(source: Bundle, data: Dataset, options: BudgetSearchOptions, threads: int | None) -> dict[str, str]:
    """What the measurements hang on. How long to search and the drop allowed do not: both may be made larger."""
    cpu = this_cpu()
    return {
        "bundle": source.manifest.digest,
        "calibration_sha256": data.sha256,
        "questions": str(options.questions),
        "samples": str(options.samples),
        "population": str(options.population),
        "rule": options.rule,
        "step": str(STEP),
        "seed": str(options.seed),
        "cpu": f"{cpu.name}, {cpu.instruction_set}, {threads or cpu.threads} threads",
        "openvino": tool_versions()["openvino"],
    }


def _search(
    space: Space, bench: Workbench, record: Record, options: BudgetSearchOptions, tell: Callable[[Standing], None]
) -> list[Trial]:
    begin, total = time.monotonic(), options.population * options.generations
    known = len(record.trials)

    def told(trials: Sequence[Trial]) -> None:
        spent, measured = time.monotonic() - begin, max(1, len(trials) - known)
        left = min((total - len(trials)) * spent / measured, 60 * options.minutes - spent)
        tell(Standing(len(trials), total, tuple(front(trials, bench.allowance)), max(0.0, left)))

    return evolve(
        space,
        record.remembered(bench.measure, bench.allowance),
        population=options.population,
        generations=options.generations,
        allowance=bench.allowance,
        seed=options.seed,
        stop=lambda: time.monotonic() - begin >= 60 * options.minutes,
        told=told,
    )


def _score(
    bench: Workbench, chosen: Sequence[Trial], test: Dataset, limit: int | None, progress: Progress
) -> tuple[Evaluation, list[Finalist]]:
    """Score and time budgets on the evaluation file, all of them and the full model taking turns."""
    answerer = bench.questions.answerer
    pairs = [("full", answerer)]
    for trial in chosen:
        bundle = bench.with_budget(trial.shares)
        pairs.append(("", QuestionAnswerer(bundle, threads=bench.threads, tokenizer=answerer.tokenizer)))
    full, *results = evaluate(pairs, test, limit=limit, progress=progress)
    for _, one in pairs[1:]:
        one.close()
    return full, [
        Finalist(trial, side.scores.f1, score_drop(test, full, side, "f1"), *relative_median(full, side))
        for trial, side in zip(chosen, results, strict=True)
    ]


def relative_median(full: Evaluation, other: Evaluation) -> tuple[float, float]:
    """Return how long a question takes, end to end, relative to the full model: median of the paired ratios, its error.

    The error is that of a 95 % interval, half its width.
    """
    ratios = np.array(other.question_ms) / np.array(full.question_ms)
    return float(np.median(ratios)), 1.96 * median_error(ratios)
