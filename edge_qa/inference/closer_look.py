"""A second look at an answer in the passage that it stands in, read by itself.

In a window the model sees what happens to stand beside the passage, and its logits move with that. Read alone, the
same passage gives the same logits whatever text it is part of: this is what a confidence is a function of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edge_qa.inference.spans import Logits, Span, closer
from edge_qa.text.windows import Window


@dataclass(frozen=True)
class CloserLook:
    """A passage to read by itself, and the places of the spans, among those of a selection, that stand in it.

    window: the question and the passage; its offsets are those of the whole text.
    """

    window: Window
    places: tuple[int, ...]

    def seen(self, spans: Sequence[Span], start: Logits, end: Logits, max_answer_len: int) -> tuple[Span, ...]:
        """Return all spans, those of this passage with what its logits, (tokens,) each, say of them."""
        return tuple(
            replace(span, alone=closer(span, start, end, self.window, max_answer_len)) if place in self.places else span
            for place, span in enumerate(spans)
        )
