"""Measure one token budget on this CPU: its latency first, then its F1 for as long as it is worth it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.data.samples import Inputs
from calibration.token_budgets.questions import Questions
from calibration.token_budgets.trials import Loss, Shares, Trial, Verdict, front, stopped
from converters.token_budgets.budgets import serialized, token_dropping_model
from converters.token_budgets.token_dropping import Keep, Probes
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_BIN, MODEL_XML
from edge_qa.inference.engine import Engine
from edge_qa.inference.native.engine import NativeEngine

# Windows that latency is measured on, and how often: about a second for MiniLM on a machine at rest, and
# up to MOST_ROUNDS until the standard error is CLOSE_ENOUGH on a busy one.
WINDOWS, ROUNDS, MOST_ROUNDS, CLOSE_ENOUGH = 16, 3, 9, 0.01
# After so many questions it is asked whether the rest is worth it.
STAGES = (30, 100, 300)


@dataclass(frozen=True, eq=False)
class Workbench:
    """What all budgets of one search are measured with.

    probes: of every layer; none ranks the tokens by attention. allowance: percent points of F1 beyond
    which a budget is of no use. threads: as for `Engine`. scratch: a folder for files that are soon removed.
    """

    bundle: Bundle
    questions: Questions
    probes: Probes
    step: int
    allowance: float
    threads: int | None = None
    scratch: Path | None = None

    def keep(self, shares: Shares) -> Keep:
        """Return what a budget keeps, in the form that the converters take."""
        plain = Keep(shares, self.step)
        return replace(plain, probes={layer: self.probes[layer] for layer in plain.dropping_layers if self.probes})

    def with_budget(self, shares: Shares) -> Bundle:
        """Return the bundle, in memory, with a budget in the place of its model."""
        xml, weights = serialized(token_dropping_model(self.bundle, self.keep(shares)), self.scratch)
        model = {MODEL_XML: np.frombuffer(xml, np.uint8), MODEL_BIN: np.frombuffer(weights, np.uint8)}
        return replace(self.bundle, contents=self.bundle.contents | model)

    def measure(self, shares: Shares, generation: int, trials: Sequence[Trial]) -> Trial:
        """Measure a budget; `trials` are those measured before, which it has to beat somewhere."""
        engine = Engine(self.with_budget(shares), threads=self.threads)
        try:
            latency = relative_latency(self.questions.answerer.engine, engine, self.latency_inputs())
            if latency >= 1:
                return Trial(shares, latency, None, None, None, 0, "not faster", generation)
            return self.race(shares, latency, engine, generation, front(trials, self.allowance))
        finally:
            # The memory of a compiled model is large, and hundreds follow.
            engine.close()

    def race(self, shares: Shares, latency: float, engine: Engine, generation: int, best: Sequence[Trial]) -> Trial:
        """Ask the questions until they are all asked or it is clear that the budget is no good."""
        found: NDArray[np.float64] = np.empty(0)
        verdict: Verdict | None = None
        for end in stages(len(self.questions)):
            found = np.concatenate([found, self.questions.f1(engine, len(found), end)])
            loss = Loss.of(self.questions.full[:end], found)
            verdict = stopped(loss, latency, best, self.allowance) if end < len(self.questions) else "complete"
            if verdict is not None:
                break
        f1 = 100 * float(found.mean())
        return Trial(shares, latency, f1, loss.points, loss.error, loss.questions, verdict or "complete", generation)

    def latency_inputs(self) -> list[Inputs]:
        """The windows that latency is measured on, as inputs."""
        engine = self.questions.answerer.engine
        return [engine.batch([window]) for window in self.questions.windows(WINDOWS)]


def stages(questions: int) -> list[int]:
    """Return after how many questions to look at the score, the last one being all."""
    return [*(stage for stage in STAGES if stage < questions), questions]


def relative_latency(full: "Engine | NativeEngine", other: Engine, samples: Sequence[Inputs]) -> float:
    """Return how long an engine takes relative to the full model: the median of the ratio, over inputs and rounds.

    The two run each input one right after the other, so that a busy machine slows both, and begin in
    turn. A first round, in which OpenVINO meets each length, does not count. There are more rounds where
    the ratio is not yet known well enough.
    """
    ratios: list[float] = []
    for number in range(1 + MOST_ROUNDS):
        round_of = [_ratio(full, other, inputs, (number + place) % 2) for place, inputs in enumerate(samples)]
        ratios += round_of if number else []
        if number >= ROUNDS and median_error(ratios) < CLOSE_ENOUGH:
            break
    return float(np.median(ratios))


def _ratio(full: "Engine | NativeEngine", other: Engine, inputs: Inputs, first: int) -> float:
    engines, seconds = (full, other), [0.0, 0.0]
    for side in (first, 1 - first):
        begin = time.perf_counter()
        engines[side].run(inputs)
        seconds[side] = time.perf_counter() - begin
    return seconds[1] / seconds[0]


def median_error(ratios: Sequence[float] | NDArray[np.float64]) -> float:
    """The standard error of their median, if they are normal but for what disturbs a few of them."""
    spread = 1.4826 * float(np.median(np.abs(np.array(ratios) - np.median(ratios))))
    return float(1.2533 * spread / np.sqrt(len(ratios)))
