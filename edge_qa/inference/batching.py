"""The one loop from items to answers: cut into windows, run in batches, choose spans, in the order of the items."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from edge_qa.errors import InputError
from edge_qa.inference.closer_look import CloserLook
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


Closer = Callable[[Item, Selection], Iterable[CloserLook]]


class _Question(Generic[Item]):
    """An item on its way; waits: how many of its windows have not run yet."""

    def __init__(self, item: Item, selector: SpanSelector) -> None:
        self.item, self.selector = item, selector
        self.waits, self.cut = 0, False
        self.selection: Selection | None = None
        self.error: InputError | None = None

    @property
    def is_read(self) -> bool:
        """Whether all its windows have run, and no selection has been made of them yet."""
        return self.cut and not self.waits and self.selection is None and self.error is None

    @property
    def ready(self) -> bool:
        return self.cut and not self.waits and (self.selection is not None or self.error is not None)

    def windows(self, cut: Callable[[Item], Iterator[Window]]) -> Iterator[Window]:
        """Its windows; an error of its text is kept, and ends them."""
        try:
            yield from cut(self.item)
        except InputError as error:
            self.error = error
        self.cut = True

    def take(self, look: CloserLook | None, window: Window, start: Logits, end: Logits) -> None:
        """Take the logits of one of its windows, or of a closer look."""
        self.waits -= 1
        if look is None:
            self.selector.add(window, start, end)
        else:
            assert self.selection is not None
            spans = look.seen(self.selection.spans, start, end, self.selector.max_answer_len)
            self.selection = replace(self.selection, spans=spans)

    def outcome(self) -> Outcome[Item]:
        return Outcome(self.item, self.selection, self.error)


# A window that will run, whose it is, and whether it is a closer look.
_Block = list[tuple[_Question[Item], Window, CloserLook | None]]


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
    closer: Closer[Item] | None = None,
    at_hand: Callable[[], bool] | None = None,
) -> Iterator[Outcome[Item]]:
    """Yield the outcome of each item, in the order given.

    windows: cuts an item; an InputError that it raises is the item's outcome and does not stop the rest.
    top_k: how many spans of each are kept; None for all that are not negligible.
    batch_size: how many windows run together at most. With 1 each one runs before the next is cut, so that
    `windows` may decide by the clock.
    prompt: False where nobody looks at the first outcome before the last is there: a little faster.
    rivals: find each span's rival, which a confidence looks at.
    closer: says which passages are read by themselves once all windows of an item have run.
    at_hand: says whether the next item can be had at once; where it cannot, what is held runs before it is asked for.
    What the source raises is raised after the outcomes of what it gave before.
    """
    largest = _LARGEST_BLOCK if batch_size > 1 else 1
    waiting: deque[_Question[Item]] = deque()
    block: _Block[Item] = []
    size = _FIRST_BLOCK if prompt else largest

    def run_all() -> None:
        _settle(waiting, closer, block)
        while block:
            _run(engine, block, batch_size)
            _settle(waiting, closer, block)

    source = _Timed(items)
    for item in source:
        current = _Question(item, SpanSelector(top_k, max_answer_len, rivals=rivals))
        waiting.append(current)
        for window in current.windows(windows):
            block.append((current, window, None))
            current.waits += 1
            if len(block) >= size:
                _run(engine, block, batch_size)
                size = min(2 * size, largest)
                _settle(waiting, closer, block)
                yield from _ready(waiting)
        _settle([current], closer, block)
        # Items without a window fill no block. Where windows run one by one nothing is left over.
        slow = source.is_slow or (at_hand is not None and not at_hand())
        if largest == 1 or (prompt and slow) or len(waiting) >= _LARGEST_BLOCK:
            run_all()
        yield from _ready(waiting)
    run_all()
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


def _settle(questions: Iterable[_Question[Item]], closer: Closer[Item] | None, block: _Block[Item]) -> None:
    """Make the selections of the questions that are read, and put the closer looks at them into the block."""
    for question in questions:
        if question.is_read:
            question.selection = question.selector.result()
            for look in closer(question.item, question.selection) if closer else ():
                block.append((question, look.window, look))
                question.waits += 1


def _run(engine: LogitsSource, block: _Block[Item], batch_size: int) -> None:
    """Run a block of windows, hand each its logits, in the order of their texts, and empty it."""
    start, end = engine.logits([window for _, window, _ in block], batch_size=batch_size)
    for (question, window, look), window_start, window_end in zip(block, start, end, strict=True):
        question.take(look, window, window_start, window_end)
    block.clear()
