"""What decides how a search for token budgets goes."""

from dataclasses import dataclass

from edge_qa.bundle.manifest import TokenRule
from edge_qa.errors import InputError


@dataclass(frozen=True)
class BudgetSearchOptions:
    """How a search goes.

    questions: of the calibration file that score the budgets, at most a third of it. samples: others of them that
    fit the probes. population, generations: their product is how many budgets are measured at most.
    minutes: when this has passed the search ends with what it has.
    rule: how tokens are ranked, see `converters/token_budgets/token_dropping.py`.
    seed: which questions are drawn, and which budgets are tried.
    """

    questions: int = 1000
    samples: int = 1500
    population: int = 16
    generations: int = 8
    minutes: float = 15.0
    rule: TokenRule = "probe"
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for values that cannot be used, all of them at once."""
        problems = [
            f"{name}: got {getattr(self, name)}, wanted at least 1"
            for name in ("questions", "samples", "population", "generations")
            if getattr(self, name) < 1
        ]
        if not self.minutes > 0:
            problems.append(f"minutes: got {self.minutes}, wanted more than 0")
        if problems:
            raise InputError("; ".join(problems))
