"""The loop around a bare model that its users write: that of the Hugging Face question-answering example.

Windows of 384 tokens that share 128, the 20 best starts with the 20 best ends, answers of at most 30 tokens. What
the example does only for accelerators is left out: it pads every window to 384, this pads to the longest of a batch.
"""

MAX_LENGTH, STRIDE, BEST, LONGEST_ANSWER, BATCH = 384, 128, 20, 30, 8


class SquadLoop:
    """Text in, text out, around `logits(arrays) -> (start, end)` and an encoder of the `tokenizers` library."""

    def __init__(self, encode, logits, names=("input_ids", "attention_mask", "token_type_ids")):
        """encode: (question, context) -> list of `tokenizers.Encoding`, one a window, not padded."""
        self.encode, self.logits, self.names = encode, logits, names

    def answer(self, question, context):
        # Window by window: in one batch the last one, which is short, would be padded to the others.
        windows = self.encode(question, context)
        found = [self.logits(self.batch([window])) for window in windows]
        return best_text(context, windows, [start[0] for start, _ in found], [end[0] for _, end in found])

    def answer_many(self, pairs):
        """All windows of all questions in batches of like length, so that little is padded."""
        windows = [(place, window) for place, pair in enumerate(pairs) for window in self.encode(*pair)]
        windows.sort(key=lambda item: len(item[1].ids))  # stable: a question's windows stay in order
        found = [([], [], []) for _ in pairs]
        for first in range(0, len(windows), BATCH):
            batch = windows[first : first + BATCH]
            start, end = self.logits(self.batch([window for _, window in batch]))
            for row, (place, window) in enumerate(batch):
                for kept, value in zip(found[place], (window, start[row], end[row]), strict=True):
                    kept.append(value)
        return [best_text(context, *parts) for (_, context), parts in zip(pairs, found, strict=True)]

    def batch(self, windows):
        """Arrays of the model's inputs, (windows, tokens of the longest), int64."""
        import numpy as np

        longest = max(len(window.ids) for window in windows)
        arrays = {name: np.zeros((len(windows), longest), np.int64) for name in self.names}
        for row, window in enumerate(windows):
            values = {"input_ids": window.ids, "attention_mask": window.attention_mask}
            values["token_type_ids"] = window.type_ids
            for name in self.names:
                arrays[name][row, : len(window.ids)] = values[name]
        return arrays


def best_text(context, windows, start_logits, end_logits):
    """The text of the best span over all windows, by the sum of its two logits."""
    import numpy as np

    best, found = None, (0, 0)
    for window, starts, ends in zip(windows, start_logits, end_logits, strict=True):
        offsets, sequence = window.offsets, window.sequence_ids
        for first in np.argsort(starts)[-1 : -BEST - 1 : -1].tolist():
            for last in np.argsort(ends)[-1 : -BEST - 1 : -1].tolist():
                if first >= len(sequence) or last >= len(sequence) or sequence[first] != 1 or sequence[last] != 1:
                    continue
                if last < first or last - first + 1 > LONGEST_ANSWER:
                    continue
                score = starts[first] + ends[last]
                if best is None or score > best:
                    best, found = score, (offsets[first][0], offsets[last][1])
    return context[found[0] : found[1]]


def plain_encoder(tokenizer_json):
    """Return `encode` from a tokenizer.json, with the `tokenizers` library alone."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(tokenizer_json)
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH, stride=STRIDE, strategy="only_second")

    def encode(question, context):
        first = tokenizer.encode(question, context)
        return [first, *first.overflowing]

    return encode


def transformers_encoder(checkpoint):
    """Return `encode` from a checkpoint's folder, with the fast tokenizer of transformers."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)

    def encode(question, context):
        return tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=MAX_LENGTH,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        ).encodings

    return encode
