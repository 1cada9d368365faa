"""The README is short, its table is current, and its links lead somewhere."""

import re

import pytest

from benchmarks import readme
from benchmarks.side_by_side.plots import readme_picture
from benchmarks.side_by_side.rows import sample_words
from benchmarks.side_by_side.store import read_results
from benchmarks.side_by_side.summary import rows_of
from tests.docs.page_blocks import ROOT

README = ROOT / "README.md"
# Markdown that is read where it lies, without Sphinx to check its links.
FILES = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def test_the_readme_is_at_most_8_kb() -> None:
    assert len(README.read_bytes()) <= 8192


def test_the_table_and_the_picture_are_made_from_the_results_that_are_kept() -> None:
    results = read_results(ROOT / readme.KEPT)
    text = README.read_text(encoding="utf-8")
    assert readme.put_between(text, readme.section(results), "README.md") == text
    assert (ROOT / readme.PICTURE).read_bytes() == readme_picture(rows_of(results), sample_words(results))
    assert len(readme.section(results).split("\n\n")[0].splitlines()) - 2 <= 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_relative_links_lead_to_files(path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8"))
    inside = [link.split("#")[0] for link in links if not re.match(r"https?://|#", link)]
    assert [link for link in inside if not (path.parent / link).exists()] == []


def test_the_make_targets_that_the_readme_names_are_there() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README.read_text(encoding="utf-8")))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test", "pages"} <= named
    assert named <= targets | {"a"}  # "make a model"
