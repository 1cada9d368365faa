"""Text -> tokens: a Hugging Face tokenizer that treats everything it is given as text."""

import itertools
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import BundleError, InputError
from edge_qa.text.offsets import align_to_words, cut_cleanly
from edge_qa.text.rust_tokenizers import check_unknown_token, panics_as_exceptions, unknown_id

# Of many scripts, with what no vocabulary holds: a tokenizer that works on it works on nearly every text.
_PROBE = (
    "The 1st word, Zo\u00e9's caf\u00e9: \u6771\u4eac \u0e20\u0e32\u0e29\u0e32 \u0627\u0644 \u10d0 "
    "\ua66e \ufb01 \uff21 \U0001f680\n"
)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Token ids (tokens,) int64, and where in the text an answer begins and ends that begins and ends with each.

    offsets: code points, (tokens, 2) int64; see `edge_qa/text/offsets.py`.
    blocks: the number of the block that each stands in, rising, (tokens,) int64; None where nobody asked.
    """

    ids: NDArray[np.int64]
    offsets: NDArray[np.int64]
    blocks: NDArray[np.int64] | None = None

    def part(self, begin: int, end: int) -> "Tokens":
        """Return the tokens at [begin, end)."""
        blocks = None if self.blocks is None else self.blocks[begin:end]
        return Tokens(self.ids[begin:end], self.offsets[begin:end], blocks)

    def followed_by(self, more: "Tokens") -> "Tokens":
        """Return these tokens and then more of the same text."""
        if not len(self.ids):
            return more
        blocks = None if self.blocks is None or more.blocks is None else np.append(self.blocks, more.blocks)
        return Tokens(np.append(self.ids, more.ids), np.concatenate([self.offsets, more.offsets]), blocks)


@dataclass(frozen=True)
class PairTemplate:
    """The special tokens around a pair: before + question + between + context + after, with their type ids."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    before_types: tuple[int, ...]
    between_types: tuple[int, ...]
    after_types: tuple[int, ...]
    question_type: int
    context_type: int

    @property
    def special_tokens(self) -> int:
        """How many tokens stand around a question and its context."""
        return len(self.before) + len(self.between) + len(self.after)


class TextTokenizer:
    """The tokenizer of a bundle.

    Special tokens that a user types, such as "[SEP]", are split like any other text. Safe to share
    between threads.
    """

    def __init__(self, tokenizer_json: str, where: str = "tokenizer.json") -> None:
        self._where = where
        try:
            with panics_as_exceptions():
                self._tokenizer = Tokenizer.from_str(_without_special_pieces(tokenizer_json))
                self._tokenizer.no_truncation()
                self._tokenizer.no_padding()
                # tokenizer.json does not store this switch, and its default makes a typed "[SEP]" a real separator.
                self._tokenizer.encode_special_tokens = True
                check_unknown_token(self._tokenizer)
                # What fails on one text in a hundred is better found before the first question.
                self._tokenizer.encode(_PROBE)
                pair = self._tokenizer.encode("a", "b")
        except Exception as error:
            raise BundleError(
                f"cannot be read as a tokenizer ({error})", where=where, remedy="make the bundle again"
            ) from None
        self.template = _find_template(pair, where)
        # Its template is known; what else a post-processor does is to trim offsets, and the one of byte-level
        # tokenizers takes the first letter of a word for the space that a pre-tokenizer put before it.
        self._tokenizer.post_processor = None
        self.unknown = unknown_id(self._tokenizer, tokenizer_json)
        """The id of the token that stands for what the vocabulary lacks, or None."""
        byte_level = "ByteLevel" in str(self._tokenizer.pre_tokenizer)
        self._space = self._tokenizer.token_to_id("\u0120") if byte_level else None  # how bytes spell a space

    @property
    def vocabulary(self) -> int:
        """One more than the largest id that can come out."""
        ids: set[int] = set(self._tokenizer.get_vocab(with_added_tokens=True).values())
        added = self._tokenizer.get_added_tokens_decoder()
        given = {*self.template.before, *self.template.between, *self.template.after}
        marks: set[int] = {index for index, token in added.items() if token.special} - given
        largest: int = max(ids - marks, default=-1)
        # Special tokens that text can become nonetheless are pieces of the model's own as well.
        beyond: list[int] = [
            index for index in marks if index > largest and index in self.encode(added[index].content, "").ids
        ]
        return 1 + max([largest, *beyond])

    def tokens_from(self, first: int) -> list[tuple[str, int]]:
        """Return the tokens with ids of at least `first`, in their order, also those that cannot come out."""
        vocab: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        return sorted(((token, index) for token, index in vocab.items() if index >= first), key=lambda pair: pair[1])

    def encode(self, text: str, what: str, *, align: bool = False) -> Tokens:
        """Split `text`; `what` names it in errors. Raises InputError for text that is not valid Unicode.

        align: widen the offsets to those of whole words; see `edge_qa/text/offsets.py`.
        """
        encoding = self._encode(text, what)
        count = len(encoding.ids)
        ids = np.fromiter(encoding.ids, np.int64, count)
        offsets = np.fromiter(itertools.chain.from_iterable(encoding.offsets), np.int64, 2 * count).reshape(count, 2)
        if self._space is not None:
            # Where the pre-tokenizer put it, the library says that it stands for the letter after it.
            offsets[:, 1] = np.where(ids == self._space, offsets[:, 0], offsets[:, 1])
        offsets = cut_cleanly(text, offsets)
        if align:
            words = (-1 if word is None else word for word in encoding.word_ids)
            offsets = align_to_words(offsets, np.fromiter(words, np.int64, count))
        return Tokens(ids, offsets)

    def _encode(self, text: str, what: str) -> Any:
        try:
            with panics_as_exceptions():
                return self._tokenizer.encode(text, add_special_tokens=False)
        except (TypeError, UnicodeError):
            raise InputError(
                "holds a lone surrogate, which is no character", where=what, remedy="decode bytes with errors='replace'"
            ) from None
        except Exception as error:
            raise BundleError(
                f"fails on the {what} ({error})", where=self._where, remedy="make the bundle again"
            ) from None


def bundle_tokenizer(bundle: Bundle) -> TextTokenizer:
    """Return the tokenizer of a bundle. Raises BundleError if it does not belong to the model."""
    where = f"{bundle.path}/tokenizer.json"
    tokenizer = TextTokenizer(bundle.tokenizer_json, where)
    if tokenizer.vocabulary > bundle.manifest.model.vocabulary:
        raise BundleError(
            f"gives ids up to {tokenizer.vocabulary - 1}, the model has {bundle.manifest.model.vocabulary} rows",
            where=where,
            remedy="convert with the tokenizer that belongs to the model",
        )
    return tokenizer


def _find_template(pair: Any, where: str) -> PairTemplate:
    """Read the template off one encoded pair, whatever post-processor the tokenizer has."""
    sides, ids, kinds = pair.sequence_ids, pair.ids, pair.type_ids
    if 0 not in sides or 1 not in sides:
        raise BundleError("it tokenizes plain letters to nothing", where=where, remedy="make the bundle again")
    first_question, first_context = sides.index(0), sides.index(1)
    last_question = len(sides) - 1 - sides[::-1].index(0)
    last_context = len(sides) - 1 - sides[::-1].index(1)
    if first_context < first_question:
        raise BundleError("it puts the context before the question", where=where, remedy="wanted question first")
    return PairTemplate(
        before=tuple(ids[:first_question]),
        between=tuple(ids[last_question + 1 : first_context]),
        after=tuple(ids[last_context + 1 :]),
        before_types=tuple(kinds[:first_question]),
        between_types=tuple(kinds[last_question + 1 : first_context]),
        after_types=tuple(kinds[last_context + 1 :]),
        question_type=kinds[first_question],
        context_type=kinds[first_context],
    )


def _without_special_pieces(tokenizer_json: str) -> str:
    """Make special tokens unreachable for a Unigram model, which else finds a typed "</s>" among its pieces.

    SentencePiece itself never makes text into one of its control symbols.
    """
    if '"Unigram"' not in tokenizer_json:
        return tokenizer_json
    # Cut and pasted, because parsing and printing 250,000 pieces would take a second of every start.
    key, vocabulary = '"added_tokens":', '"vocab":[["'
    if key not in tokenizer_json or vocabulary not in tokenizer_json:
        tokenizer_json = json.dumps(json.loads(tokenizer_json), ensure_ascii=False, separators=(",", ":"))
    if key not in tokenizer_json or vocabulary not in tokenizer_json:
        return tokenizer_json  # some other model, to which "Unigram" is a word
    first = tokenizer_json.index(vocabulary)
    added, _ = json.JSONDecoder().raw_decode(tokenizer_json, tokenizer_json.index(key) + len(key))
    kept = []
    for token in added:
        piece = f"[{json.dumps(token['content'], ensure_ascii=False)},"
        place = tokenizer_json.find(piece, first) if token["special"] else -1
        if place < 0:
            kept.append(token)
        else:
            # A piece with a space in it matches nothing: Metaspace has replaced every space by then.
            tokenizer_json = f'{tokenizer_json[:place]}[" {tokenizer_json[place + 2 :]}'
    begin = tokenizer_json.index(key) + len(key)
    _, end = json.JSONDecoder().raw_decode(tokenizer_json, begin)
    return tokenizer_json[:begin] + json.dumps(kept, ensure_ascii=False) + tokenizer_json[end:]
