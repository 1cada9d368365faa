"""The accuracy gate: try recipes until the fastest that keeps the score is found, or say how close they came.

Two sets of questions: the ranking questions, from the calibration file, measure speed and rule out what is
surely too bad; the evaluation file alone decides.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from calibration.quantization.candidates import Candidate, Workshop, logits
from calibration.quantization.options import AccuracyGate
from calibration.quantization.product_errors import relative_error
from calibration.quantization.recipes import QuantizationRecipe, stages
from calibration.quantization.report import METRIC_NAMES, GateResult, Trial
from calibration.statistics.score_drop import is_conclusive, same_questions, score_drop, too_few_questions
from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import CalibrationError, InputError
from edge_qa.evaluation.dataset import Dataset
from edge_qa.evaluation.evaluate import Evaluation, evaluate
from edge_qa.progress import Progress, no_progress

log = logging.getLogger(__name__)

# A recipe must be faster than a simpler one by this much to be preferred to it: timings are not better than that.
_CLEARLY_FASTER = 0.97
# Without answers, ranking tells how often an answer changed, most of which costs no score: only wrecks are ruled out.
_WRECKED = 25.0


@dataclass(frozen=True, eq=False)
class Chosen:
    """The candidate to be written, with its scores if there is an evaluation file and the gate if there is one."""

    candidate: Candidate
    before: Evaluation | None = None
    after: Evaluation | None = None
    result: GateResult | None = None


def search(
    workshop: Workshop,
    gate: AccuracyGate,
    ranking: "Ranking",
    test: Dataset,
    *,
    name: Path,
    limit: int | None = None,
    progress: Progress = no_progress,
) -> Chosen:
    """Return the fastest recipe of the first stage that has one within the gate. name: of the bundle to be written.

    Raises CalibrationError if none is, with the one that came closest.
    """
    return _Search(workshop, gate, ranking, test, name, limit, progress).run()


@dataclass(frozen=True, eq=False)
class Ranking:
    """The questions that rank recipes. labelled: their answers are people's, not the float model's."""

    data: Dataset
    labelled: bool


def ranking_questions(answerer: QuestionAnswerer, data: Dataset, held: Sequence[int]) -> Ranking:
    """Make the held-out examples the ranking questions; where the file has no answers, the float model's are taken.

    Raises InputError if none of them can be asked.
    """
    labelled = any(example.answers for example in data.examples)
    usable = []
    for index in held:
        example = data.examples[index]
        if labelled and not data.can_score(example):
            continue
        try:
            answer = answerer.answer(example.question, example.context)
        except InputError:
            continue
        usable.append(example if labelled else replace(example, answers=(answer.text,)))
    if not usable:
        raise InputError(
            f"{len(data)} questions are too few to calibrate and to rank recipes", where=data.where, remedy="add some"
        )
    return Ranking(replace(data, examples=tuple(usable)), labelled)


class _Search:
    """The state of one search; also what `recipes.stages` asks about it."""

    def __init__(
        self,
        workshop: Workshop,
        gate: AccuracyGate,
        ranking: Ranking,
        test: Dataset,
        name: Path,
        limit: int | None,
        progress: Progress,
    ) -> None:
        self.workshop, self.gate, self.ranking, self.test = workshop, gate, ranking, test
        self.name, self.limit, self.progress = name, limit, progress
        self.trials: list[Trial] = []
        self.candidates: dict[QuantizationRecipe, Candidate] = {}
        self.probes = workshop.probes()
        self.wanted = logits(workshop.answerer, self.probes)

    def run(self) -> Chosen:
        for recipes in stages(self):
            places = self.rank(recipes)
            for place in fastest_first(self.trials, places):
                chosen = self.judge(place)
                if chosen is not None:
                    return chosen
        if all(trial.evaluation is None for trial in self.trials):
            # Everything was ruled out: the evaluation file still has the last word, on the most promising.
            chosen = self.judge(min(range(len(self.trials)), key=lambda place: self.trials[place].logit_error))
            if chosen is not None:
                return chosen
        raise CalibrationError(self.failure())

    # What the recipes ask

    def attention_products(self) -> Sequence[str]:
        return self.workshop.attention_products()

    def best(self) -> QuantizationRecipe:
        return min(self.trials, key=lambda trial: trial.logit_error).recipe

    def worst_products(self) -> Sequence[str]:
        self.progress("rank the matrix products")
        return [one.product for one in self.workshop.product_errors(self.candidates[self.best()])]

    # The two measurements

    def rank(self, recipes: Sequence[QuantizationRecipe]) -> list[int]:
        """Make candidates and measure them on the ranking questions; return the places of their trials."""
        answerers: dict[int, QuestionAnswerer] = {}
        first = len(self.trials)
        for recipe in recipes:
            self.progress(f"try {recipe.name}")
            candidate = self.workshop.make(recipe)
            self.candidates[recipe] = candidate
            answerer = self.workshop.open(candidate, self.name)
            error = relative_error(logits(answerer, self.probes), self.wanted)
            if math.isfinite(error):
                answerers[len(self.trials)] = answerer
            self.trials.append(Trial(recipe, error, verdict="not judged" if math.isfinite(error) else "not finite"))
        if answerers:
            pairs = [("float", self.workshop.answerer), *((str(place), one) for place, one in answerers.items())]
            base, *results = evaluate(pairs, self.ranking.data)
            for place, result in zip(answerers, results, strict=True):
                self.note_ranking(place, base, result)
        return list(range(first, len(self.trials)))

    def note_ranking(self, place: int, base: Evaluation, result: Evaluation) -> None:
        drop = score_drop(self.ranking.data, base, result, self.gate.metric)
        limit = self.gate.max_drop if self.ranking.labelled else _WRECKED
        trial = replace(
            self.trials[place],
            ranking=drop,
            latency_ms=result.latency.p50_ms,
            speed=result.speed.ratio,
            # A few hundred questions cannot tell 0.5 points from chance: only what is surely beyond goes.
            verdict="ruled out" if drop.low > limit else "not judged",
        )
        self.trials[place] = trial
        log.info("%s: ranking drop %s, logit error %.4f, %s", trial.recipe.name, drop, trial.logit_error, trial.verdict)

    def judge(self, place: int) -> Chosen | None:
        """Score a candidate on the evaluation file; return the choice if it meets the gate."""
        trial = self.trials[place]
        if trial.verdict == "not finite":
            return None
        candidate = self.candidates[trial.recipe]
        self.progress(f"evaluate {trial.recipe.name}")
        # The float model takes its turns again with every candidate: the machine may be another by then.
        pairs = [
            (str(self.workshop.source.path), self.workshop.answerer),
            (str(self.name), self.workshop.open(candidate, self.name)),
        ]
        before, after = evaluate(pairs, self.test, limit=self.limit, progress=self.progress)
        drop = score_drop(self.test, before, after, self.gate.metric)
        passed = drop.points <= self.gate.max_drop + 1e-9  # sums of fractions
        self.trials[place] = replace(trial, evaluation=drop, verdict="passed" if passed else "failed")
        log.info("%s: evaluation drop %s", trial.recipe.name, drop)
        if not passed:
            return None
        result = GateResult(
            self.gate.metric,
            self.gate.max_drop,
            drop,
            len(self.ranking.data),
            self.ranking.labelled,
            tuple(self.trials),
            is_conclusive(drop, self.gate.max_drop),
            (
                *same_questions(self.workshop.data, self.test, after, "the recipe"),
                *too_few_questions(drop, self.gate.max_drop),
            ),
        )
        return Chosen(candidate, before, after, result)

    def failure(self) -> str:
        judged = [(trial.evaluation, trial) for trial in self.trials if trial.evaluation is not None]
        metric, limit = METRIC_NAMES[self.gate.metric], f"{self.gate.max_drop:g}"
        remedy = "nothing was written; allow a larger `max_drop`, or calibrate with more and other questions"
        if not judged:
            return f"{self.name}: none of {len(self.trials)} recipes gives finite logits; {remedy}"
        drop, trial = min(judged, key=lambda pair: pair[0].points)
        return (
            f"{self.name}: none of {len(self.trials)} recipes keeps the drop of {metric} within {limit} on "
            f"{self.test.name}; the closest, {trial.recipe.name}, lost {drop.points:.2f} (95 % interval "
            f"{drop.low:.2f} to {drop.high:.2f}, {drop.questions} questions); {remedy}"
        )


def fastest_first(trials: Sequence[Trial], places: Sequence[int]) -> list[int]:
    """Return the places still in the running, the fastest first; what is about as fast in the order given."""
    times = {place: trials[place].latency_ms or math.inf for place in places if trials[place].verdict == "not judged"}
    ordered: list[int] = []
    while times:
        fastest = min(times.values())
        ordered.append(next(place for place, time in times.items() if time * _CLEARLY_FASTER <= fastest))
        del times[ordered[-1]]
    return ordered
