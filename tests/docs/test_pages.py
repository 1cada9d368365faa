"""What the pages are made from: results files, the command line, the modules."""

import json
import re

import click
import pytest

from docs.generate.command_line import command_line, command_names, exit_codes, help_of
from docs.generate.figures import REQUIRED, RESULTS, figures
from docs.generate.reliability_diagram import reliability_diagram
from docs.generate.rooms import PACKAGES, direct, imports_between_rooms, levels, modules_at_a_glance, modules_of
from edge_qa.cli.app import COMMANDS
from tests.docs.page_blocks import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))
MEASURED = sorted(path.stem for path in RESULTS.glob("*.json") if path.stem != "side-by-side")


def test_every_command_and_every_option_stands_in_the_reference() -> None:
    page = command_line()
    assert set(command_names()) <= set(COMMANDS)
    for name in command_names():
        section = re.search(rf"^## edge-qa {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
        assert section, name
        for parameter in help_of(name).params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(option in section[1] for option in parameter.opts), (name, parameter.opts)


def test_every_exit_code_of_an_error_stands_on_its_page() -> None:
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text(encoding="utf-8")
    assert all(f"| {code} |" in page for code in exit_codes().values())


def test_every_key_of_the_manifest_stands_on_its_page() -> None:
    from dataclasses import fields

    from edge_qa.bundle import manifest

    page = (ROOT / "docs" / "reference" / "bundle.md").read_text(encoding="utf-8")
    records = (manifest.Manifest, manifest.ModelRecord, manifest.IORecord, manifest.Defaults, manifest.Budget)
    keys = {field.name for record in (*records, manifest.Step, manifest.ScoreRecord) for field in fields(record)}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


@pytest.mark.parametrize("name", MEASURED)
def test_a_measurement_says_where_when_and_how(name: str) -> None:
    for measurement in json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["measurements"]:
        assert set(REQUIRED) <= measurement.keys() <= {*REQUIRED, "notes"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", measurement["date"])
        assert len(measurement["machine"]) > 10
        assert all(len(row) == len(measurement["columns"]) for row in measurement["rows"])
    assert figures(name).count("\n## ") == figures(name).count("; 20")


def test_every_results_file_has_a_page() -> None:
    places = {words for page in PAGES for words in re.findall(r"<!-- generated: (.+?) -->", page.read_text())}
    assert {f"figures {name}" for name in MEASURED} | {"side-by-side"} <= places


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_links_are_well_formed(page) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("http"):
            assert re.fullmatch(r"https://[\w.-]+(/[\w./~%#?=&-]*)?", link), link
        else:
            assert (page.parent / link.split("#")[0]).exists() or link.startswith("#"), link


def test_every_module_stands_in_the_design_with_a_line_of_its_own() -> None:
    for package in PACKAGES:
        lines = modules_at_a_glance(package).splitlines()
        for module, path in modules_of(package).items():
            if path.name != "__init__.py":
                line = next(line for line in lines if re.search(rf"── {path.name}\b", line))
                assert line.split(path.name)[1].split(), module


def test_the_picture_by_hand() -> None:
    graph = {"top": {"middle", "bottom"}, "middle": {"bottom"}, "bottom": set(), "other": {"bottom"}}
    assert levels(graph) == [["top"], ["middle", "other"], ["bottom"]]
    assert direct(graph) == {("top", "middle"), ("middle", "bottom"), ("other", "bottom")}
    assert levels({"a": {"b"}, "b": {"a"}})  # a circle is drawn all the same
    assert ("edge_qa", "inference") in imports_between_rooms()[("edge_qa", "answerer")]


def test_an_unknown_generator_is_an_error() -> None:
    fill = pytest.importorskip("docs.generate.pages", reason="Sphinx is not installed; make docs runs this").fill
    assert fill("<!-- kept -->") == "<!-- kept -->"
    with pytest.raises(KeyError):
        fill("<!-- generated: nothing -->")


def test_every_help_text_is_a_sentence() -> None:
    for name in command_names():
        for parameter in help_of(name).params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                said = re.sub(r"\s*\[[^]]*\]$", "", parameter.help or "")  # what is not click's own [default: ..]
                assert re.fullmatch(r"[A-Z].{8,}\.", said), f"edge-qa {name} {parameter.opts[0]}: {said!r}"


def test_a_plain_docstring_becomes_paragraphs_and_its_stars_stay() -> None:
    from docs.generate.python_names import tidy_docstring

    lines = [
        "Do it.",
        "",
        "top_k: how many, 2 * n.",
        "budget, rule: which; a slow one,",
        "too: goes on.",
        "    Raises X.",
    ]
    assert tidy_docstring(lines) == [
        "Do it.",
        "",
        r"top_k: how many, 2 \* n.",
        "",
        "budget, rule: which; a slow one,",
        "too: goes on.",
        "",
        "Raises X.",
    ]


def test_the_reliability_diagram_has_a_dot_where_each_confidence_came_true() -> None:
    panels = json.loads((RESULTS / "reliability.json").read_text(encoding="utf-8"))["diagrams"]
    drawn = reliability_diagram()
    assert drawn.count("<circle") == sum(len(panel["bins"]) for panel in panels)
    assert all(f">{panel['title']}</text>" in drawn for panel in panels)
    # By hand: 190 pixels from the corner at (44, 220); the error is the mean distance from the diagonal.
    one = panels[0]["bins"][0]
    place = f'cx="{44 + 190 * one["confidence"]:.2f}'.rstrip("0"), f'cy="{220 - 190 * one["right"]:.2f}'.rstrip("0")
    assert all(part in drawn for part in place)
    total = sum(one["answers"] for one in panels[0]["bins"])
    error = sum(one["answers"] * abs(one["confidence"] - one["right"]) for one in panels[0]["bins"]) / total
    assert panels[0]["error"] == pytest.approx(error, abs=1e-4)
