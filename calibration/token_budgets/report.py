"""What a budget search found: which budgets are scored at the end, which are stored, and the result."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from calibration.statistics.bootstrap import Drop
from calibration.statistics.score_drop import drop_in_words
from calibration.token_budgets.options import BudgetSearchOptions
from calibration.token_budgets.trials import Trial, front
from edge_qa.bundle.manifest import Manifest, TokenRule
from edge_qa.errors import CalibrationError
from edge_qa.evaluation.evaluate import Evaluation

# More would make the last evaluation long: all of them answer every question of it.
FINALISTS = 6
# What budgets may lose, as a share of the drop allowed.
_SHARES = {"fast": 1.0, "balanced": 1 / 3}


@dataclass(frozen=True)
class Finalist:
    """A budget on the evaluation file. relative_latency: median of a question, end to end, against full.

    latency_error: half the width of its 95 % interval.
    """

    trial: Trial
    f1: float
    drop: Drop
    relative_latency: float
    latency_error: float

    @property
    def is_faster(self) -> bool:
        """Whether it is faster than the full model beyond the noise of the measurement."""
        return self.relative_latency + self.latency_error < 1


@dataclass(frozen=True)
class Standing:
    """Where a search stands: budgets done, of at most `total`; the front, the fastest first.

    seconds_left: at most, as things go.
    """

    done: int
    total: int
    front: tuple[Trial, ...]
    seconds_left: float


@dataclass(frozen=True)
class BudgetSearch:
    """A bundle with budgets that was written, and the search that found them; or a search that found none.

    trials: every budget that was measured, in that order, on `questions` questions of the
    calibration file, where the full model has full_f1; labelled: by its answers, otherwise by the full
    model's own.
    full: the model that keeps every token, on the evaluation file; finalists: those of the front that
    were scored there, the fastest first. budgets: of those stored, name -> which finalist.
    stopped_early: the time was up before the last generation. notes: what makes the drops worth less than they look.
    options, limit: as they were asked for.
    failure: why no bundle was written; empty if one was. The manifest is then that of the bundle searched on.
    """

    path: Path
    source_name: str
    manifest: Manifest
    rule: TokenRule
    step: int
    seed: int
    samples: int
    questions: int
    labelled: bool
    full_f1: float
    calibration: str
    calibration_sha256: str
    max_drop: float
    allowance: float
    trials: tuple[Trial, ...]
    full: Evaluation
    finalists: tuple[Finalist, ...]
    budgets: dict[str, int]
    search_seconds: float
    seconds: float
    stopped_early: bool
    notes: tuple[str, ...] = ()
    failure: str = ""
    options: BudgetSearchOptions = BudgetSearchOptions()
    limit: int | None = None

    @property
    def front(self) -> list[Trial]:
        """The budgets that no other beats in both latency and F1, the fastest first."""
        return front(self.trials, self.allowance)

    def as_json(self) -> dict[str, Any]:
        """Everything but the predictions, as JSON values."""
        values = asdict(self)
        values["bundle"] = str(values.pop("path"))
        values["full"] = self.full.summary()
        return values


class NoBudgetError(CalibrationError):
    """No budget is both faster and within the drop; nothing was written. search: what was measured."""

    search: BudgetSearch


def pick_finalists(trials: Sequence[Trial], allowance: float) -> list[Trial]:
    """Return up to FINALISTS of the front, spread evenly over its latencies, the fastest first.

    Where several lie close together that picks fewer, and the fastest of the others fill the places: at nearly
    the same latency one may lose far less. Where nothing lost little enough, the one that came closest: the
    evaluation file has the last word.
    """
    best = front(trials, allowance)
    if not best:
        closest = [(trial.drop, place) for place, trial in enumerate(trials) if trial.drop is not None]
        return [trials[min(closest)[1]]] if closest else []
    wanted = np.linspace(best[0].latency, best[-1].latency, FINALISTS)
    latencies = np.array([trial.latency for trial in best])
    places = np.unique(np.abs(latencies[None, :] - wanted[:, None]).argmin(axis=1))
    others = [place for place in range(len(best)) if place not in places]
    return [best[place] for place in sorted([*places, *others[: FINALISTS - len(places)]])]


def budget_limits(max_drop: float) -> dict[str, float]:
    """Return name -> the drop of F1 that this budget may have, percent points."""
    return {name: share * max_drop for name, share in _SHARES.items()}


def choose_budgets(finalists: Sequence[Finalist], max_drop: float) -> dict[str, int]:
    """Return name -> place: "fast", the fastest within max_drop, and "balanced", the fastest within a third of it.

    What is not surely faster than the full model is no budget. Where both are the same, or nothing is within
    the third, there is no "balanced"; where nothing is within the drop, nothing at all.
    """
    budgets: dict[str, int] = {}
    for name, limit in budget_limits(max_drop).items():
        within = [
            place
            for place, one in enumerate(finalists)
            if one.is_faster and one.drop.points <= limit + 1e-9  # sums of fractions
        ]
        if within:
            best = min(within, key=lambda place: finalists[place].relative_latency)
            if best not in budgets.values():
                budgets[name] = best
    return budgets


def closest(finalists: Sequence[Finalist], trials: Sequence[Trial], data: str) -> str:
    """Say how close a search came that found nothing."""
    if not finalists:
        fastest = min((trial.latency for trial in trials), default=None)
        tried = f"none of {len(trials)} budgets was faster than the full model"
        return tried if fastest is None else f"{tried}, the fastest took {fastest:.2f} of its time"
    one = min(finalists, key=lambda finalist: (not finalist.is_faster, finalist.drop.points))
    return (
        f"of {len(finalists)} budgets scored on {data} the closest took {one.relative_latency:.2f} "
        f"(+-{one.latency_error:.2f}) of the full "
        f"model's time; its F1 {drop_in_words(one.drop)}, {one.drop.questions} questions"
    )


def shares_text(trial: Trial) -> str:
    """Return a budget as it is written on a command line."""
    return ",".join(f"{share:g}" for share in trial.shares)


def budget_names(budgets: Mapping[str, int], place: int) -> str:
    """Return the name under which a finalist is stored, or nothing."""
    return ", ".join(name for name, chosen in budgets.items() if chosen == place)
