"""Where the tests find what the repository carries."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOLDEN_FILES = ROOT / "tests" / "golden"
