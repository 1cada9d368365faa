"""How far two runs of the benchmark agree: python -m benchmarks.compare A/results.json B/results.json

Exits with 1 if a ratio to Edge QA INT8 differs by more than a tenth, or stands in one of them only.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.figures import changes
from benchmarks.side_by_side.store import read_results
from benchmarks.side_by_side.summary import ratios, rows_of
from edge_qa.errors import EdgeQAError, InputError

LIMIT = 0.10


def main(arguments: Sequence[str] | None = None) -> None:
    """Print every ratio of both runs and its change, the largest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs=2, metavar="RESULTS")
    options = parser.parse_args(arguments)
    try:
        runs = [read_results(path) for path in options.results]
        for path, run in zip(options.results, runs, strict=True):
            if "rows" not in run:
                raise InputError(f"{path}: not finished; run the benchmark to its end")
        try:
            rows = [rows_of(run) for run in runs]
            before, after = map(ratios, rows)
        except (KeyError, TypeError) as error:
            raise InputError(f"{options.results[0]}, {options.results[1]}: incomplete ({error})") from None
        found = changes(before, after)
        if not found:
            raise InputError(f"{options.results[0]}, {options.results[1]}: no ratio stands in both")
    except EdgeQAError as error:
        sys.exit(f"benchmarks.compare: {error}")
    for line in _other_settings(*(run["settings"] for run in runs)):
        print(line)
    for name, change in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{change:6.1%}  {before[name]:8.3f} {after[name]:8.3f}  {name}")
    alone = sorted(before.keys() ^ after.keys())
    for name in alone:
        print(f"  only {'first' if name in before else 'second'}  {name}")
    others = {row.name: row for row in rows[1]}
    for one in rows[0]:
        other = others.get(one.name)
        if other is not None and one.f1 is not None and other.f1 is not None and one.f1 != other.f1:
            print(f"F1 {one.f1:.2f} {other.f1:.2f}  {one.label}")
    over = [name for name, change in found.items() if change > LIMIT]
    print(f"{len(over)} of {len(found)} ratios differ by more than {LIMIT:.0%}")
    sys.exit(1 if over or alone else 0)


def _other_settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """A line for each setting that is not the same."""
    names = [name for name in first | second if first.get(name) != second.get(name)]
    return [f"other settings: {name} {first.get(name)} and {second.get(name)}" for name in names]


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:  # the reader, `head` perhaps, has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
