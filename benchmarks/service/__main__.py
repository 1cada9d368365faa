"""The service under load, beside `answer_many` and beside a loop of FastAPI and transformers.

    python -m benchmarks.service load      [BUNDLE] [--clients 200] [--seconds 60]
    python -m benchmarks.service soak      [BUNDLE] [--requests 100000]
    python -m benchmarks.service slow      [BUNDLE] [--seconds 20]
    python -m benchmarks.service kills     [BUNDLE] [--times 30]
    python -m benchmarks.service swaps     [BUNDLE] [--times 30]
    python -m benchmarks.service connects  [BUNDLE]

Options of all: --engine, --workers, --threads, --batch-tokens. The bundle is the small one that the repository carries,
unless another is named. Each prints what it counted, and exits with 1 where something was wrong or lost.
The clients run in this process, on the same cores as the service: their share of the CPU time is printed.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from benchmarks.service import connects, kills, load, slow, soak, swaps
from benchmarks.service.options import Options
from benchmarks.service.served import SMALL_BUNDLE

PARTS = {
    "load": load.measure,
    "soak": soak.measure,
    "slow": slow.measure,
    "kills": kills.measure,
    "swaps": swaps.measure,
    "connects": connects.measure,
}


def main() -> int:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("bundle", nargs="?", type=Path, default=SMALL_BUNDLE)
    parser.add_argument("--engine", choices=("auto", "native", "openvino"), default="auto")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--checkpoint", type=Path, help="of the rival; the carried one by default")
    given = vars(parser.parse_args())
    part = given.pop("part")
    return asyncio.run(PARTS[part](Options(**given)))


if __name__ == "__main__":
    sys.exit(main())
