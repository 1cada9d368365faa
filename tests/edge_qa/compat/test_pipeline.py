"""The call that transformers removed: its forms, its options, its results (golden/make_pipeline_parity.py)."""

import inspect
import json
import subprocess
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from edge_qa import BundleError, InputError, QuestionAnswerer, pipeline
from edge_qa.compat.pipeline import _different
from edge_qa.compat.pipeline_arguments import Options
from edge_qa.inference.spans import Span
from tests.support import old_pipeline as old
from tests.support.places import GOLDEN_FILES

GOLDEN = json.loads((GOLDEN_FILES / "pipeline_examples.json").read_text(encoding="utf-8"))
CONTEXT = "The Analytical Engine was described by Ada Lovelace in 1843, in London. Charles Babbage never built it."
QUESTION = "Who described the Analytical Engine?"
BOTH = {"question": QUESTION, "context": CONTEXT}


@pytest.fixture(scope="module")
def answerer(fp16_bundle):
    return old.remember(QuestionAnswerer.load(fp16_bundle))


@pytest.fixture(scope="module")
def qa(answerer):
    return pipeline("question-answering", model=answerer)


@pytest.fixture(scope="module")
def texts(questions):
    found = {}
    for article in json.loads(questions.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for row in paragraph["qas"]:
                found[f"@question:{row['id']}"] = row["question"]
                found[f"@context:{row['id']}"] = paragraph["context"]
    return found


def resolve(value, texts):
    """The inputs of a golden call, as its maker describes them."""
    if isinstance(value, list):
        return [resolve(item, texts) for item in value]
    if isinstance(value, dict) and "generator" in value:
        return (resolve(item, texts) for item in value["generator"])
    if isinstance(value, dict):
        return {key: resolve(item, texts) for key, item in value.items()}
    return texts.get(value, value) if isinstance(value, str) else value


def assert_same(got, expected):
    """The same answers in the same nesting; scores within 1e-3."""
    if isinstance(expected, list):
        assert isinstance(got, list)
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    else:
        assert list(got) == ["score", "start", "end", "answer"]
        assert [type(value) for value in got.values()] == [float, int, int, str]
        assert got["score"] == pytest.approx(expected["score"], abs=1e-3)
        assert got == expected | {"score": got["score"]}


@pytest.mark.parametrize("row", GOLDEN["calls"], ids=range(len(GOLDEN["calls"])))
@pytest.mark.filterwarnings("ignore:topk:DeprecationWarning")
def test_calls_give_what_transformers_gave(qa, texts, row):
    got = qa(*resolve(row["args"], texts), **resolve(row["kwargs"], texts))
    if isinstance(row["expected"], dict) and "generated" in row["expected"]:
        assert inspect.isgenerator(got)
        assert_same(list(got), row["expected"]["generated"])
    else:
        assert_same(got, row["expected"])


def test_several_windows_differ_by_the_rules_alone(qa, texts):
    explained = Counter()
    for row in GOLDEN["questions"]:
        question, context = texts[f"@question:{row['id']}"], texts[f"@context:{row['id']}"]
        logits = old.run(qa.answerer, question, context, **row["lengths"])
        assert len(logits.windows) == row["windows"]
        for call, golden in row["calls"].items():
            top_k, none = 3 if call == "top_3" else 1, call != "default"
            got = qa(question, context, **row["lengths"], top_k=top_k, handle_impossible_answer=none)
            explained[old.explain(logits, golden, old.rows(got), top_k=top_k, none=none)] += 1
    assert explained == {None: 44, 1: 11, 2: 5}


def test_one_in_one_out(qa):
    answer = qa(**BOTH)
    assert answer == qa(QUESTION, CONTEXT) == qa(BOTH) == qa([BOTH]) == qa(data=BOTH) == qa(X=[BOTH])
    assert answer["answer"] == "Ada Lovelace" == CONTEXT[answer["start"] : answer["end"]]
    assert qa(BOTH, BOTH) == qa([BOTH, BOTH]) == [answer, answer]
    assert qa(SimpleNamespace(question_text=QUESTION, context_text=CONTEXT)) == answer  # as SquadExample has them
    assert qa(iter([BOTH])) == answer
    assert qa(BOTH | {"id": "7", "answers": []}) == answer


def test_a_generator_is_read_as_its_answers_are(qa):
    read = []

    def rows():
        for number in range(10_000):
            read.append(number)
            yield BOTH

    answers = qa(rows())
    assert next(answers)["answer"] == "Ada Lovelace"
    assert len(read) < 20


def test_options_of_the_pipeline_are_the_defaults_of_its_calls(answerer):
    qa = pipeline(model=answerer, top_k=2, max_answer_len=1)
    assert [len(one["answer"].split()) for one in qa(**BOTH)] == [1, 1]
    assert qa(**BOTH, top_k=1, max_answer_len=None)["answer"] in ("Ada", "Lovelace")
    assert len(qa(**BOTH)) == 2  # a call changes nothing for the next


def test_defaults_are_those_of_transformers():
    assert Options() == Options(1, None, 15, None, 64, False, True)


def test_top_k_is_exact_and_answers_differ(qa):
    context = "Paris, paris and PARIS. London."
    for top_k in (2, 5, 20):
        answers = qa(question="Which city?", context=context, top_k=top_k)
        assert len({answer["answer"].lower() for answer in answers}) == len(answers) == top_k
        scores = [answer["score"] for answer in answers]
        assert scores == sorted(scores, reverse=True)
    # Every different stretch of words, counted by plain loops: 8 tokens, three of them the same word.
    tokens = ["paris", ",", "paris", "and", "paris", ".", "london", "."]
    stretches = {tuple(tokens[i:j]) for i in range(8) for j in range(i + 1, 9)}
    assert len(qa(question="Which city?", context=context, top_k=1000)) == len(stretches)
    assert qa(question="Which city?", context="Paris", top_k=3)["answer"] == "Paris"


def test_scores_do_not_depend_on_top_k(qa):
    few, many = qa(**BOTH, top_k=3), qa(**BOTH, top_k=300)
    old.assert_equal(old.rows(few), old.rows(many)[:3], 1e-6)
    assert sum(answer["score"] for answer in many) <= 1


def test_a_score_is_that_of_the_text_wherever_it_stands(qa):
    """By hand from the logits: the answer stands twice, in different case."""
    context = "In 1907 JOHN SMITH came. The lighthouse was opened by John Smith."
    question = "Who opened the lighthouse?"
    (window,) = qa.answerer.windows(question, context)
    (start,), (end,) = qa.answerer.engine.logits([window])
    probabilities = []
    for logits in (start, end):
        weights = np.exp(np.append(logits[0], logits[window.first : -1]).astype(float))
        probabilities.append(weights / weights.sum())
    cut = [(context[a:b], i + 1) for i, (a, b) in enumerate(window.offsets.tolist())]
    firsts, lasts = ([place for text, place in cut if text.lower() == word] for word in ("john", "smith"))
    wanted = sum(probabilities[0][i] * probabilities[1][j] for i, j in zip(firsts, lasts, strict=True))
    answer = qa(question=question, context=context)
    assert (answer["answer"], answer["start"]) == ("John Smith", context.index("John"))
    assert answer["score"] == pytest.approx(wanted, abs=1e-6)
    assert len(firsts) == 2


def test_an_answer_stands_where_its_best_pair_of_tokens_does():
    spans = [Span(0, 1, 1.0, 0.3), Span(2, 3, 2.0, 0.2), Span(4, 5, 0.0, 0.4)]
    (best, second) = _different(spans, "A a b", top_k=5)
    assert best == {"score": 0.5, "start": 2, "end": 3, "answer": "a"}
    assert second == {"score": 0.4, "start": 4, "end": 5, "answer": "b"}


def test_words_are_whole_unless_told_otherwise(qa):
    context = "The password is rumpelstiltskinology, says the sign."
    whole = qa(question="What is the password?", context=context, top_k=20)
    parts = qa(question="What is the password?", context=context, top_k=20, align_to_words=False)
    assert whole[0]["answer"] == "rumpelstiltskinology"
    words = {"The", "password", "is", "rumpelstiltskinology", ",", "says", "the", "sign", "."}

    def ends(answers):
        cleaned = [answer["answer"].replace(",", " ,").replace(".", " .").split() for answer in answers]
        return {word for answer in cleaned for word in (answer[0], answer[-1])}

    assert ends(whole) <= words
    assert not ends(parts) <= words


def test_a_word_is_whole_where_a_window_cuts_it(qa):
    word = "rumpelstiltskinology"
    context = " ".join([word] * 60)
    answers = qa(question="Which word?", context=context, max_seq_len=32, doc_stride=3, max_answer_len=2, top_k=400)
    pieces = {piece for answer in answers for piece in answer["answer"].split()}
    assert pieces == {word}


def test_none_competes_by_its_probability(qa):
    always = qa(**BOTH, handle_impossible_answer=True, top_k=1000)
    (none,) = [answer for answer in always if answer["answer"] == ""]
    assert (none["start"], none["end"]) == (0, 0)
    assert 0 < none["score"] < always[0]["score"]
    assert all(answer["answer"] for answer in qa(**BOTH, top_k=1000))


def test_a_long_question_is_cut_to_max_question_len(qa):
    long = QUESTION + " and again" * 400
    assert qa(question=long, context=CONTEXT, max_question_len=6) == qa(
        question="Who described the Analytical Engine?", context=CONTEXT, max_question_len=6
    )


def test_nothing_but_an_endless_word_has_no_answer(qa):
    answer = qa(question="What?", context="x" * 100_000)
    assert (answer["answer"], answer["start"], answer["end"]) == ("", 0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"device": -1, "batch_size": 8, "num_workers": 2, "torch_dtype": None, "tokenizer": None, "framework": None},
        {"device": "cpu", "device_map": "auto", "dtype": "float32", "token": "x", "trust_remote_code": True},
        {"use_fast": True, "model_kwargs": {}, "padding": "longest", "torch_dtype": "auto"},
    ],
)
def test_harmless_options_of_old_code_are_accepted(answerer, options):
    assert pipeline("question-answering", answerer, **options)(**BOTH)["answer"] == "Ada Lovelace"


def test_the_bundle_may_be_named_as_tokenizer_too(fp16_bundle):
    assert pipeline("question-answering", str(fp16_bundle), tokenizer=str(fp16_bundle))(**BOTH)["start"] == 39


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": 0}, "device: got 0, wanted None or -1 or cpu"),
        ({"device": "cuda"}, "Edge QA runs on the CPU"),
        ({"framework": "pt"}, "framework: got str, wanted None .OpenVINO runs the model.; remove it"),
        ({"torch_dtype": "float16"}, "torch_dtype: got 'float16'"),
        ({"tokenizer": "bert-base-uncased"}, "a bundle holds its tokenizer"),
        ({"use_fast": False}, "use_fast: got False"),
        ({"topp_k": 3}, "unknown option 'topp_k', wanted one of align_to_words, "),
        ({"top_k": 0}, "top_k: got 0, wanted a whole number of at least 1"),
        ({"top_k": True}, "top_k: got True"),
        ({"max_answer_len": 1.5}, "max_answer_len: got 1.5"),
        ({"align_to_words": "yes"}, "align_to_words: got 'yes', wanted True or False"),
        ({"top_k": -1, "device": 1}, "device: got 1.*; top_k: got -1|top_k: got -1.*; device: got 1"),
    ],
)
def test_options_that_cannot_be_honoured_are_refused_in_one_line(answerer, options, message):
    with pytest.raises(InputError, match=message) as caught:
        pipeline("question-answering", answerer, **options)
    assert "\n" not in str(caught.value)


def test_another_task_and_no_model_are_refused(tmp_path):
    with pytest.raises(InputError, match="task 'summarization', wanted 'question-answering'"):
        pipeline("summarization")
    with pytest.raises(InputError, match="no model; give the folder of a bundle"):
        pipeline("question-answering")
    with pytest.raises(BundleError, match="does not exist"):
        pipeline("question-answering", "deepset/roberta-base-squad2")


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "got none, wanted question=... and context=..."),
        ((), {"question": QUESTION}, "got question, wanted question=... and context=..."),
        (({"question": QUESTION},), {}, "input 0: got a dict with question, wanted a dict with question and context"),
        ((QUESTION,), {}, "input 0: got str"),
        ((None,), {}, "input 0: got None"),
        (([BOTH, 7],), {}, "input 1: got int"),
        ((), {"question": [QUESTION], "context": [CONTEXT, CONTEXT]}, "got 2 contexts for 1 questions"),
        ((), {"question": [QUESTION], "context": None}, "got None for 1 questions"),
        ((), {"question": QUESTION, "context": [CONTEXT]}, "context: got list, wanted text"),
        ((), {"question": " ", "context": CONTEXT}, "question is empty"),
        (([BOTH, BOTH | {"context": ""}],), {}, "input 1: context is empty"),
        ((), {"question": QUESTION, "context": "\ud800"}, "lone surrogate"),
        ((), BOTH | {"max_seq_len": 513}, "max_seq_len: got 513, the model takes at most 512"),
        ((), BOTH | {"doc_stride": -1}, "doc_stride: got -1"),
        ((BOTH,), {"question": QUESTION}, "got both inputs by position and question"),
    ],
)
def test_inputs_that_cannot_be_understood_are_refused(qa, args, kwargs, message):
    with pytest.raises(InputError, match=message):
        qa(*args, **kwargs)


@pytest.mark.parametrize(
    "first", ["from edge_qa.compat.pipeline import Result", "import edge_qa.compat.pipeline", "pass"]
)
def test_the_name_is_the_function_whatever_was_imported_before(first):
    code = f"{first}\nfrom edge_qa import pipeline\ntry: pipeline('x')\nexcept Exception as error: print(error)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("pipeline: task 'x', wanted 'question-answering'")
