"""Many questions at once: windows of all of them share batches by length."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_qa.errors import InputError
from edge_qa.inference.spans import Selection, SpanSelector
from edge_qa.text.windows import Window

if TYPE_CHECKING:
    from edge_qa.answerer import QuestionAnswerer
    from edge_qa.inference.engine import Engine

# Windows of one length that run together, and windows that are held at once: the more are held, the
# more find others of their length. Of a stream the first blocks are small, so that the first answers come at once.
BATCH = 8
_FIRST_BLOCK, _LARGEST_BLOCK = 1, 256
# A source that takes longer to give a pair is slow: what it has given is then not kept waiting for more.
_SLOW_SECONDS = 0.05


@dataclass(frozen=True)
class Outcome:
    """What became of one pair: a selection, or the error that its text gave."""

    context: str
    selection: Selection | None
    error: InputError | None


class _Question:
    """A pair on its way; waits: how many of its windows have not run yet."""

    def __init__(self, context: str, selector: SpanSelector) -> None:
        self.context, self.selector = context, selector
        self.waits, self.cut = 0, False
        self.error: InputError | None = None

    @property
    def ready(self) -> bool:
        return self.cut and not self.waits

    def windows(self, cut: Callable[[str, str], Iterator[Window]], question: str) -> Iterator[Window]:
        """Its windows; an error of its text is kept, and ends them."""
        try:
            yield from cut(question, self.context)
        except InputError as error:
            self.error = error
        self.cut = True

    def outcome(self) -> Outcome:
        return Outcome(self.context, None if self.error else self.selector.result(), self.error)


def select_many(
    answerer: "QuestionAnswerer",
    pairs: Iterable[tuple[str, str]],
    *,
    max_answer_len: int,
    top_k: int | None = 1,
    windows: Callable[[str, str], Iterator[Window]] | None = None,
    budget: str | None = None,
    prompt: bool = True,
) -> Iterator[Outcome]:
    """Yield the outcome of each (question, context) pair, in the order given.

    windows: cuts a question and a context; the answerer's own way if None.
    prompt: False where nobody looks at the first outcome before the last is there: a little faster.
    A text that cannot be used is an outcome with an error and does not stop the rest. What the source raises is
    raised after the outcomes of what it gave before.
    """
    cut = windows or answerer.windows
    engine = answerer.engine_of(budget)
    waiting: deque[_Question] = deque()
    block: list[tuple[_Question, Window]] = []
    size = _FIRST_BLOCK if prompt else _LARGEST_BLOCK
    source = _Timed(pairs)
    while (pair := source.next()) is not None:
        question, context = pair
        current = _Question(context, SpanSelector(top_k, max_answer_len))
        waiting.append(current)
        for window in current.windows(cut, question):
            block.append((current, window))
            current.waits += 1
            if len(block) == size:
                _run(engine, block)
                size = min(2 * size, _LARGEST_BLOCK)
                yield from _ready(waiting)
        # Pairs without a window fill no block.
        if (prompt and source.is_slow) or len(waiting) >= _LARGEST_BLOCK:
            _run(engine, block)
        yield from _ready(waiting)
    _run(engine, block)
    yield from _ready(waiting)
    if source.failure is not None:
        raise source.failure


class _Timed:
    """An iterator's items, how slowly the last one came, and what it raised."""

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._items, self.is_slow = iter(items), False
        self.failure: Exception | None = None

    def next(self) -> tuple[str, str] | None:
        """The next one, or None at the end and at an error."""
        begin = time.monotonic()
        try:
            return next(self._items, None)
        except Exception as error:
            self.failure = error
            return None
        finally:
            self.is_slow = time.monotonic() - begin > _SLOW_SECONDS


def _ready(waiting: deque[_Question]) -> Iterator[Outcome]:
    """Take out the first questions for as long as nothing of them is left to run."""
    while waiting and waiting[0].ready:
        yield waiting.popleft().outcome()


def _run(engine: "Engine", block: list[tuple[_Question, Window]]) -> None:
    """Run a block of windows, hand each its logits, in the order of their texts, and empty it."""
    if not block:
        return
    start, end = engine.logits([window for _, window in block], batch_size=BATCH)
    for (question, window), window_start, window_end in zip(block, start, end, strict=True):
        question.selector.add(window, window_start, window_end)
        question.waits -= 1
    block.clear()
