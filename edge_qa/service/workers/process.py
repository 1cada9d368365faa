"""The life of a worker: load what the first message says, answer batches until the service closes the pipe.

Messages come on standard input and go to what was standard output; what libraries print goes to standard error.
"""

import ctypes
import logging
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from edge_qa.answerer import QuestionAnswerer
from edge_qa.documents.index import DocumentIndex
from edge_qa.errors import EdgeQAError, is_out_of_memory, out_of_memory
from edge_qa.service.workers.answering import Answering
from edge_qa.service.workers.frames import Frames, frame
from edge_qa.service.workers.messages import Batch, Done, Loaded, NotLoaded, Problem, Start

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
# What an exit after a lack of memory looks like; the service replaces the process in any case.
_NO_MEMORY = 6


def main(parent: int, pipe: int) -> None:
    """Run until standard input ends. parent: the process that this one must not outlive. pipe: where messages go."""
    _end_with(parent)
    # The service ends its workers by closing their pipes; a signal to all processes of a terminal or a unit is for it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s worker %(process)d: %(message)s")
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(pipe, "wb")
    start = Frames[Start](Start).read(source)
    if start is None:
        return
    answering = _load(start, sink)
    if answering is not None:
        # The service has gone: nobody reads what would be said.
        with suppress(BrokenPipeError):
            _answer(answering, source, sink)
    # Nothing is left to tidy, and threads of native code need not be waited for.
    os._exit(0)


def _answer(answering: Answering, source: BinaryIO, sink: BinaryIO) -> None:
    batches = Frames[Batch](Batch)
    while (batch := batches.read(source)) is not None:
        done = answering.run(batch)
        _send(sink, done)
        if _lacks_memory(done):
            # What is left of it is fragments; a fresh process has room again.
            os._exit(_NO_MEMORY)


def _load(start: Start, sink: BinaryIO) -> Answering | None:
    try:
        if start.data_bytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (start.data_bytes, start.data_bytes))
        index = None if start.documents is None else DocumentIndex.open(start.documents)
        answerer = QuestionAnswerer.load(
            start.bundle,
            threads=start.threads,
            precision=start.precision,
            budget=start.budget,
            engine=start.engine,
            cache=start.cache,
        )
        answerer.warm_up()
    except Exception as error:
        problem = out_of_memory(Path(start.bundle)) if is_out_of_memory(error) else error
        if not isinstance(problem, EdgeQAError):
            logging.getLogger(__name__).error("the bundle cannot be loaded", exc_info=error)
            problem = EdgeQAError(f"internal error ({type(error).__name__}: {error})")
        kind = type(problem).__name__
        _send(sink, NotLoaded(kind, problem.got, problem.where, problem.wanted, problem.remedy))
        return None
    loaded = Loaded(
        digest=answerer.manifest.digest,
        model=answerer.manifest.model.family,
        engine=answerer.engine.name,
        precision=answerer.engine.precision,
        threads=answerer.engine.threads,
        longest_window=answerer.longest_window,
        has_confidence=answerer.manifest.confidence is not None,
        document_files=None if index is None else len(index.files()),
    )
    _send(sink, loaded)
    return Answering(answerer, index, start.batch_tokens)


def _send(sink: BinaryIO, message: object) -> None:
    sink.write(frame(message))
    sink.flush()


def _lacks_memory(done: Done) -> bool:
    return any(isinstance(result, Problem) and result.kind == "memory" for result in done.results)


def _end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
