"""What the pipeline of transformers 4 could be given: its options, and its many forms of input."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from edge_qa.errors import InputError

Pair = tuple[str, str]  # question, context

_ANYTHING = None
# Values, as text, with which an option asks for what happens anyway.
_WITHOUT_EFFECT: dict[str, frozenset[str] | None] = {
    "batch_size": _ANYTHING,
    "num_workers": _ANYTHING,
    "padding": _ANYTHING,
    "token": _ANYTHING,
    "use_auth_token": _ANYTHING,
    "trust_remote_code": _ANYTHING,
    "device": frozenset({"-1", "cpu"}),
    "device_map": frozenset({"auto", "cpu"}),
    "dtype": frozenset({"auto", "float32", "torch.float32"}),
    "torch_dtype": frozenset({"auto", "float32", "torch.float32"}),
    "use_fast": frozenset({"True"}),
    "model_kwargs": frozenset({"{}"}),
}
# Why the others cannot be honoured.
_REFUSED = {
    "config": "a bundle holds all that describes its model",
    "tokenizer": "a bundle holds its tokenizer",
    "feature_extractor": "questions are text",
    "image_processor": "questions are text",
    "processor": "a bundle holds its tokenizer",
    "modelcard": "a bundle holds its model card",
    "framework": "OpenVINO runs the model",
    "revision": "a bundle is a folder on this machine",
    "pipeline_class": "there is one",
    "args_parser": "there is one",
    "binary_output": "answers are text",
    "device": "Edge QA runs on the CPU",
    "device_map": "Edge QA runs on the CPU",
    "dtype": "float32 gives nearly the same scores on every CPU; QuestionAnswerer.load has `precision`",
    "torch_dtype": "float32 gives nearly the same scores on every CPU; QuestionAnswerer.load has `precision`",
    "use_fast": "a bundle's tokenizer is a fast one",
    "model_kwargs": "QuestionAnswerer.load has the options of a model",
}


@dataclass(frozen=True)
class Options:
    """What a call may set, and its defaults; lengths in tokens."""

    top_k: int = 1
    doc_stride: int | None = None  # min(max_seq_len // 2, 128)
    max_answer_len: int = 15
    max_seq_len: int | None = None  # 384, or what the model takes
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    min_confidence: float | None = None  # not of transformers: answer "" rather than with less


_LEAST = {"top_k": 1, "doc_stride": 0, "max_answer_len": 1, "max_seq_len": 1, "max_question_len": 1}
_NAMES = frozenset(field.name for field in fields(Options))


def with_options(defaults: Options, given: Mapping[str, Any]) -> Options:
    """Return the defaults with what is given instead; None is as good as nothing.

    Raises InputError, one for all that is wrong, for values of a wrong type or size and for options
    that are unknown or would have to change what happens.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if "topk" in given:
        warnings.warn("topk is the old name of top_k", DeprecationWarning, stacklevel=4)
        given.setdefault("top_k", given["topk"])
        del given["topk"]
    problems = [problem for name, value in given.items() if (problem := _problem(name, value))]
    if problems:
        raise InputError("; ".join(problems), where="pipeline")
    return replace(defaults, **{name: value for name, value in given.items() if name in _NAMES})


def _problem(name: str, value: Any) -> str | None:
    if name in _LEAST:
        if isinstance(value, int) and not isinstance(value, bool) and value >= _LEAST[name]:
            return None
        return f"{name}: got {value!r}, wanted a whole number of at least {_LEAST[name]}"
    if name == "min_confidence":
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
            return None
        return f"{name}: got {value!r}, wanted 0 to 1"
    if name in _NAMES:
        return None if isinstance(value, bool) else f"{name}: got {value!r}, wanted True or False"
    if name in _WITHOUT_EFFECT:
        accepted = _WITHOUT_EFFECT[name]
        if accepted is _ANYTHING or str(value) in accepted:
            return None
        return f"{name}: got {value!r}, wanted None or {' or '.join(sorted(accepted))} ({_REFUSED[name]}); remove it"
    if name in _REFUSED:
        return f"{name}: got {type(value).__name__}, wanted None ({_REFUSED[name]}); remove it"
    return f"unknown option {name!r}, wanted one of {', '.join(sorted(_NAMES))}; correct or remove it"


def find_inputs(args: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    """Return the inputs, wherever in a call they stand. Raises InputError if they stand nowhere."""
    if args and named:
        raise InputError(
            f"got both inputs by position and {', '.join(named)}", where="inputs", wanted="either", remedy="remove one"
        )
    if len(args) == 1:
        return args[0]
    if len(args) == 2 and all(isinstance(one, str) for one in args):
        return {"question": args[0], "context": args[1]}
    if args:
        return list(args)
    for name in ("X", "data"):
        if name in named:
            return named[name]
    if "question" in named and "context" in named:
        question, context = named["question"], named["context"]
        return _dicts(question, context) if _is_list(question) else {"question": question, "context": context}
    raise InputError(
        f"got {', '.join(named) or 'none'}", where="inputs", wanted="question=... and context=...", remedy="give both"
    )


def read_pairs(inputs: Any) -> tuple[list[Pair], bool]:
    """Return all pairs of inputs that are no generator, and whether the answer to them is a single one."""
    if isinstance(inputs, Mapping) and _is_list(inputs.get("question")):
        # Lists inside one dict have a list of answers, even if they are lists of one.
        dicts = _dicts(inputs["question"], inputs.get("context"))
        return [read_pair(item, place) for place, item in enumerate(dicts)], False
    items = list(inputs) if _is_list(inputs) else [inputs]
    return [read_pair(item, place) for place, item in enumerate(items)], len(items) == 1


def read_pair(item: Any, place: int = 0) -> Pair:
    """Return question and context of a dict, or of something like SquadExample, unchecked but for being there."""
    question: Any
    context: Any
    if isinstance(item, Mapping):
        question, context = item.get("question"), item.get("context")
    else:
        question, context = getattr(item, "question_text", None), getattr(item, "context_text", None)
    if question is None or context is None:
        what = f"a dict with {', '.join(map(str, item)) or 'no keys'}" if isinstance(item, Mapping) else _name(item)
        raise InputError(
            f"got {what}", where=f"input {place}", wanted="a dict with question and context", remedy="give both"
        )
    return question, context


def _dicts(questions: Any, contexts: Any) -> list[dict[str, Any]]:
    """One dict a question; one context serves all of them."""
    questions, contexts = list(questions), list(contexts) if _is_list(contexts) else contexts
    if isinstance(contexts, str):
        contexts = [contexts] * len(questions)
    if not _is_list(contexts) or len(contexts) != len(questions):
        got = f"{len(contexts)} contexts" if _is_list(contexts) else _name(contexts)
        raise InputError(
            f"got {got} for {len(questions)} questions", where="context", wanted="one for all or one for each"
        )
    return [{"question": question, "context": context} for question, context in zip(questions, contexts, strict=True)]


def _is_list(value: Any) -> bool:
    """Whether a value is many of something: old code passes lists, tuples, and rows of a data set."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _name(value: Any) -> str:
    return "None" if value is None else type(value).__name__
