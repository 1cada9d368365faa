"""How far two runs of the benchmark agree: python -m benchmarks.compare A/results.json B/results.json

Exits with 1 if a ratio to Edge QA INT8 differs by more than a tenth.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

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
        before, after = (ratios(rows_of(run)) for run in runs)
    except EdgeQAError as error:
        sys.exit(f"benchmarks.compare: {error}")
    found = changes(before, after)
    for name, change in sorted(found.items(), key=lambda item: -item[1]):
        print(f"{change:6.1%}  {before[name]:8.3f} {after[name]:8.3f}  {name}")
    over = [name for name, change in found.items() if change > LIMIT]
    print(f"{len(over)} of {len(found)} ratios differ by more than {LIMIT:.0%}")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
