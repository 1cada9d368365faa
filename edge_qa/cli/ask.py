"""edge-qa ask: answers from a text."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import click

from edge_qa.answerer import QuestionAnswerer
from edge_qa.answers import Answer
from edge_qa.cli.app import echo_json
from edge_qa.cli.options import (
    budget_option,
    cache_option,
    engine_option,
    limit_options,
    min_confidence_option,
    no_answer_option,
    precision_option,
    within_option,
)
from edge_qa.cli.parameters import PATH
from edge_qa.cli.progress import progress_bars
from edge_qa.errors import InputError
from edge_qa.inference.engine_choice import EngineName
from edge_qa.inference.reading import Shortlisting
from edge_qa.progress import Progress, no_progress
from edge_qa.text.blocks import Within
from edge_qa.text.decoding import decode_text

# Characters: a text of several seconds. What is shorter is answered before a bar could be read.
_LONG_TEXT = 50_000

Shown = TypeVar("Shown", bound=Answer)


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("questions", nargs=-1, required=True, metavar="QUESTION...")
@click.option(
    "--context",
    "context_file",
    metavar="FILE|-",
    help="Answer from this file (UTF-8); - is standard input, and so is giving neither this nor --text.",
)
@click.option("--text", help="Answer from this text.")
@click.option(
    "--documents",
    type=PATH,
    metavar="LIBRARY",
    help="Answer from the documents that edge-qa index put into this file. Without --min-confidence the limit for "
    "false answers counts that the bundle knows for documents, if any; --min-confidence 0 gives every answer.",
)
@click.option(
    "--passages",
    type=click.IntRange(min=1),
    help="With --documents: read this many passages, those that fit the words of the question best; 10 by default.",
)
@click.option("--top-k", type=click.IntRange(min=1), default=1, show_default=True, help="Show this many answers.")
@click.option(
    "--max-answer-len",
    type=click.IntRange(min=1),
    metavar="TOKENS",
    help="Give no answer longer than this; the bundle's own limit by default, mostly 30.",
)
@no_answer_option
@min_confidence_option
@limit_options
@within_option
@precision_option
@engine_option
@click.option(
    "--threads", type=click.IntRange(min=1), help="Use this many cores; all that this process may use by default."
)
@cache_option
@budget_option
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON instead of text.")
def ask(
    bundle: Path,
    questions: tuple[str, ...],
    context_file: str | None,
    text: str | None,
    documents: Path | None,
    passages: int | None,
    top_k: int,
    max_answer_len: int | None,
    no_answer_threshold: float | None,
    min_confidence: float | None,
    shortlist: Shortlisting,
    max_windows: int | None,
    timeout: float | None,
    max_question_len: int | None,
    within: Within,
    precision: Literal["f32", "bf16"],
    engine: EngineName,
    threads: int | None,
    cache: str | None,
    budget: str,
    as_json: bool,
) -> None:
    """Answer each QUESTION from a text or from documents, with the model in BUNDLE."""
    load = partial(
        QuestionAnswerer.load,
        bundle,
        threads=threads,
        precision=precision,
        cache=cache,
        budget=budget,
        engine=engine,
    )
    if documents is not None:
        if context_file is not None or text is not None:
            raise click.UsageError("give a text or --documents, not both")
        if shortlist != "auto" or max_windows is not None or timeout is not None:
            raise click.UsageError("--shortlist, --max-windows and --timeout are for a text; give --passages")
        if within != "block":
            raise click.UsageError("--within is for a text")
        # Imported here, because an answer from a text need not wait for SQLite.
        from edge_qa.cli.documents.cited_answers import cited_line
        from edge_qa.cli.documents.printing import printable
        from edge_qa.documents.citations import since_indexed
        from edge_qa.documents.index import DocumentIndex

        # The index first: a wrong name is found before a model is loaded.
        with DocumentIndex.open(documents) as index:
            answerer = load()
            cited = [
                (
                    question,
                    answerer.ask(
                        index,
                        question,
                        top_k=top_k,
                        passages=passages,
                        max_answer_len=max_answer_len,
                        no_answer_threshold=no_answer_threshold,
                        min_confidence=min_confidence,
                        max_question_len=max_question_len,
                    ),
                )
                for question in questions
            ]
        _print(cited, max_question_len or answerer.defaults.max_question_len, cited_line, as_json)
        sources = {one.source.path: one.source.sha256 for _, found in cited for one in found if one.source is not None}
        for path, sha256 in sorted(sources.items()):
            problem = since_indexed(path, sha256)
            if problem is not None:
                note = f"note: {path} {problem}; edge-qa index brings {documents} up to date"
                click.echo(printable(note), err=True)
        return
    if passages is not None:
        raise click.UsageError("--passages is for --documents")
    if context_file is not None and text is not None:
        raise click.UsageError("give the text with --context FILE, --context - or --text TEXT (one of them)")
    if context_file is None and text is None and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("give the text with --context FILE, --text TEXT or on standard input")
    context = text if text is not None else _read(context_file or "-")
    answerer = load()
    results = [
        (
            question,
            answerer.answer(
                question,
                context,
                top_k=top_k,
                max_answer_len=max_answer_len,
                no_answer_threshold=no_answer_threshold,
                min_confidence=min_confidence,
                shortlist=shortlist,
                max_windows=max_windows,
                timeout=timeout,
                max_question_len=max_question_len,
                within=within,
                progress=_progress(context),
            ),
        )
        for question in questions
    ]
    longest = max_question_len or answerer.defaults.max_question_len
    _print(results, longest, lambda answer: _line(answer, context), as_json)


def _print(
    results: Sequence[tuple[str, Sequence[Shown]]], longest: int, line: Callable[[Shown], str], as_json: bool
) -> None:
    for question, answers in results:
        if answers[0].question_truncated:
            click.echo(
                f"note: only the first {longest} tokens of the question were read; --max-question-len allows more: "
                f"{question[:60]}...",
                err=True,
            )
    if as_json:
        echo_json([{"question": question, "answers": [asdict(a) for a in answers]} for question, answers in results])
        return
    for question, answers in results:
        if len(results) > 1:
            click.echo(question)
        for answer in answers:
            click.echo(line(answer))


def _progress(context: str) -> Progress:
    return progress_bars() if len(context) > _LONG_TEXT and sys.stderr.isatty() else no_progress


def _line(answer: Answer, context: str) -> str:
    """The answer, how sure it is, where it stands, and its surroundings with the answer in brackets."""
    read = "  (part of the text was read)" if answer.partial else ""
    sure = "" if answer.confidence is None else f"  confidence {answer.confidence:.0%}"
    if not answer.text:
        return f"(no answer)  {answer.score:.1%}{sure}{read}"
    before = context[max(0, answer.start - 40) : answer.start]
    after = context[answer.end : answer.end + 40]
    surroundings = " ".join(f"{before}[{answer.text}]{after}".split())
    text = " ".join(answer.text.split())
    return f"{text}  {answer.score:.1%}{sure}  characters {answer.start}-{answer.end}{read}: ...{surroundings}..."


def _read(name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({os.strerror(error.errno or 0)})", where=name, remedy="give a text file"
        ) from None
    return decode_text(content, name)
