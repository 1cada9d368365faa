"""The command line, as `python -m edge_qa`."""

from edge_qa.cli import main

if __name__ == "__main__":
    main()
