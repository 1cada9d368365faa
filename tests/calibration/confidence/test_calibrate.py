"""A bundle with a confidence: what its manifest says, what its answers have, and that nothing else changes."""

import json
import math

import numpy as np
import pytest

from calibration import ConfidenceOptions, calibrate_confidence
from edge_qa import Bundle, QuestionAnswerer, pipeline
from edge_qa.errors import BundleError, InputError
from edge_qa.inference.confidence import SIGNS
from tests.support.command import Command
from tests.support.small_data import answers_of, examples, write_questions
from tests.support.tiny import tiny_bundle


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def data(plain, tmp_path_factory):
    return write_questions(tmp_path_factory.mktemp("data") / "data.jsonl", answer=answers_of(plain))


@pytest.fixture(scope="module")
def fit(plain, data, tmp_path_factory):
    return calibrate_confidence(plain, tmp_path_factory.mktemp("sure") / "bundle", data=data)


@pytest.fixture(scope="module")
def sure(fit):
    return QuestionAnswerer.load(fit.path)


@pytest.fixture
def command(monkeypatch, capsys):
    return Command(monkeypatch, capsys)


def test_the_manifest_has_it_and_the_rest_is_the_same(plain, fit):
    before, after = Bundle.load(plain).manifest, Bundle.load(fit.path).manifest
    assert before.confidence is None
    assert (after.files, after.model, after.defaults) == (before.files, before.model, before.defaults)
    assert after.confidence == fit.record
    assert [step.recipe for step in after.lineage][-1] == "calibrate-confidence"
    record = fit.record
    assert all(record.answer[name] * sign >= 0 >= record.none[name] * sign for name, sign in SIGNS.items())
    assert sum(one.answers for one in record.reliability) < record.questions
    assert 0 <= record.expected_calibration_error <= 1


def test_the_same_data_gives_the_same_bytes(plain, data, fit, tmp_path):
    again = calibrate_confidence(plain, tmp_path / "again", data=data)
    assert (again.path / "bundle.json").read_bytes() == (fit.path / "bundle.json").read_bytes()


def test_answers_are_the_same_and_have_a_confidence(plain, sure, fit):
    question, context = examples()[3]
    (old,), (new,) = (one.answer(question, context, top_k=1) for one in (QuestionAnswerer.load(plain), sure))
    assert old.confidence is None
    assert (new.text, new.score, new.start, new.end) == (old.text, old.score, old.start, old.end)
    # By hand: the logits of the one window, the margin over [CLS], and the lead over what shares no token.
    (window,) = sure.windows(question, context, within="block")
    (start,), (end,) = sure.engine.logits([window])
    inside = slice(window.first, window.first + window.context_tokens)
    first = int(np.flatnonzero(window.offsets[:, 0] == new.start)[0])
    last = int(np.flatnonzero(window.offsets[:, 1] == new.end)[0])
    pairs = [
        float(start[inside][i]) + float(end[inside][j])
        for i in range(window.context_tokens)
        for j in range(i, min(i + 30, window.context_tokens))
        if (j < first or i > last) and window.blocks[i] == window.blocks[j]
    ]
    logit = float(start[inside][first]) + float(end[inside][last])
    weights = fit.record.answer
    value = (
        weights["constant"]
        + weights["margin"] * (logit - float(start[0]) - float(end[0]))
        + weights["lead"] * min(20, logit - max(pairs))
        + weights["length"] * math.log(new.end - new.start)
    )
    assert new.confidence == pytest.approx(1 / (1 + math.exp(-value)), abs=1e-5)
    assert f"confidence={new.confidence!r}" in repr(new)
    assert "confidence" not in repr(old)


def test_what_stands_beside_the_passage_does_not_move_a_confidence(sure):
    """An answer has the confidence that its passage alone gives it, wherever the passage stands."""
    passages = [text for _, text in examples() if 200 <= len(text) < 300]
    assert len(passages) > 6
    text = "\n\n".join(passages)
    seen = 0
    for question in {question for question, _ in examples()}:
        several = sure.answer_many([(question, text)] * 3)
        for found in (*sure.answer(question, text, top_k=5), *several):
            begin, end = text.rfind("\n\n", 0, found.start), text.find("\n\n", found.end)
            begin = begin + 2 if begin >= 0 else 0
            passage = text[begin : end if end >= 0 else None]
            for alone in sure.answer(question, passage, top_k=60):
                if (alone.start + begin, alone.end + begin) == (found.start, found.end):
                    assert found.confidence == pytest.approx(alone.confidence, abs=1e-5)
                    seen += found.start > 300  # what is not at the beginning
    assert seen >= 4


def test_what_is_not_sure_enough_is_not_answered(sure):
    pairs = examples()[:20]
    answers = sure.answer_many(pairs)
    least = sorted(answer.confidence for answer in answers)[10]
    held = sure.answer_many(pairs, min_confidence=least)
    streamed = list(sure.stream(pairs, min_confidence=least))
    assert held == streamed
    for before, after in zip(answers, held, strict=True):
        assert after == before if before.confidence >= least else after.text == ""
        assert 0 <= after.confidence <= 1
    assert sure.answer(*pairs[0], min_confidence=1.0).text == ""
    assert sure.answer(*pairs[0], min_confidence=0.0) == answers[0]
    results = pipeline(model=sure, min_confidence=1.0)(question=pairs[0][0], context=pairs[0][1])
    assert results["answer"] == ""


@pytest.mark.parametrize("least", [-0.1, 1.5, math.nan])
def test_a_least_confidence_is_a_share(sure, least):
    with pytest.raises(InputError, match=r"min_confidence: got .*, wanted 0 to 1"):
        sure.answer("Who?", "Ada.", min_confidence=least)


def test_a_bundle_without_one_says_so(plain, command):
    answerer = QuestionAnswerer.load(plain)
    with pytest.raises(InputError, match="this bundle has no confidence; fit one with edge-qa calibrate-confidence"):
        answerer.answer("Who?", "Ada.", min_confidence=0.5)
    with pytest.raises(InputError, match="no confidence"):
        next(answerer.stream([("Who?", "Ada.")], min_confidence=0.5))
    with pytest.raises(InputError, match="no confidence"):
        pipeline(model=answerer)(question="Who?", context="Ada.", min_confidence=0.5)
    asked = command("ask", plain, "Who?", "--text", "Ada was here.", "--min-confidence", "0.5")
    assert (asked.code, asked.out) == (4, "")
    assert "this bundle has no confidence" in asked.err
    assert "confidence:           none; edge-qa calibrate-confidence fits one" in command("inspect", plain).out


def confidence_reads(bundle):
    return Bundle.load(bundle).manifest.confidence.questions


def test_the_commands_fit_it_and_use_it(plain, data, command, tmp_path):
    output = tmp_path / "sure"
    made = command("calibrate-confidence", plain, output, "--data", data, "--false-answers", "0.2")
    assert made.code == 0
    assert "expected calibration error" in made.out
    assert "at most 20% of the questions without an answer" in made.out
    assert ("reads say little" in made.err) == (confidence_reads(output) < 200)
    few = command("calibrate-confidence", plain, output, "--data", data, "--force", "--questions", 40)
    assert f"note: {confidence_reads(output)} reads say little; give 100 questions or more\n" in few.err
    printed = command(
        "calibrate-confidence", plain, output, "--data", data, "--force", "--json", "--questions", 80
    ).json
    assert printed["limit"]["false_answers"] == 0.1
    question, context = examples()[3]
    (asked,) = command("ask", output, question, "--text", context, "--json").json
    wanted = QuestionAnswerer.load(output).answer(question, context).confidence
    assert asked["answers"][0]["confidence"] == wanted
    assert f"confidence {wanted:.0%}" in command("ask", output, question, "--text", context).out
    assert "(no answer)" in command("ask", output, question, "--text", context, "--min-confidence", "1").out
    source = tmp_path / "questions.jsonl"
    source.write_text(json.dumps({"question": question, "context": context}))
    assert command("batch", output, source, "--min-confidence", "1").json["answers"][0]["text"] == ""
    assert "expected calibration error" in command("inspect", output).out


def test_a_manifest_that_says_it_wrongly_is_refused(fit, tmp_path):
    for file in fit.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    raw = json.loads((tmp_path / "bundle.json").read_text())
    raw["confidence"]["none"] = {"constant": 1.0}
    (tmp_path / "bundle.json").write_text(json.dumps(raw))
    with pytest.raises(BundleError, match=r"confidence.none: wanted the terms constant, margin, lead, length"):
        Bundle.load(tmp_path)


def test_options_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="questions: got 3"):
        ConfidenceOptions(questions=3)
    with pytest.raises(InputError, match="false_answers: got 1"):
        ConfidenceOptions(false_answers=1)
