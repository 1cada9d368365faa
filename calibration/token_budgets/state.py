"""The state of a budget search on disk, so that one that was interrupted goes on where it stood."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from calibration.token_budgets.trials import Shares, Trial
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

    def remembered(self, measure: Callable[[Shares, int, Sequence[Trial]], Trial]) -> Callable[..., Trial]:
        """Return `measure` for what is not on record, and the record for the rest."""

        def known_or_measured(shares: Shares, generation: int, trials: Sequence[Trial]) -> Trial:
            if shares not in self.trials:
                self.trials[shares] = measure(shares, generation, trials)
                self.write()
            return self.trials[shares]

        return known_or_measured

    def write(self) -> None:
        """Write the state whole or not at all."""
        if self.path is not None:
            state = _State(_FORMAT, self.search, tuple(self.trials.values()))
            write_file(self.path, (json.dumps(asdict(state), indent=1, allow_nan=False) + "\n").encode())


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
