"""From raw figures to rows, table, page, picture, and the comparison of two runs: by hand."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import compare, readme
from benchmarks.side_by_side import command
from benchmarks.side_by_side.contenders import CONTENDERS
from benchmarks.side_by_side.page import benchmark_page
from benchmarks.side_by_side.plots import readme_picture
from benchmarks.side_by_side.starts import start_in_turns
from benchmarks.side_by_side.summary import losses, ratios, rows_of, summarize
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Example

RESULTS = Path(__file__).with_name("results.json")
EXAMPLES = (
    Example("a", "Who?", "Ada wrote it.", ("Ada",)),
    Example("b", "Where?", "It was in Old London.", ("Old London",)),
)
TOKENS = (8, 10)
# Two questions, in the two orders of a pass; "London" alone shares one of two words: F1 2/3, no exact match.
ANSWERS = {
    "0 0 first 0": {
        "edge-qa-int8": {"ms": [20.0, 40.0], "texts": ["Ada", "London"]},
        "optimum-int8": {"ms": [60.0, 60.0], "texts": ["Ada", "Old London"]},
    },
    "0 0 steady 0": {
        "edge-qa-int8": {"ms": [10.0], "texts": ["Ada"]},
        "optimum-int8": {"ms": [20.0], "texts": ["Ada"]},
    },
    "0 0 steady 1": {
        "edge-qa-int8": {"ms": [30.0], "texts": ["London"]},
        "optimum-int8": {"ms": [40.0], "texts": ["Old London"]},
    },
}


@pytest.fixture
def results() -> dict:
    """A finished run: the raw figures of results.json, and the rows made of them."""
    found = json.loads(RESULTS.read_text())
    return found | {"rows": json.loads(json.dumps(summarize(found, ANSWERS, EXAMPLES, TOKENS)))}


def test_rows_by_hand(results):
    ours, rival, failed = rows_of(results)
    assert (ours.times.mean, ours.times.p50, ours.first_mean_ms, ours.ratio) == (20, 20, 30, 1)
    assert (rival.times.mean, rival.ratio, rival.first_mean_ms) == (30, 1.5, 60)
    assert (ours.exact, ours.f1) == (50, pytest.approx((100 + 200 / 3) / 2))
    assert (rival.exact, rival.f1) == (100, 100)
    assert (ours.bulk, rival.bulk) == (100, None)
    assert (ours.start_s, ours.import_s, ours.start_mb, ours.peak_mb, ours.install_mb) == (0.6, 0.2, 150, 200, 300)
    assert rival.install_mb == 1500
    assert (failed.times, failed.failed) == (None, "transformers cannot be installed: No matching distribution")


def test_sittings_are_taken_together(results):
    """The second one is twice as slow for ours: of 10, 30, 20 and 60 ms the median is 25, the mean 30."""
    again = {"edge-qa-int8": {"ms": [20.0, 60.0], "texts": ["Ada", "London"]}}
    results["settings"]["sittings"] = 2
    answers = ANSWERS | {"0 1 steady 0": again, "0 1 first 0": again}
    ours, rival, _ = rows_of(results | {"rows": summarize(results, answers, EXAMPLES, TOKENS)})
    assert (ours.times.p50, ours.times.mean, ours.exact) == (25, 30, 50)
    assert rival.failed == "not measured"


def test_quick_starts_are_counted_three_times_as_often(monkeypatch):
    monkeypatch.setattr("benchmarks.side_by_side.starts.cold_start", lambda make: (make(), 1))
    found = start_in_turns({"quick": lambda: 0.5, "slow": lambda: 5.0}, 2, {})
    assert found["quick"] == {"seconds": [0.5] * 6, "peak_bytes": [1] * 6}
    assert found["slow"]["seconds"] == [5.0] * 2


def test_where_we_lose_is_said(results):
    # Two questions cannot tell 83 from 100.
    assert losses(rows_of(results)) == []
    results["rows"][1]["f1_gap"] = [16.67, 0.5, 30.0]
    assert losses(rows_of(results)) == ["F1: 83.33, behind optimum-intel INT8 (its own quantizer) (100)"]


def test_the_ratios_of_a_run(results):
    label = CONTENDERS["optimum-int8"].label
    found = ratios(rows_of(results))
    assert found[f"{label}: cold start"] == pytest.approx(7 / 0.6)
    assert found[f"{label}: peak memory"] == found[f"{label}: install size"] == 5
    assert found[f"{label}: mean"] == found[f"{label}: milliseconds a question"] == 1.5
    assert len(found) == 5


def test_bulk_is_compared_with_the_reference_of_the_same_group(results):
    label = CONTENDERS["optimum-int8"].label
    results["blocks"] |= {"groups": [["edge-qa-int8"], ["edge-qa-int8", "optimum-int8"]]}
    results["blocks"]["bulk 1 0"] = {"edge-qa-int8": [50.0], "optimum-int8": [60.0, 80.0]}
    answers = ANSWERS | {f"1{key[1:]}": value for key, value in ANSWERS.items()}
    rows = rows_of(results | {"rows": summarize(results, answers, EXAMPLES, TOKENS)})
    assert (rows[0].bulk, rows[1].bulk, rows[1].bulk_ratio) == (100, 70, 1.4)
    assert ratios(rows)[f"{label}: questions a second in bulk"] == 1.4
    assert losses(rows) == [f"questions a second in bulk: 100, behind {label} (70.00)"]


def test_comparing_runs_flags_what_moved_by_more_than_a_tenth(results, tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    paths[0].write_text(json.dumps(results))
    results["rows"][1]["start_s"] *= 1.2
    paths[1].write_text(json.dumps(results))
    with pytest.raises(SystemExit) as ended:
        compare.main(list(map(str, paths)))
    printed = capsys.readouterr().out.splitlines()
    assert ended.value.code == 1
    assert printed[0].split()[0] == "20.0%"
    assert printed[-1] == "1 of 5 ratios differ by more than 10%"


def test_comparing_runs_flags_who_is_in_one_only(results, tmp_path, capsys):
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    paths[0].write_text(json.dumps(results))
    results["rows"][1] |= {"start_s": None, "f1": 40.0}
    results["settings"]["threads"] = 1
    paths[1].write_text(json.dumps(results))
    with pytest.raises(SystemExit) as ended:
        compare.main(list(map(str, paths)))
    printed = capsys.readouterr().out
    assert ended.value.code == 1
    assert "other settings: threads 2 and 1" in printed
    assert "only first  optimum-intel INT8 (its own quantizer): cold start" in printed
    assert "F1 100.00 40.00  optimum-intel INT8" in printed
    # The first run lacks the first contender: rows are found by their names.
    results["rows"] = results["rows"][::-1]
    paths[1].write_text(json.dumps(results))
    with pytest.raises(SystemExit):
        compare.main(list(map(str, paths)))
    assert capsys.readouterr().out.count("F1 ") == 1


@pytest.mark.parametrize("rows", [[], [{"label": "x"}]])
def test_what_cannot_be_compared_is_one_line(results, tmp_path, rows):
    (tmp_path / "a.json").write_text(json.dumps(results | {"rows": rows}))
    with pytest.raises(SystemExit) as ended:
        compare.main([str(tmp_path / "a.json")] * 2)
    assert "\n" not in ended.value.code


def test_incomplete_results_leave_the_readme_alone(results, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(results | {"rows": [{"label": "x"}]}))
    file = tmp_path / "README.md"
    file.write_text(f"{readme.BEGIN}\n{readme.END}\n")
    with pytest.raises(SystemExit, match="incomplete"):
        readme.main([str(tmp_path / "a.json"), str(file)])
    assert file.read_text() == f"{readme.BEGIN}\n{readme.END}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json", "README.md"]


def test_the_page_is_well_formed_and_holds_every_figure(results):
    results["rows"][1]["f1_gap"] = [16.67, 0.5, 30.0]
    page = benchmark_page(results).decode()
    text = " ".join("".join(ElementTree.fromstring(page.split("\n", 1)[1]).itertext()).split())
    for expected in (
        "A <CPU> (avx512_vnni)",
        "not measured: transformers cannot be installed",
        "in bulk: RuntimeError: no bulk & no luck",
        "behind optimum-intel INT8",
        "optimum-intel as pip gives it",
        "BERT-base: no disk left",
        "fused attention 2.00 ms",
        "INT8 gains no speed",
        "would overflow",
        "50%",
    ):
        assert expected in text, expected
    assert "http" not in page.replace("http-equiv", "")


def test_the_picture_stands_alone(results):
    root = ElementTree.fromstring(readme_picture(rows_of(results), "two questions"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(" not in ElementTree.tostring(root, encoding="unicode")
    bars = [node for node in root.iter() if node.tag.endswith("rect")]
    assert len(bars) == 6  # two contenders in three panels
    assert float(bars[0].get("width")) == pytest.approx(float(bars[1].get("width")) * 20 / 30, abs=0.02)


def test_the_short_table_by_hand(results):
    """The fastest first, ours in bold; who was not measured has no row, and speed is that of transformers in f32."""
    base = results["rows"][1] | {"name": "transformers-fp32", "label": "transformers", "ours": False}
    base["times"] = base["times"] | {"p50": 50.0}
    results["rows"] = [results["rows"][2], base, results["rows"][1], results["rows"][0]]
    table, words = readme.section(results).split("\n\n")
    lines = table.splitlines()[2:]
    assert lines == [
        "| **Edge QA INT8** | **20.0** | **2.5x** | **83.33** | **0.60 s** | **200 MB** | **300 MB** |",
        "| optimum-intel INT8 (its own quantizer) | 30.0 | 1.7x | 100.00 | 7.00 s | 1000 MB | 1500 MB |",
        "| transformers | 50.0 | 1.0x | 100.00 | 7.00 s | 1000 MB | 1500 MB |",
    ]
    assert "2 of 5 answerable questions of two.json" in words
    assert "2026-11-20" in words


def test_the_short_table_has_at_most_ten_rows_and_no_base_if_it_was_not_measured(results):
    assert len(readme._SHORT) <= 10
    assert all(name in CONTENDERS for name in readme._SHORT)
    assert "| **-** |" in readme.section(results)


def test_the_long_table_by_hand(results):
    lines = readme.long_section(results).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert table[2] == "| Edge QA INT8 | 20.0 | 29.8 | 1.00x | 83.33 | 100.0 | 0.60 s | 200 MB | 300 MB |"
    assert table[3].endswith("| 30.0 | 39.8 | 1.50x | 100.00 | - | 7.00 s | 1000 MB | 1500 MB |")
    assert table[4].startswith("| transformers 4.57 pipeline, torch bf16 | not measured: ")
    assert "2 of 5 answerable questions of two.json" in lines[0]
    assert "2026-11-20" in lines[0]
    assert any("5400 MB as pip gives it" in line for line in lines)


def test_the_readme_command_replaces_only_what_is_between_the_marks(results, tmp_path):
    path, file = tmp_path / "results.json", tmp_path / "README.md"
    path.write_text(json.dumps(results))
    file.write_text(f"above\n{readme.BEGIN}\noutdated\n{readme.END}\nbelow\n")
    for _ in range(2):
        readme.main([str(path), str(file)])
    text = file.read_text()
    assert text.startswith(f"above\n{readme.BEGIN}\n|")
    assert text.endswith(f".\n{readme.END}\nbelow\n")
    assert "outdated" not in text
    assert (tmp_path / readme.PICTURE).read_bytes().startswith(b"<svg")
    # The documentation's pages are made from the copy.
    assert json.loads((tmp_path / readme.KEPT).read_text()) == results


@pytest.mark.parametrize("text", ["nothing", f"{readme.END}\n{readme.BEGIN}", f"{readme.BEGIN * 2}{readme.END}"])
def test_a_file_without_the_marks_is_left_alone(text):
    with pytest.raises(InputError, match="wanted one line"):
        readme.put_between(text, "new", "README.md")


def test_this_readme_has_the_marks():
    text = (command.ROOT / "README.md").read_text()
    assert readme.put_between(text, "new", "README.md") != text
