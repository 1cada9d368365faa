"""The call that transformers 5.3 removed: `pipeline("question-answering", model=BUNDLE)`.

Signature, defaults, input forms and results are those of transformers 4.57, and where a context fits one
window the answers and scores are, too. Where the old pipeline was wrong, this one differs, by these rules:

1. One softmax spans all windows of a context. (The old one had one for each window, so that a window
   without the answer could win over the window that holds it.)
2. What stands in two windows counts once. (The old one added its scores up, to more than 1.)
3. A score is the probability of the answer's text: the sum over everything that reads the same, upper and
   lower case aside, once aligned to words. (The old one summed over the 2 * top_k + 10 best token pairs
   only, or top_k without word alignment, so that scores depended on top_k.)
4. Exactly `top_k` different answers come back, unless the context has no more. (The old one could return
   fewer, or ones with score 0 that end before they start.)
5. A word is whole where a window cuts it, and an answer neither begins nor ends inside a character that a
   reader sees, nor with white space.
6. Special tokens that stand in a text, such as "[SEP]", are text.
7. `max_question_len` holds. (The old one ignored it, and failed on questions longer than the window.)
8. With `handle_impossible_answer`, "none" has the probability of [CLS], taken from the window where it is
   least likely, as in SQuAD 2.0 (the old one did so with rule 1's scores).
9. An answer has at most 100 * max_answer_len characters, and words of more than 1000 are not aligned to.
   If nothing else is there, the answer is "".
10. What cannot be answered (a blank text, a lone surrogate, an unknown option) raises InputError, a bundle
    that cannot be loaded BundleError. Keys of an input other than question and context are ignored.

Options without an effect are accepted where they ask for what happens anyway: `device` None, -1 or "cpu",
`device_map` None, "auto" or "cpu", `dtype` and `torch_dtype` None, "auto" or float32, `tokenizer` None or
the same as `model`, `use_fast` True, empty `model_kwargs`; and with any value `batch_size`, `num_workers`,
`padding`, `token`, `use_auth_token`, `trust_remote_code`. All others are refused, unless they are None.
"""

import os
import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from edge_qa.answerer import QuestionAnswerer
from edge_qa.compat.pipeline_arguments import Options, Pair, find_inputs, read_pair, read_pairs, with_options
from edge_qa.errors import InputError
from edge_qa.inference.spans import Selection, Span, select_spans
from edge_qa.text.windows import Window

TASK = "question-answering"

Result = dict[str, Any]  # score, start, end, answer


def pipeline(
    task: str | None = None,
    model: str | os.PathLike[str] | QuestionAnswerer | None = None,
    config: Any = None,
    tokenizer: Any = None,
    feature_extractor: Any = None,
    image_processor: Any = None,
    processor: Any = None,
    framework: Any = None,
    revision: Any = None,
    use_fast: bool = True,
    token: Any = None,
    device: Any = None,
    device_map: Any = None,
    dtype: Any = "auto",
    trust_remote_code: Any = None,
    model_kwargs: Any = None,
    pipeline_class: Any = None,
    **options: Any,
) -> "QuestionAnsweringPipeline":
    """Return a callable that answers questions, as transformers 4 did.

    task: "question-answering", or None.
    model: the folder of a bundle, or a loaded QuestionAnswerer.
    options: defaults of the calls, see `Options`. The other parameters are there because transformers has them.
    Raises InputError for another task and for options that cannot be honoured, BundleError for the bundle.
    """
    if task not in (None, TASK):
        raise InputError(f"task {task!r}", where="pipeline", wanted=f"{TASK!r}", remedy="Edge QA does no other")
    if model is None:
        raise InputError("no model", where="pipeline", remedy="give the folder of a bundle, made with edge-qa convert")
    given = {
        "config": config,
        "tokenizer": None if tokenizer == model else tokenizer,
        "feature_extractor": feature_extractor,
        "image_processor": image_processor,
        "processor": processor,
        "framework": framework,
        "revision": revision,
        "use_fast": use_fast,
        "device": device,
        "device_map": device_map,
        "dtype": dtype,
        "model_kwargs": model_kwargs,
        "pipeline_class": pipeline_class,
    }
    calls = with_options(Options(), given | options)
    answerer = model if isinstance(model, QuestionAnswerer) else QuestionAnswerer.load(model)
    return QuestionAnsweringPipeline(answerer, calls)


class QuestionAnsweringPipeline:
    """Answers questions in the ways in which the pipeline of transformers 4 could be called."""

    task = TASK

    def __init__(self, answerer: QuestionAnswerer, options: Options | None = None) -> None:
        self.answerer = answerer
        self.options = options or Options()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer one question or many.

        Inputs: `question` and `context` as keywords (one of each, a list of questions and one context, or
        two lists), two strings, a dict with the two keys, several dicts or a list of them, or a generator;
        `data=` and `X=` take what the first positional argument takes.
        Returns a dict {'score', 'start', 'end', 'answer'} for one input, and a list of them with `top_k` (but
        for a single answer); for several inputs a list of these; for a generator an iterator of these.
        Raises InputError.
        """
        inputs: dict[str, Any] = {
            name: kwargs.pop(name) for name in ("question", "context", "data", "X") if name in kwargs
        }
        options = with_options(self.options, kwargs)
        given = find_inputs(args, inputs)
        if isinstance(given, types.GeneratorType):
            return self._results((read_pair(item, place) for place, item in enumerate(given)), options, many=True)
        pairs, single = read_pairs(given)
        results = list(self._results(iter(pairs), options, many=not single, prompt=False))
        return results[0] if single else results

    def _results(
        self, pairs: Iterator[Pair], options: Options, *, many: bool, prompt: bool = True
    ) -> Iterator[Result | list[Result]]:
        self.answerer.check_confidence(options.min_confidence)
        longest = options.max_seq_len or min(384, self.answerer.longest_window)
        cut = partial(
            self.answerer.windows,
            max_seq_len=longest,
            doc_stride=min(longest // 2, 128) if options.doc_stride is None else options.doc_stride,
            max_question_len=options.max_question_len,
            align_to_words=options.align_to_words,
        )
        look = partial(
            self.answerer.closer_looks,
            max_question_len=options.max_question_len,
            align_to_words=options.align_to_words,
        )
        outcomes = self.answerer.outcomes(
            pairs,
            lambda pair: cut(*pair),
            max_answer_len=options.max_answer_len,
            top_k=None,
            prompt=prompt,
            closer=None if options.min_confidence is None else lambda pair, selection: look(selection, *pair),
        )
        for place, outcome in enumerate(outcomes):
            question, context = outcome.item
            if outcome.error is not None:
                told = f"input {place}: {outcome.error}" if many else str(outcome.error)
                raise InputError(told) from outcome.error
            selection = outcome.spans()
            spans = selection.spans
            if options.min_confidence is not None:
                spans = self.answerer.sure_spans(spans, options.min_confidence)
            answers = _different(spans, context, options.top_k)
            if len(answers) < options.top_k and options.min_confidence is None:
                answers = self._exhaust(cut, question, context, options, len(selection.spans))
            yield _finish(answers, selection, options)

    def _exhaust(
        self, cut: Callable[[str, str], Iterator[Window]], question: str, context: str, options: Options, known: int
    ) -> list[Result]:
        """Every answer down to the least likely, for a `top_k` that wants more than are worth a thought."""
        windows = list(cut(question, context))
        start, end = self.answerer.engine.logits(windows)
        wanted = known + options.top_k
        while True:
            wanted *= 4
            spans = select_spans(start, end, windows, top_k=wanted, max_answer_len=options.max_answer_len).spans
            answers = _different(spans, context, options.top_k)
            if len(answers) >= options.top_k or len(spans) < wanted:
                return answers


def _different(spans: Sequence[Span], context: str, top_k: int) -> list[Result]:
    """The best answers that differ in more than case, best first; each where its best token pair stands."""
    scores: dict[str, float] = {}
    best: dict[str, Span] = {}
    for span in spans:
        text = context[span.start : span.end].lower()
        known = best.get(text)
        if known is None or span.logit > known.logit:
            best[text] = span
        scores[text] = scores.get(text, 0.0) + span.score
    chosen = sorted(scores, key=scores.__getitem__, reverse=True)[:top_k]
    return [_result(min(1.0, scores[text]), best[text].start, best[text].end, context) for text in chosen]


def _finish(answers: list[Result], selection: Selection, options: Options) -> Result | list[Result]:
    if options.handle_impossible_answer or not answers:
        answers = sorted([*answers, _result(selection.null_score, 0, 0, "")], key=lambda answer: -answer["score"])
    answers = answers[: options.top_k]
    return answers[0] if len(answers) == 1 else answers


def _result(score: float, start: int, end: int, context: str) -> Result:
    return {"score": score, "start": start, "end": end, "answer": context[start:end]}
