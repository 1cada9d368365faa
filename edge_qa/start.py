"""The first answer of a process, soon: the bundle is read while OpenVINO is imported."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from edge_qa.bundle import Bundle
from edge_qa.manifest import FULL_BUDGET
from edge_qa.meanwhile import Meanwhile
from edge_qa.text import bundle_tokenizer

if TYPE_CHECKING:
    from edge_qa.answerer import QuestionAnswerer


def start(
    path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    budget: str = FULL_BUDGET,
    done: Callable[[str], None] = lambda step: None,
) -> "QuestionAnswerer":
    """Return what `QuestionAnswerer.load` returns, sooner in a process that has not imported it yet.

    done: called after each step, with "ready", "hashed", "tokenizer", "imported" and "compiled".
    Raises what `QuestionAnswerer.load` raises.
    """
    done("ready")
    # The imports run in the other thread, because the memory that this one frees is used again by the compilation.
    importing = Meanwhile(import_module, "edge_qa.answerer")
    try:
        bundle = Bundle.load(path, model_later=cache is not None)
        done("hashed")
        tokenizer = bundle_tokenizer(bundle)
        done("tokenizer")
    finally:
        module = importing.result()
    done("imported")
    answerer: QuestionAnswerer = module.QuestionAnswerer(
        bundle, threads=threads, cache=cache, budget=budget, tokenizer=tokenizer
    )
    done("compiled")
    return answerer
