"""The state of a budget search on disk, so that one that was interrupted goes on where it stood."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from calibration.token_budgets.trials import Loss, Shares, Trial, front, stopped
from edge_qa.bundle.json_dataclass import decode
from edge_qa.errors import InputError
from edge_qa.files import write_file

_FORMAT = 1
_REMEDY = "give another `state`, or remove it"


@dataclass(frozen=True)
class _State:
    """search: what the measurements hang on: the bundle, the data, the options, the machine."""

    format: int
    search: dict[str, str]
    trials: tuple[Trial, ...]


class Record:
    """The trials of a search, each written down as soon as it is measured.

    A search is begun anew with the same seed and asks for the same budgets; what is on record is
    not measured again.
    """

    def __init__(self, path: Path | None, search: Mapping[str, str]) -> None:
        """Read the state at `path`, if it is there. Raises InputError if it is damaged or of another search."""
        self.path, self.search = path, dict(search)
        self.trials: dict[Shares, Trial] = {}
        if path is not None and path.exists():
            self.trials = {trial.shares: trial for trial in _read(path, self.search)}

    def remembered(
        self, measure: Callable[[Shares, int, Sequence[Trial]], Trial], allowance: float
    ) -> Callable[..., Trial]:
        """Return `measure` for what is not on record, and the record for the rest.

        allowance: percent points of F1, as for `Workbench`. A trial may be on record from a search with another
        one, and is measured again if it was stopped early and would not be stopped now.
        """

        def known_or_measured(shares: Shares, generation: int, trials: Sequence[Trial]) -> Trial:
            known = self.trials.get(shares)
            valid = None if known is None else _still_valid(known, trials, allowance)
            if valid is None:
                valid = measure(shares, generation, trials)
            if valid != known:
                self.trials[shares] = valid
                self.write()
            return valid

        return known_or_measured

    def write(self) -> None:
        """Write the state whole or not at all."""
        if self.path is not None:
            state = _State(_FORMAT, self.search, tuple(self.trials.values()))
            write_file(self.path, (json.dumps(asdict(state), indent=1, allow_nan=False) + "\n").encode())


def _still_valid(known: Trial, trials: Sequence[Trial], allowance: float) -> Trial | None:
    """Return a trial on record with today's reason for stopping it, or None if there is none and it has to go on."""
    if known.verdict in ("complete", "not faster") or known.drop is None or known.error is None:
        return known
    loss = Loss(known.drop, known.error, known.questions)
    verdict = stopped(loss, known.latency, front(trials, allowance), allowance)
    return None if verdict is None else replace(known, verdict=verdict)


def _read(path: Path, search: Mapping[str, str]) -> tuple[Trial, ...]:
    problems: list[str] = []
    try:
        state = decode(_State, json.loads(path.read_bytes()), "state", problems)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, remedy=_REMEDY) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not the state of a search ({error})", where=path, remedy=_REMEDY) from None
    if state is None:
        raise InputError(f"is not the state of a search ({problems[0]})", where=path, remedy=_REMEDY)
    if state.format != _FORMAT:
        raise InputError(f"format {state.format}, this release reads {_FORMAT}", where=path, remedy=_REMEDY)
    # Written by releases whose state held for one drop only.
    state.search.pop("max_drop", None)
    differing = [
        f"{key}: got {state.search.get(key, 'none')}, wanted {search.get(key, 'none')}"
        for key in sorted(state.search.keys() | search.keys())
        if state.search.get(key) != search.get(key)
    ]
    if differing:
        raise InputError(f"is the state of another search ({'; '.join(differing)})", where=path, remedy=_REMEDY)
    broken = [trial.shares for trial in state.trials if not _plausible(trial)]
    if broken:
        raise InputError(f"its measurement of {list(broken[0])} is none", where=path, remedy=_REMEDY)
    return state.trials


def _plausible(trial: Trial) -> bool:
    """Whether a measurement is one that a search writes down."""
    scores = (trial.f1, trial.drop, trial.error)
    if not (math.isfinite(trial.latency) and trial.latency > 0 and all(0 < share <= 1 for share in trial.shares)):
        return False
    if trial.verdict == "not faster":
        return scores == (None, None, None)
    return all(score is not None and math.isfinite(score) for score in scores)
