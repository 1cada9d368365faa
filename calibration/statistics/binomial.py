"""How often something may happen that was seen a few times or never: the exact binomial bound."""

import math


def largest_rate(events: int, trials: int, *, tail: float = 0.025) -> float:
    """Return the largest rate, 0..1, under which so few events in so many trials still have probability `tail`.

    Source: Clopper and Pearson 1934, Biometrika 26, 404-413. Without any event it is 1 - tail ** (1 / trials), about
    3 / trials for a tail of 5 %: the rule of three (Hanley and Lippman-Hand 1983, JAMA 249, 1743-1745).
    """
    if not 0 <= events <= trials or trials < 1:
        raise ValueError(f"got {events} events in {trials} trials")
    if events == trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(60):  # the probability falls with the rate; halving so often leaves no digit open
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(events, trials, middle) > tail else (low, middle)
    return (low + high) / 2


def _at_most(events: int, trials: int, rate: float) -> float:
    """The probability of at most so many events; in logarithms, because a coefficient can be too large for a float."""
    if rate in (0.0, 1.0):
        return 1.0 - rate
    return math.fsum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(count + 1)
            - math.lgamma(trials - count + 1)
            + count * math.log(rate)
            + (trials - count) * math.log1p(-rate)
        )
        for count in range(events + 1)
    )
