"""The command line. Data goes to stdout, everything else to stderr."""

import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with these arguments, those of the process if None, and exit."""
    try:
        from edge_qa.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)  # nothing has begun: nothing is said
    run(arguments)
