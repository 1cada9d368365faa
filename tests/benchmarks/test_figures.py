"""The benchmark's arithmetic, and which questions are asked, by hand."""

import pytest

from benchmarks.side_by_side.artefacts import json_lines
from benchmarks.side_by_side.contenders import CONTENDERS, REFERENCE, groups_that_fit
from benchmarks.side_by_side.environments import folder_bytes
from benchmarks.side_by_side.figures import changes, medians_by_length, quantile, spread
from benchmarks.side_by_side.plots import ticks
from benchmarks.side_by_side.questions import by_passages, read_sample, round_the_passages
from benchmarks.side_by_side.questions import spread as spread_items
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Example, read_dataset


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 2.5), (0.9, 3.7), (1, 4)])
def test_a_quantile_lies_between_two_values(share, expected):
    assert quantile([4, 1, 3, 2], share) == pytest.approx(expected)


def test_spread_of_a_hundred_and_one_values():
    found = spread([float(value) for value in range(101)])
    assert (found.mean, found.p50, found.p90, found.p99) == pytest.approx((50, 50, 90, 99))


def test_lengths_fall_into_bands_and_thin_bands_are_left_out():
    tokens, milliseconds = [10, 20, 30, 70, 70, 80, 200], [1, 2, 9, 5, 6, 7, 99]
    assert medians_by_length(tokens, milliseconds) == [(20, 2), (pytest.approx(220 / 3), 6)]


def test_a_change_is_relative_to_the_smaller_ratio_whichever_run_has_it():
    found = changes({"a": 2.0, "b": 3.0, "only here": 1.0}, {"a": 2.2, "b": 2.0, "zero": 0.0})
    assert found == {"a": pytest.approx(0.1), "b": pytest.approx(0.5)}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 9, [0, 2, 4, 6, 8, 10]), (82.6, 84.1, [82.5, 83, 83.5, 84, 84.5]), (0, 0.5, [0, 0.1, 0.2, 0.3, 0.4, 0.5])],
)
def test_ticks_are_round_and_hold_everything(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_spread_items_takes_both_ends():
    assert spread_items(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread_items([1, 2], 5) == [1, 2]
    assert spread_items([7, 8, 9], 1) == [7]


def test_a_folder_counts_its_files_and_no_links(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    (tmp_path / "link").symlink_to(tmp_path / "b")
    assert folder_bytes(tmp_path) == 8


def test_no_passage_is_asked_about_twice_in_a_row():
    examples = [Example(name, "Who?", context, ("x",)) for name, context in zip("abcdef", "xxxyyz", strict=True)]
    assert [example.id for example in round_the_passages(examples)] == ["a", "d", "f", "b", "e", "c"]


def test_a_sample_goes_round_its_passages(questions):
    sample = read_sample(questions, 282)
    passages = len({example.context for example in sample.examples})
    first = [example.context for example in sample.examples[:passages]]
    assert len(set(first)) == passages > 8


def test_only_answerable_questions_are_asked(questions):
    sample = read_sample(questions, 7)
    assert (sample.of, len(sample.examples)) == (282, 7)
    assert all(example.answers for example in sample.examples)


def test_questions_without_answers_are_refused(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"question": "Who?", "context": "Ada."}\n')
    with pytest.raises(InputError, match="no question has an answer"):
        read_sample(path, 3)


def test_a_blank_question_is_refused_before_anything_is_asked(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"id": "b7", "question": " ", "context": "Ada.", "answers": ["Ada"]}\n')
    with pytest.raises(InputError, match="question b7: question or text is blank"):
        read_sample(path, 3)


def test_what_calibrates_and_what_is_asked_share_no_passage(questions):
    dataset = read_dataset(questions)
    calibrates, asked = by_passages(dataset)
    assert len(calibrates) + len(asked) == len(dataset)
    passages = [{example.context for example in half} for half in (calibrates, asked)]
    assert [len(found) for found in passages] == [17, 17]
    assert not passages[0] & passages[1]


def test_what_calibrates_is_read_back_as_it_was(questions, tmp_path):
    """Unanswerable questions among them: budgets are scored on it."""
    half, _ = by_passages(read_dataset(questions))
    (tmp_path / "calibration.jsonl").write_bytes(json_lines(half))
    again = read_dataset(tmp_path / "calibration.jsonl")
    kept = [[(one.question, one.context, one.answers) for one in side] for side in (half, again)]
    assert kept[0] == kept[1]
    assert again.version == "v2.0"


def test_every_group_has_the_reference_and_fits_into_memory():
    chosen = list(CONTENDERS.values())
    groups = groups_that_fit(chosen, 3 * 10**9)
    assert len(groups) > 2
    assert all(group[0].name == REFERENCE for group in groups)
    assert all(sum(one.needs_bytes for one in group) <= 3 * 10**9 for group in groups)
    others = [one.name for group in groups for one in group[1:]]
    assert others == [one.name for one in chosen if one.name != REFERENCE]
    assert groups_that_fit(chosen, None) == [chosen]
