"""What a gate's verdict rests on: the drop, question by question, and what makes it worth less than it looks."""

from collections.abc import Iterator

from calibration.statistics.bootstrap import Drop, paired_drop
from edge_qa.evaluation.dataset import Dataset
from edge_qa.evaluation.evaluate import Evaluation
from edge_qa.evaluation.squad_metric import Metric, per_question


def score_drop(data: Dataset, before: Evaluation, after: Evaluation, metric: Metric) -> Drop:
    """Compare two evaluations of the same questions, each question with itself."""
    asked = [example for example in data.examples if example.id in before.predictions]
    both = [
        per_question(asked, side.predictions, version=data.version, segmentation=data.segmentation)
        for side in (before, after)
    ]
    return paired_drop(*([getattr(one, metric) for one in side.values()] for side in both))


def same_questions(calibration: Dataset, evaluation: Dataset, judged: Evaluation, chosen: str) -> Iterator[str]:
    """Yield a note if a drop was judged on questions that are calibration data, too. chosen: what these chose."""
    seen = {(example.question, example.context) for example in calibration}
    asked = [example for example in evaluation if example.id in judged.predictions]
    shared = sum((example.question, example.context) in seen for example in asked)
    if shared == len(asked):
        yield f"judged on the questions that chose {chosen}: the drop is optimistic"
    elif shared:
        yield f"{shared} of the {len(asked)} questions that judged it chose {chosen}, too: the drop is optimistic"


def too_few_questions(drop: Drop, allowed: float, name: str = "") -> Iterator[str]:
    """Yield notes if a drop is known less well than to within `allowed`, its limit; name: whose drop it is.

    Of what is surely no drop at all nothing is said.
    """
    if drop.high <= 0:
        return
    whose = f"{name}: " if name else ""
    if drop.exact:
        changed = (
            f"{drop.changed or 'none'} of the {drop.questions} questions {'was' if (drop.changed or 0) < 2 else 'were'}"
        )
        yield f"{whose}{changed} scored differently, too few to draw from: the interval is an exact binomial bound"
    if allowed < drop.high - drop.low:
        yield (
            f"{whose}the 95 % interval of the drop, {drop.low:.2f} to {drop.high:.2f}, is wider "
            f"than the {allowed:.3g} points allowed: give more questions"
        )


def is_conclusive(drop: Drop, allowed: float) -> bool:
    """Whether not only the drop but the whole of its interval is within a limit."""
    return drop.high <= allowed


def drop_in_words(drop: Drop, unit: str = "") -> str:
    """Return "dropped by 0.50 (95 % interval -0.10 to 1.10)", or "rose by" with the interval of the rise."""
    low, high = drop.low, drop.high
    if round(drop.points, 2) == 0:
        change = "did not change"
    elif drop.points > 0:
        change = f"dropped by {drop.points:.2f}{unit}"
    else:
        change = f"rose by {-drop.points:.2f}{unit}"
        low, high = -high, -low
    return f"{change} (95 % interval {low:.2f} to {high:.2f})"
