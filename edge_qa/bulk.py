"""Many questions at once: windows of all of them share batches by length."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_qa.errors import InputError
from edge_qa.spans import Selection, SpanSelector
from edge_qa.windows import Window

if TYPE_CHECKING:
    from edge_qa.answerer import QuestionAnswerer
    from edge_qa.engine import Engine

# Windows of one length that run together, and windows that are held at once: the more are held, the
# more find others of their length. Of a stream the first blocks are small, so that the first answers come at once.
BATCH = 8
_FIRST_BLOCK, _LARGEST_BLOCK = 4, 256


@dataclass(frozen=True)
class Outcome:
    """What became of one pair: a selection, or the error that its text gave."""

    context: str
    selection: Selection | None
    error: InputError | None


class _Question:
    def __init__(self, context: str, selector: SpanSelector) -> None:
        self.context, self.selector = context, selector
        self.complete = False
        self.error: InputError | None = None

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
    A text that cannot be used is an outcome with an error and does not stop the rest.
    """
    windows = windows or answerer.windows
    engine = answerer.engine_of(budget)
    waiting: deque[_Question] = deque()
    block: list[tuple[_Question, Window]] = []
    size = _FIRST_BLOCK if prompt else _LARGEST_BLOCK
    for question, context in pairs:
        current = _Question(context, SpanSelector(top_k, max_answer_len))
        waiting.append(current)
        try:
            for window in windows(question, context):
                block.append((current, window))
                if len(block) == size:
                    _run(engine, block)
                    block, size = [], min(2 * size, _LARGEST_BLOCK)
                    while waiting[0].complete:
                        yield waiting.popleft().outcome()
        except InputError as error:
            current.error = error
        current.complete = True
    _run(engine, block)
    yield from (question.outcome() for question in waiting)


def _run(engine: "Engine", block: list[tuple[_Question, Window]]) -> None:
    """Run a block of windows and hand each its logits, in the order of their texts."""
    start, end = engine.logits([window for _, window in block], batch_size=BATCH)
    for (question, window), window_start, window_end in zip(block, start, end, strict=True):
        question.selector.add(window, window_start, window_end)
