"""A stand-in for measuring: latency and F1 as functions of the shares, so that the best budgets are known."""

from collections.abc import Sequence
from itertools import product

from calibration.token_budgets.evolution import Space
from calibration.token_budgets.trials import Shares, Trial

SPACE = Space((True, True, True), (1.0, 0.7, 0.4, 0.1))
# Tokens are worth most in the first layer, and every layer costs the same.
_WORTH = (20.0, 6.0, 1.0)


def measured(shares: Shares, generation: int = 0, trials: Sequence[Trial] = ()) -> Trial:
    """Latency: a tenth, and three tenths a layer. Drop: what the lost tokens of each layer are worth, squared."""
    latency = 0.1 + sum(0.3 * share for share in shares)
    drop = sum(worth * (1 - share) ** 2 for worth, share in zip(_WORTH, shares, strict=True))
    return Trial(shares, latency, 90 - drop, drop, 0.01, 1000, "complete", generation)


def every_budget() -> list[Shares]:
    """All falling shares of the grid, the full model left out: 19 of them."""
    falling = [shares for shares in product(SPACE.grid, repeat=3) if list(shares) == sorted(shares, reverse=True)]
    return [shares for shares in falling if shares != SPACE.full]


def true_front(allowance: float) -> set[Shares]:
    """Those within the allowance that no other beats in both."""
    every = [measured(shares) for shares in every_budget()]
    within = [one for one in every if one.drop is not None and one.drop <= allowance]
    return {
        one.shares
        for one in within
        if not any(
            other.latency <= one.latency and (other.drop or 0) <= (one.drop or 0) and other != one for other in within
        )
    }
