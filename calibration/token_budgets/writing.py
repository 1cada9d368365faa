"""Write a bundle with the budgets that a budget search chose, and check that each computes what was scored."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from calibration.token_budgets.measure import Workbench
from calibration.token_budgets.report import BudgetSearch, Finalist
from converters.bundle_writer import made_by, parts_of_successor, read_back, write_parts
from converters.token_budgets.budgets import budget_files, budget_record
from converters.token_budgets.token_dropping import Keep
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import Budget, Manifest, ScoreRecord
from edge_qa.errors import CalibrationError
from edge_qa.evaluation.dataset import Dataset, Example


def write_budgets(
    bench: Workbench, result: BudgetSearch, data: Dataset, example: Example, *, force: bool = False
) -> Manifest:
    """Write the bundle with its budgets and check that each of them answers."""
    source = bench.bundle
    chosen = {name: result.finalists[place] for name, place in result.budgets.items()}
    keeps = {name: bench.keep(one.trial.shares) for name, one in chosen.items()}
    with new_bundle(result.path, force=force) as draft:
        options = {
            "rule": result.rule,
            "step": str(result.step),
            "samples": str(result.samples),
            "questions": str(result.questions),
            "seed": str(result.seed),
            "max_drop": f"{result.max_drop:g}",
            "calibration": data.name,
            "calibration_sha256": data.sha256,
        }
        parts = replace(
            parts_of_successor(source, made_by("search-budgets", options, source.manifest.digest)),
            budgets={name: _budget(name, keeps[name], one) for name, one in chosen.items()},
            scores=_scores(source.manifest.scores, result.full.record()),
            confidence=source.manifest.confidence,
            documents=source.manifest.documents,
        )
        manifest = write_parts(draft, budget_files(source, keeps, scratch=bench.scratch), parts)
        _check_answers(bench, read_back(draft, result.path), chosen, example)
    return manifest


def _budget(name: str, keep: Keep, finalist: Finalist) -> Budget:
    return budget_record(name, keep, f1=round(finalist.f1, 4), relative_latency=round(finalist.relative_latency, 4))


def _scores(before: Sequence[ScoreRecord], new: ScoreRecord) -> tuple[ScoreRecord, ...]:
    """The scores of the full model, which is the same as before, with the latest on each data set."""
    kept = [one for one in before if (one.dataset_sha256, one.questions) != (new.dataset_sha256, new.questions)]
    return (*kept, new)


def _check_answers(bench: Workbench, written: Bundle, chosen: dict[str, Finalist], example: Example) -> None:
    """Raise CalibrationError unless each budget, as a device will read it, computes what was scored."""
    answerer = bench.questions.answerer
    windows = list(answerer.windows(example.question, example.context))
    for name, finalist in chosen.items():
        stored = QuestionAnswerer(written, budget=name, threads=bench.threads, tokenizer=answerer.tokenizer)
        scored = QuestionAnswerer(
            bench.with_budget(finalist.trial.shares), threads=bench.threads, tokenizer=answerer.tokenizer
        )
        both = [
            np.concatenate([*start, *end]) for start, end in (one.engine.logits(windows) for one in (stored, scored))
        ]
        stored.close()
        scored.close()
        # NaN fails as well.
        if not np.abs(both[0] - both[1]).max() <= 1e-4 * max(1.0, float(np.abs(both[1]).max())):
            raise CalibrationError(
                f"the budget {name!r} does not compute what was scored; nothing was written",
                where=written.path.name,
                remedy="report it",
            )
