"""edge-qa ask: answers from a text."""

import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from edge_qa.answerer import Answer, QuestionAnswerer
from edge_qa.cli.app import echo_json
from edge_qa.cli.options import budget_option, no_answer_option
from edge_qa.errors import InputError
from edge_qa.text.decoding import decode_text


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("questions", nargs=-1, required=True, metavar="QUESTION...")
@click.option("--context", "context_file", metavar="FILE|-", help="File to answer from (UTF-8); - is standard input.")
@click.option("--text", help="Text to answer from, given here.")
@click.option("--top-k", type=click.IntRange(min=1), default=1, show_default=True, help="Answers to show.")
@click.option("--max-answer-len", type=click.IntRange(min=1), metavar="TOKENS", help="Longest answer.")
@no_answer_option
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use; all that this process may use by default.")
@click.option(
    "--cache",
    type=click.Path(),
    envvar="EDGE_QA_CACHE",
    metavar="FOLDER",
    help="Existing folder to keep the compiled model in; the next start is faster.  [env: EDGE_QA_CACHE]",
)
@budget_option
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
def ask(
    bundle: Path,
    questions: tuple[str, ...],
    context_file: str | None,
    text: str | None,
    top_k: int,
    max_answer_len: int | None,
    no_answer_threshold: float | None,
    threads: int | None,
    cache: str | None,
    budget: str,
    as_json: bool,
) -> None:
    """Answer each QUESTION from a text with the model in BUNDLE."""
    if (context_file is None) == (text is None):
        raise click.UsageError("give the text with --context FILE, --context - or --text TEXT (one of them)")
    context = text if text is not None else _read(context_file or "-")
    answerer = QuestionAnswerer.load(bundle, threads=threads, cache=cache, budget=budget)
    results = [
        (
            question,
            answerer.answer(
                question, context, top_k=top_k, max_answer_len=max_answer_len, no_answer_threshold=no_answer_threshold
            ),
        )
        for question in questions
    ]
    if as_json:
        echo_json([{"question": question, "answers": [asdict(a) for a in answers]} for question, answers in results])
        return
    for question, answers in results:
        if len(results) > 1:
            click.echo(question)
        for answer in answers:
            click.echo(_line(answer, context))


def _line(answer: Answer, context: str) -> str:
    """The answer, how sure it is, where it stands, and its surroundings with the answer in brackets."""
    if not answer.text:
        return f"(no answer)  {answer.score:.1%}"
    before = context[max(0, answer.start - 40) : answer.start]
    after = context[answer.end : answer.end + 40]
    surroundings = " ".join(f"{before}[{answer.text}]{after}".split())
    text = " ".join(answer.text.split())
    return f"{text}  {answer.score:.1%}  characters {answer.start}-{answer.end}: ...{surroundings}..."


def _read(name: str) -> str:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot be read ({os.strerror(error.errno or 0)})", where=name, remedy="give a text file"
        ) from None
    return decode_text(content, name)
