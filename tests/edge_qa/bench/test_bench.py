"""What a bench measures: the right texts, in turns, with every part of the time where it belongs."""

import json
import os
import stat
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from edge_qa.answerer import QuestionAnswerer
from edge_qa.bench import bench as bench_module
from edge_qa.bench.bench import bench
from edge_qa.bench.fresh_process import run_fresh_process
from edge_qa.bench.page import _ticks
from edge_qa.bench.sized_text import _WORDS, SizedTexts
from edge_qa.errors import BundleError, InferenceError, InputError, ResourceError
from edge_qa.inference import cutting
from edge_qa.inference.engine import Engine
from edge_qa.inference.spans import SpanSelector
from edge_qa.system.machine import CPUTime, _busy_seconds, is_disturbed, this_machine
from edge_qa.text.tokenizer import TextTokenizer
from tests.support.tiny import tiny_bundle

LENGTHS = (9, 40, 200)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bench")
    return [tiny_bundle(folder, seed=seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def measured(bundles):
    """A report, and the true length of every window that was run."""
    lengths: list[int] = []
    logits = Engine.logits

    def watched(self, windows, **options):
        lengths.extend(window.tokens for window in windows)
        return logits(self, windows, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "logits", watched)
        report = bench(bundles, lengths=LENGTHS, questions=3, repeat=2, starts=1, seed=4)
    return report, lengths


def test_the_lengths_asked_for_are_the_true_lengths_that_were_run(measured):
    report, run = measured
    assert set(run) == set(LENGTHS)
    for bundle in report.bundles:
        assert [timing.tokens for timing in bundle.timings] == list(LENGTHS)
        assert [timing.mean_tokens for timing in bundle.timings] == list(LENGTHS)
        assert [timing.mean_run_tokens for timing in bundle.timings] == [16, 48, 208]  # rounded up to 16
        assert {timing.mean_windows for timing in bundle.timings} == {1}


def test_the_parts_of_a_question_add_up_to_its_time(measured):
    for bundle in measured[0].bundles:
        for timing in bundle.timings:
            parts = timing.tokenize.mean_ms + timing.inference.mean_ms + timing.spans.mean_ms
            assert parts == pytest.approx(timing.end_to_end.mean_ms, rel=1e-9)
            assert timing.samples == 6
            assert timing.questions_per_second > 0


def test_the_parts_of_a_cold_start_add_up(measured):
    for bundle in measured[0].bundles:
        start = asdict(bundle.start)
        total = start.pop("total_ms")
        assert sum(start.values()) == pytest.approx(total, rel=1e-9)
        assert all(value > 0 for value in start.values())
        assert 10e6 < bundle.peak_bytes <= bundle.every_length_peak_bytes


def test_speed_is_relative_to_the_first_bundle(measured):
    first, second = measured[0].bundles
    assert [timing.speed for timing in first.timings] == [1, 1, 1]
    for one, other in zip(first.timings, second.timings, strict=True):
        assert other.speed == pytest.approx(one.end_to_end.p50_ms / other.end_to_end.p50_ms)


def test_a_report_is_json_ready(measured):
    values = json.loads(json.dumps(asdict(measured[0])))
    assert values["bundles"][1]["timings"][0]["end_to_end"]["p50_ms"] > 0
    assert values["settings"] == {"lengths": [9, 40, 200], "data": None, "data_sha256": None, "repeat": 2, "seed": 4}
    assert values["machine"]["threads"] >= 1


def test_bundles_take_turns_and_each_is_first_every_other_time(bundles, monkeypatch):
    order: list[str] = []
    ask, answer_many = bench_module._ask, QuestionAnswerer.answer_many
    names: dict[int, str] = {}

    def name(answerer):
        return names.setdefault(id(answerer), "ABC"[len(names)])

    def watched_ask(answerer, pair):
        order.append(name(answerer))
        return ask(answerer, pair)

    def watched_many(self, pairs):
        order.append(f"{name(self)} all {len(pairs)}")
        return answer_many(self, pairs)

    monkeypatch.setattr(bench_module, "_ask", watched_ask)
    monkeypatch.setattr(QuestionAnswerer, "answer_many", watched_many)
    bench(bundles, lengths=[20], questions=12, repeat=2, starts=0)
    # Turns of 10 and of 2 questions, each after an untimed one.
    one_repetition = ["A"] * 11 + ["B"] * 11 + ["B"] * 3 + ["A"] * 3
    expected = ["A all 12", "B all 12", *one_repetition, "B all 12", "A all 12", *one_repetition]
    assert order == [*expected, "A all 12", "B all 12"]


@pytest.mark.parametrize(
    ("owner", "method", "part"),
    [
        (QuestionAnswerer, "windows", "tokenize"),
        (Engine, "logits", "inference"),
        (SpanSelector, "result", "spans"),
    ],
)
def test_a_delay_shows_in_the_part_where_it_happens(bundles, monkeypatch, owner, method, part):
    original = getattr(owner, method)

    def slow(self, *arguments, **options):
        time.sleep(0.06)
        return original(self, *arguments, **options)

    monkeypatch.setattr(owner, method, slow)
    timing = bench(bundles[:1], lengths=[16], questions=1, repeat=3, starts=0).bundles[0].timings[0]
    medians = {name: getattr(timing, name).p50_ms for name in ("tokenize", "inference", "spans")}
    assert medians[part] >= 60
    assert max(medians, key=medians.__getitem__) == part
    assert timing.end_to_end.p50_ms >= 60


def test_percentiles_of_known_times():
    latency = bench_module._latency(np.arange(1, 101) / 1000)
    assert (latency.mean_ms, latency.p50_ms) == (pytest.approx(50.5), pytest.approx(50.5))
    assert (latency.p90_ms, latency.p99_ms) == (pytest.approx(90.1), pytest.approx(99.01))


def test_a_data_set_is_timed_as_it_is(bundles, tmp_path):
    rows = [
        {"question": f"who built bridge {i} ?", "context": "ada built a stone bridge in london . " * 40} for i in "123"
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    report = bench(bundles[:1], data=path, questions=2, repeat=1, starts=0)
    (timing,) = report.bundles[0].timings
    assert (timing.workload, timing.tokens, timing.questions, timing.samples) == ("rows.jsonl", None, 2, 2)
    # 320 context tokens in windows of 256, of which 3 special and 5 or 6 question tokens, sharing 128: 2 windows.
    assert timing.mean_windows == 2
    assert report.settings.lengths == ()
    assert len(report.settings.data_sha256) == 64


def test_no_turn_and_no_bulk_pass_finds_its_texts_remembered(bundles, tmp_path, monkeypatch):
    data = tmp_path / "data.jsonl"
    rows = [{"question": f"who {word} ?", "context": "ada flew a pilot at noon"} for word in ("flew", "sang", "ran")]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found: list[str] = []
    tokenize_whole = cutting._tokenize_whole

    def noted(tokenizer, context, *how):
        found.append(context)
        return tokenize_whole(tokenizer, context, *how)

    monkeypatch.setattr(cutting, "_tokenize_whole", noted)
    bench(bundles[:1], data=data, questions=3, repeat=2, starts=0)
    # Looked through, and warmed up with; then for each of two repetitions one turn and one bulk pass.
    assert found.count(rows[0]["context"]) == 1 + 2 * 2


def test_a_question_that_cannot_be_asked_is_named(bundles, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"id": "blank-one", "question": " ", "context": "stone"}))
    with pytest.raises(InputError, match="question blank-one: question is empty"):
        bench(bundles, data=path, starts=0)


def test_default_lengths_are_those_that_fit(bundles, tmp_path):
    small = tiny_bundle(tmp_path, positions=64)
    report = bench([bundles[0], small], questions=1, repeat=1, starts=0)
    assert report.settings.lengths == (32, 64)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lengths": [257]}, "length 257: windows of this bundle have 5 to 256 tokens"),
        ({"lengths": [4]}, "length 4: windows of this bundle have 5 to 256 tokens"),
        ({"lengths": []}, "lengths: got none"),
        ({"questions": 0}, "questions: got 0"),
        ({"repeat": 0}, "repeat: got 0"),
        ({"starts": -1}, "starts: got -1"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(bundles, options, message):
    with pytest.raises(InputError, match=message):
        bench(bundles, **options)


def test_no_bundle_is_an_error():
    with pytest.raises(InputError, match="bundles: got none"):
        bench([])
    with pytest.raises(BundleError):
        bench(["/nowhere"])


@pytest.mark.parametrize("tokens", [5, 6, 7, 16, 31, 100, 256, 383, 384])
def test_a_pair_has_exactly_the_length_asked_for(fp16_bundle, answerer, tokens):
    question, context = SizedTexts(answerer).pair(tokens)
    plain = Tokenizer.from_file(str(fp16_bundle / "tokenizer.json"))
    plain.no_truncation()
    plain.no_padding()
    assert len(plain.encode(question, context).ids) == tokens


@pytest.fixture(scope="module")
def answerer(fp16_bundle) -> QuestionAnswerer:
    return QuestionAnswerer.load(fp16_bundle)


def test_the_same_seed_makes_the_same_texts(answerer):
    texts = SizedTexts(answerer)
    assert texts.pair(64, seed=1, index=2) == SizedTexts(answerer).pair(64, seed=1, index=2)
    different = {texts.pair(64, seed=seed, index=index) for seed in (1, 2) for index in (0, 1, 2)}
    assert len(different) == 6


def byte_level_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"])
    tokenizer.train_from_iterator([_WORDS], trainer)
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>")
    tokenizer.train_from_iterator([_WORDS], trainer)
    return tokenizer


@pytest.mark.parametrize("make", [byte_level_bpe, unigram])
def test_other_kinds_of_tokenizers_give_exact_lengths_too(make):
    plain = make()
    plain.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    texts = SizedTexts(SimpleNamespace(tokenizer=TextTokenizer(plain.to_str())))
    random = np.random.default_rng(0)
    for tokens in (1, 2, 5, 17, 64, 250):
        assert len(plain.encode(texts.text(tokens, random), add_special_tokens=False).ids) == tokens


def test_the_memory_of_a_fresh_process_is_its_own(bundles):
    ballast = np.ones(600 * 2**20, np.uint8)
    run = run_fresh_process(bundles[0], "who ?", "ada wrote a book .")
    assert run.peak_bytes < ballast.nbytes
    assert run.every_length_peak_bytes is None


def test_a_fresh_process_says_why_it_gave_no_answer(tmp_path):
    with pytest.raises(InferenceError, match=r"in a fresh process: .*nothing.* does not exist") as caught:
        run_fresh_process(tmp_path / "nothing", "who ?", "ada .")
    assert "\n" not in str(caught.value)


def test_a_fresh_process_that_is_killed_points_at_memory(bundles, tmp_path, monkeypatch):
    victim = tmp_path / "python"
    victim.write_text("#!/bin/sh\nkill -9 $$\n")
    os.chmod(victim, os.stat(victim).st_mode | stat.S_IXUSR)
    monkeypatch.setattr("sys.executable", str(victim))
    with pytest.raises(ResourceError, match="killed by signal 9"):
        run_fresh_process(bundles[0], "who ?", "ada .")


def test_other_programs_are_what_all_did_less_this_one():
    begin = CPUTime(clock=100.0, all_programs=50.0, own=7.0)
    end = CPUTime(clock=110.0, all_programs=65.0, own=12.0)
    assert end.others_since(begin) == pytest.approx(1.0)  # 15 s of all, 5 s of them own, in 10 s
    assert replace(end, own=30.0).others_since(begin) == 0
    assert replace(end, all_programs=None).others_since(begin) is None


def test_busy_time_leaves_out_idling_and_waiting(tmp_path):
    (tmp_path / "stat").write_text("cpu  100 20 30 9999 8888 4 5 6 77 88\ncpu0 1 1 1 1 1 1 1 1\n")
    assert _busy_seconds(tmp_path / "stat") == pytest.approx(165 / os.sysconf("SC_CLK_TCK"))
    (tmp_path / "stat").write_text("nothing of use\n")
    assert _busy_seconds(tmp_path / "stat") is None


@pytest.mark.parametrize(
    ("cores", "threads", "others", "load", "disturbed"),
    [
        (2, 2, 0.1, 9.0, False),
        (2, 2, 0.5, 0.0, True),
        (8, 2, 5.0, 9.0, False),
        (8, 2, 7.0, 0.0, True),
        (2, 2, None, 1.0, True),
        (4, 2, None, 1.0, False),
    ],
)
def test_a_machine_is_disturbed_if_threads_had_to_wait(cores, threads, others, load, disturbed):
    machine = replace(this_machine(), cores=cores, threads=threads, load_average=load)
    assert is_disturbed(others, machine) is disturbed


@pytest.mark.parametrize(
    ("largest", "ticks"),
    [(384, [0, 100, 200, 300, 400]), (9.2, [0, 2, 4, 6, 8, 10]), (100, [0, 20, 40, 60, 80, 100]), (0.03, None)],
)
def test_axes_have_round_numbers(largest, ticks):
    found = _ticks(largest)
    assert found[0] == 0
    assert found[-1] >= largest
    assert 4 <= len(found) <= 8
    assert ticks is None or found == pytest.approx(ticks)
