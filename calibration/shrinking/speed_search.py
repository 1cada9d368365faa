"""Find the largest speed-up that a score allows: a quick score ranks, the whole one decides."""

from collections.abc import Callable, Sequence


def fastest_within(
    speedups: Sequence[float], quick: Callable[[float], bool], whole: Callable[[float], bool]
) -> float | None:
    """Return a speed-up that passes `whole`, as large as `quick` suggests; None if there is none.

    speedups: rising. quick, whole: whether a speed-up is good enough, on few and on all questions. The
    quick one is bisected, on the assumption that who runs faster answers worse; from there the whole
    one goes up while it passes, or down until it does.
    """
    low, high = 0, len(speedups)  # everything below `low` passed, everything from `high` on failed
    while low < high:
        middle = (low + high) // 2
        if quick(speedups[middle]):
            low = middle + 1
        else:
            high = middle
    at = max(low - 1, 0)
    if not speedups:
        return None
    if whole(speedups[at]):
        while at + 1 < len(speedups) and whole(speedups[at + 1]):
            at += 1
        return speedups[at]
    return next((speedup for speedup in reversed(speedups[:at]) if whole(speedup)), None)
