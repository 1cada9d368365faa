"""The one loop from items to answers: cut into windows, run in batches, choose spans, in the order of the items."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from edge_qa.errors import InputError
from edge_qa.inference.spans import Logits, Selection, SpanSelector
from edge_qa.text.windows import Window

# Windows of one length that run together, and windows that are held at once: the more are held, the
# more find others of their length. Of a stream the first blocks are small, so that the first answers come at once.
BATCH = 8
_FIRST_BLOCK, _LARGEST_BLOCK = 1, 256
# A source that takes longer to give an item is slow: what it has given is then not kept waiting for more.
_SLOW_SECONDS = 0.05

Item = TypeVar("Item")


class LogitsSource(Protocol):
    """What runs windows; `edge_qa.inference.engine.Engine` is one."""

    def logits(self, windows: Sequence[Window], *, batch_size: int = 1) -> tuple[list[Logits], list[Logits]]:
        """Return the start and end logits of each window, (tokens,) each, in the order given."""
        ...


@dataclass(frozen=True)
class Outcome(Generic[Item]):
    """What became of one item: a selection of spans, or the error that its text gave."""

    item: Item
    selection: Selection | None
    error: InputError | None

    def spans(self) -> Selection:
        """Return the selection. Raises the error where there is none."""
        if self.selection is None:
            raise self.error or AssertionError
        return self.selection


class _Question(Generic[Item]):
    """An item on its way; waits: how many of its windows have not run yet."""

    def __init__(self, item: Item, selector: SpanSelector) -> None:
        self.item, self.selector = item, selector
        self.waits, self.cut = 0, False
        self.error: InputError | None = None

    @property
    def ready(self) -> bool:
        return self.cut and not self.waits

    def windows(self, cut: Callable[[Item], Iterator[Window]]) -> Iterator[Window]:
        """Its windows; an error of its text is kept, and ends them."""
        try:
            yield from cut(self.item)
        except InputError as error:
            self.error = error
        self.cut = True

    def outcome(self) -> Outcome[Item]:
        return Outcome(self.item, None if self.error else self.selector.result(), self.error)


def select_many(
    engine: LogitsSource,
    items: Iterable[Item],
    windows: Callable[[Item], Iterator[Window]],
    *,
    max_answer_len: int,
    top_k: int | None = 1,
    batch_size: int = BATCH,
    prompt: bool = True,
    rivals: bool = False,
) -> Iterator[Outcome[Item]]:
    """Yield the outcome of each item, in the order given.

    windows: cuts an item; an InputError that it raises is the item's outcome and does not stop the rest.
    top_k: how many spans of each are kept; None for all that are not negligible.
    batch_size: how many windows run together at most. With 1 each one runs before the next is cut, so that
    `windows` may decide by the clock.
    prompt: False where nobody looks at the first outcome before the last is there: a little faster.
    rivals: find each span's rival, which a confidence looks at.
    What the source raises is raised after the outcomes of what it gave before.
    """
    largest = _LARGEST_BLOCK if batch_size > 1 else 1
    waiting: deque[_Question[Item]] = deque()
    block: list[tuple[_Question[Item], Window]] = []
    size = _FIRST_BLOCK if prompt else largest
    source = _Timed(items)
    for item in source:
        current = _Question(item, SpanSelector(top_k, max_answer_len, rivals=rivals))
        waiting.append(current)
        for window in current.windows(windows):
            block.append((current, window))
            current.waits += 1
            if len(block) == size:
                _run(engine, block, batch_size)
                size = min(2 * size, largest)
                yield from _ready(waiting)
        # Items without a window fill no block.
        if (prompt and source.is_slow) or len(waiting) >= _LARGEST_BLOCK:
            _run(engine, block, batch_size)
        yield from _ready(waiting)
    _run(engine, block, batch_size)
    yield from _ready(waiting)
    if source.failure is not None:
        raise source.failure


class _Timed(Generic[Item]):
    """An iterator's items, how slowly the last one came, and what it raised, which ends them."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items, self.is_slow = iter(items), False
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[Item]:
        while True:
            begin = time.monotonic()
            try:
                item = next(self._items)
            except StopIteration:
                return
            except Exception as error:
                self.failure = error
                return
            self.is_slow = time.monotonic() - begin > _SLOW_SECONDS
            yield item


def _ready(waiting: deque[_Question[Item]]) -> Iterator[Outcome[Item]]:
    """Take out the first questions for as long as nothing of them is left to run."""
    while waiting and waiting[0].ready:
        yield waiting.popleft().outcome()


def _run(engine: LogitsSource, block: list[tuple[_Question[Item], Window]], batch_size: int) -> None:
    """Run a block of windows, hand each its logits, in the order of their texts, and empty it."""
    if not block:
        return
    start, end = engine.logits([window for _, window in block], batch_size=batch_size)
    for (question, window), window_start, window_end in zip(block, start, end, strict=True):
        question.selector.add(window, window_start, window_end)
        question.waits -= 1
    block.clear()
