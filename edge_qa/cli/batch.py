"""edge-qa batch: many questions from JSON lines, answers as JSON lines."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from edge_qa.answerer import QuestionAnswerer
from edge_qa.cli.interruption import resumable
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
from edge_qa.errors import EdgeQAError, InputError, ResourceError
from edge_qa.evaluation.answered_rows import AnswerOptions, answered_rows, lines_failed
from edge_qa.evaluation.arriving_lines import ArrivingLines
from edge_qa.evaluation.rows import Row, is_lines, stream_rows
from edge_qa.files import check_file, sync_folder
from edge_qa.inference.engine_choice import EngineName
from edge_qa.inference.reading import Shortlisting
from edge_qa.text.blocks import Within

if TYPE_CHECKING:
    from edge_qa.inference.engine import ComputePrecision


# So much of its work a power cut may take.
_SYNC_SECONDS = 5.0


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("source", default="-", metavar="[FILE|-]")
@click.option("--output", type=PATH, help="Write the answers to this file; to standard output by default.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run with the same --output stopped.")
@click.option("--force", is_flag=True, help="Replace the output if it exists; it is refused by default.")
@click.option(
    "--top-k", type=click.IntRange(min=1), default=1, show_default=True, help="Give this many answers to each question."
)
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
@click.option(
    "--on",
    type=click.Choice(["here", "ray"]),
    default="here",
    show_default=True,
    help="Answer in this process, or by workers on a Ray cluster, with a folder of parts as --output.",
)
@click.option(
    "--address",
    metavar="ADDRESS|auto",
    help="With --on ray: use this cluster, auto for the one that runs here; one on this machine alone by default.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="With --on ray: so many models run at once, each with --threads cores, by default 1; as many as fit by "
    "default.",
)
@click.option(
    "--part-lines",
    type=click.IntRange(min=1),
    help="With --on ray: so many lines are a part of the output; 500 by default.",
)
def batch(
    bundle: Path,
    source: str,
    output: Path | None,
    resume: bool,
    force: bool,
    top_k: int,
    max_answer_len: int | None,
    no_answer_threshold: float | None,
    min_confidence: float | None,
    shortlist: Shortlisting,
    max_windows: int | None,
    timeout: float | None,
    max_question_len: int | None,
    within: Within,
    precision: "ComputePrecision",
    engine: EngineName,
    threads: int | None,
    cache: str | None,
    budget: str,
    on: str,
    address: str | None,
    workers: int | None,
    part_lines: int | None,
) -> None:
    """Answer questions from JSON lines of {"question": ..., "context": ..., "id": ...}.

    One line comes out for each line that goes in, in the same order: {"id", "answers"}, or {"id",
    "error"} for a line that cannot be used, which does not stop the rest. The id is the line's number
    where it has none; --resume compares nothing but ids. Exit code 4 if any line had an error.

    Files of SQuAD, arrays of JSON and plain text (.txt) are read as well, gzipped or not; blank lines are passed over.
    With --on ray FILE may be a folder of JSON lines or Parquet.
    """
    if resume and output is None:
        raise click.UsageError("--resume needs --output")
    if on == "here" and (address is not None or workers is not None or part_lines is not None):
        raise click.UsageError("--address, --workers and --part-lines are for --on ray")
    cache_from = click.get_current_context().get_parameter_source("cache")
    if on == "ray" and cache_from is click.core.ParameterSource.COMMANDLINE:
        # From the environment it is a setting of this machine, which the workers need not run on.
        raise click.UsageError("--cache is for --on here: a folder of this machine is not there on every worker's")
    if on == "ray" and (output is None or source == "-"):
        raise click.UsageError("--on ray needs a file or a folder to read, and a folder as --output")
    if output is not None and on == "here":
        check_file(output, force=force or resume, sources=[bundle] if source == "-" else [bundle, source])
        if source == "-" and output.exists() and os.path.samestat(os.fstat(sys.stdin.fileno()), output.stat()):
            raise InputError("is what standard input reads", where=output, remedy="give another name")
    options = AnswerOptions(
        top_k=top_k,
        max_answer_len=max_answer_len,
        no_answer_threshold=no_answer_threshold,
        min_confidence=min_confidence,
        shortlist=shortlist,
        max_windows=max_windows,
        timeout=timeout,
        max_question_len=max_question_len,
        within=within,
    )
    if on == "ray":
        assert output is not None
        # Imported here, because Ray takes seconds.
        from edge_qa.cli.batch_on_ray import batch_on_ray

        batch_on_ray(
            bundle,
            source,
            output,
            options,
            precision=precision,
            budget=budget,
            engine=engine,
            address=address,
            workers=workers,
            threads=threads,
            part_lines=part_lines,
            resume=resume,
            force=force,
        )
        return
    answerer = QuestionAnswerer.load(
        bundle, threads=threads, precision=precision, cache=cache, budget=budget, engine=engine
    )
    answerer.check_confidence(min_confidence)
    with _only_writer(output), _left_out_if_refused(output):
        finished, failed = _finished(output) if resume and output is not None else ([], 0)
        done, total = len(finished), _count(source)
        show = progress_bars(pulse=False)
        how = None if output is None else f"{output} holds the answers until then, and --resume goes on after them"
        with resumable(how), _open(source, output, done) as (lines, sink):
            rows = _told(stream_rows(lines, "standard input" if source == "-" else source), source)
            for number, identity in enumerate(finished, 1):
                row = next(rows, None)
                if row is None:
                    raise InputError(
                        f"answers {len(finished)} lines, and {source} has {number - 1}",
                        where=output,
                        remedy="resume with the input of the run that was interrupted",
                    )
                if identity != row.id:
                    raise InputError(
                        f"line {number} answers id {identity!r}, but that line of {source} has id {row.id!r}",
                        where=output,
                        remedy="resume with the input of the run that was interrupted",
                    )

            at_hand = lines.at_hand if isinstance(lines, ArrivingLines) else None
            for number, answered in enumerate(answered_rows(answerer, rows, options, at_hand=at_hand), done + 1):
                failed += answered.failed
                sink.write(answered.line)
                if total:
                    show("batch", min(number, total), total)
            sink.finish()
    if failed:
        raise lines_failed(failed, source)


@contextmanager
def _left_out_if_refused(output: Path | None) -> Iterator[None]:
    """Take an output away that is empty because the input was refused: it would be in the way of the next run."""
    try:
        yield
    except EdgeQAError:
        if output is not None and output.is_file() and not output.is_symlink() and not output.stat().st_size:
            output.unlink()
        raise


class _Sink:
    """Where the lines go: standard output, or a file that a power cut takes no more of than the last seconds."""

    def __init__(self, file: IO[bytes], output: Path | None, done: int) -> None:
        """file: unbuffered where it is `output`, so that nothing of a line that failed is left to be written.

        done: lines of it that stay. With none, what the file holds goes with the first line, and stays if there
        never is one.
        """
        self._file, self._output, self._lines = file, output, done
        self._replaces = output is not None and not done
        self._synced = time.monotonic()

    def write(self, line: bytes) -> None:
        """Write a line, or nothing of it. Raises ResourceError if a file takes no more."""
        if self._output is None:
            self._file.write(line)
            self._file.flush()
            return
        self.finish()
        with self._named():
            end = os.fstat(self._file.fileno()).st_size
            left = line
            try:
                while left:
                    left = left[self._file.write(left) :]
            except OSError:
                with suppress(OSError):
                    self._file.truncate(end)
                raise
        self._lines += 1
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            self.sync()

    def finish(self) -> None:
        """Let go of what the file held before; at the end of a run that had no line to write, too."""
        if self._replaces:
            with self._named():
                self._file.truncate(0)
            self._replaces = False

    def sync(self) -> None:
        """Have what was written on the disk. Raises ResourceError if it cannot be had there."""
        if self._output is not None:
            with self._named("the last of them perhaps not on the disk"):
                os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    @contextmanager
    def _named(self, but: str = "") -> Iterator[None]:
        """Say of which file an error of the system is, and what is in it."""
        try:
            yield
        except OSError as error:
            lines = f"{self._lines} answered line{'s' * (self._lines != 1)}"
            held = "what it held before" if self._replaces else f"{lines}{but and ', '}{but}"
            raise ResourceError(
                f"cannot be written ({error.strerror}), and holds {held}",
                where=self._output,
                remedy="make room, and --resume goes on after them" if self._lines else "make room",
            ) from None


def _standard_input() -> IO[bytes]:
    """Standard input; where it is a file of this process, one that says whether a line is at hand."""
    try:
        return ArrivingLines(sys.stdin.fileno())
    except OSError:  # a stand-in without a descriptor
        return sys.stdin.buffer


@contextmanager
def _only_writer(output: Path | None) -> Iterator[None]:
    """Keep other runs away from the output until this one has ended. Raises InputError while another one writes it."""
    if output is None or not output.parent.is_dir():
        yield
        return
    try:
        descriptor = os.open(output, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise ResourceError(
            f"cannot be written ({error.strerror})", where=output, remedy="choose another place"
        ) from None
    try:
        # Raised outside of the handler: "temporarily unavailable" is what the system says for want of memory, too.
        if not _locked(descriptor):
            raise InputError("is being written by another run", where=output, remedy="wait until that has ended")
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


@contextmanager
def _open(source: str, output: Path | None, done: int) -> Iterator[tuple[IO[bytes], _Sink]]:
    """What questions come from and the file that lines go out to, of which `done` stay."""
    with ExitStack() as stack:
        lines: IO[bytes] = _standard_input()
        if source != "-":
            try:
                lines = stack.enter_context(Path(source).open("rb"))
            except OSError as error:
                raise InputError(
                    f"cannot be read ({error.strerror})", where=source, remedy="give a file of JSON lines"
                ) from None
        file: IO[bytes] = sys.stdout.buffer
        if output is not None:
            try:
                file = stack.enter_context(output.open("ab", buffering=0))
                sync_folder(output.parent)
            except OSError as error:
                raise ResourceError(
                    f"cannot be written ({error.strerror})", where=output, remedy="choose another place"
                ) from None
        sink = _Sink(file, output, done)
        stack.callback(sink.sync)
        yield lines, sink


def _told(rows: Iterator[Row], source: str) -> Iterator[Row]:
    """The rows; what the system says of a source that cannot be read on is one line."""
    try:
        yield from rows
    except OSError as error:
        where = "standard input" if source == "-" else source
        raise InputError(
            f"cannot be read ({error.strerror})", where=where, remedy="give a file of JSON lines"
        ) from None


def _finished(output: Path) -> tuple[list[Any], int]:
    """The ids of the lines that an interrupted run finished, and how many are errors.

    Half a last line is cut off, and zeros: a power cut leaves them where a file had grown, and its bytes were not
    on the disk yet.
    Raises InputError for a file that is no output of this command, which is left as it is.
    """
    if not output.exists():
        return [], 0
    ids, failed, end = [], 0, 0
    with output.open("rb+") as file:
        for number, line in enumerate(file, 1):
            begun = line.rstrip(b"\0")
            if not line.endswith(b"\n") and begun.startswith(b'{"id": '[: len(begun)]):
                break
            try:
                value = json.loads(line)
                ids.append(value["id"])
                if not {"answers", "error"} & value.keys():
                    raise KeyError("answers")
                failed += "error" in value
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                raise InputError(
                    f"line {number} is no answer of edge-qa batch", where=output, remedy="give another --output"
                ) from None
            end += len(line)
        file.truncate(end)
        os.fsync(file.fileno())
    return ids, failed


def _count(source: str) -> int | None:
    """How many lines there are to do, for the progress; unknown for standard input and where lines are not counted."""
    if source == "-" or not sys.stderr.isatty() or not Path(source).is_file() or source.endswith(".txt"):
        return None
    with Path(source).open("rb") as file:
        return sum(1 for line in file if line.strip()) if is_lines(file.peek(4096)) else None
