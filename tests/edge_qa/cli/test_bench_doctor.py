"""What bench and doctor print, and their exit codes."""

import subprocess
import sys
from pathlib import Path
from xml.dom import minidom

import pytest

from tests.support.tiny import tiny_bundle


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("commands")
    return [tiny_bundle(folder, seed=seed) for seed in (0, 1)]


def test_bench_prints_a_table_and_writes_a_page(command, bundles, tmp_path):
    page = tmp_path / "page.html"
    result = command(
        "bench", *bundles, "--lengths", "16, 48", "--questions", 2, "--repeat", 1, "--starts", 1, "--html", page
    )
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert "cold start, ms (the median of 1 processes) and peak memory, MB" in lines
    assert "16 tokens: 2 questions, 2 samples, ms a question" in lines
    assert "48 tokens: 2 questions, 2 samples, ms a question" in lines
    assert sum(line.startswith(str(bundles[1])) for line in lines) == 3
    assert result.err == ""
    root = minidom.parseString(page.read_text().partition("\n")[2]).documentElement
    (plot,) = [svg for svg in root.getElementsByTagName("svg") if "against tokens" in svg.getAttribute("aria-label")]
    assert len(plot.getElementsByTagName("circle")) == 4  # two bundles at two lengths
    assert all(str(bundle) in page.read_text() for bundle in bundles)


def test_bench_as_json(command, bundles, questions):
    result = command(
        "bench",
        bundles[0],
        "--data",
        questions,
        "--questions",
        2,
        "--repeat",
        1,
        "--starts",
        0,
        "--threads",
        1,
        "--json",
    )
    (bundle,) = result.json["bundles"]
    assert bundle["start"] is None
    assert [timing["workload"] for timing in bundle["timings"]] == ["questions.json"]
    assert result.json["machine"]["threads"] == 1


def test_bench_on_data_has_no_plot(command, bundles, questions, tmp_path):
    page = tmp_path / "page.html"
    options = ("--data", questions, "--questions", 1, "--repeat", 1, "--starts", 0, "--html", page)
    result = command("bench", bundles[0], *options)
    assert "windows a question" in result.out
    assert "<svg" not in page.read_text()
    minidom.parseString(page.read_text().partition("\n")[2])


@pytest.mark.parametrize("lengths", ["", "x", "16,,32", "0", "-5", "1.5"])
def test_bench_refuses_what_is_no_length(command, bundles, lengths):
    result = command("bench", bundles[0], "--lengths", lengths)
    assert result.code == 2
    assert "wanted token counts such as 32,128,384" in result.err


def test_bench_refuses_a_length_that_does_not_fit(command, bundles):
    result = command("bench", bundles[0], "--lengths", "300")
    assert result.code == 4
    assert result.err == "error: length 300: windows of this bundle have 5 to 256 tokens; ask for those\n"


def test_bench_of_no_bundle(command, tmp_path):
    assert command("bench", tmp_path).code == 3
    assert command("bench").code == 2


def test_doctor_says_that_all_is_well(command, bundles):
    result = command("doctor", bundles[0])
    assert result.code == 0
    assert result.out.splitlines()[0].startswith("cpu        ")
    assert result.out.splitlines()[-1] == "verdict    all is well"
    assert "runs: a fresh process gave its first answer after" in result.out


def test_doctor_measures_when_told(command):
    result = command("doctor", "--measure", "--json")
    assert result.code == 0
    assert result.json["products"]["int8_gops"] > 0
    assert result.json["bundle"] is None


def test_doctor_has_a_negative_verdict_for_what_is_no_bundle(command, tmp_path):
    result = command("doctor", tmp_path)
    assert result.code == 1
    assert "problem: " in result.out
    assert result.out.splitlines()[-1] == "verdict    problems: 1"
    assert command("doctor", tmp_path, "--json").json["well"] is False


def test_doctor_of_no_folder(command, tmp_path):
    result = command("doctor", tmp_path / "nothing")
    assert result.code == 3
    assert "is no folder" in result.err


def test_help_of_both_loads_nothing_for_doctor():
    code = (
        "import sys; sys.argv = ['edge-qa', 'doctor', '--help']\n"
        "from edge_qa.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "openvino", "tokenizers"} & set(done.stdout.splitlines()[-1].split())
