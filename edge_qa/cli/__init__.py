"""The command line. Data goes to stdout, everything else to stderr."""

from edge_qa.cli.app import main

__all__ = ["main"]
