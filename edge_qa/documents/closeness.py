"""How close a passage is to a question, beyond BM25: do its words stand together, and as they do in the question?

BM25 counts words wherever they stand in a passage. A passage that answers has many of them in one sentence, next to
each other as in the question, and all of its names. `benchmarks/documents/fit_search.py` fits what each counts.
"""

import math
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from edge_qa.documents.queries import question_words
from edge_qa.documents.sentences import sentence_ends
from edge_qa.documents.store import TOKENIZER, Connection

# What FTS5 puts around a word of the question that it found: noncharacters, which no text should hold.
OPEN, CLOSE = "\ufdd0", "\ufdd1"
_MARKED = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Closeness:
    """What speaks for a passage; sums are of the rarity of words, log(1 + (N - n + 0.5) / (n + 0.5)) of BM25.

    bm25: of the words, anywhere, in FTS5's weights. covered: the question's words that stand in the passage or over
    it, each once. sentence: those in one sentence, the one that has most. pairs: neighbours in the question that
    are neighbours in the passage. names: of `covered`, capitalised words and numbers. missing: the question's words
    that are not covered.
    """

    bm25: float
    covered: float = 0.0
    sentence: float = 0.0
    pairs: float = 0.0
    names: float = 0.0
    missing: float = 0.0

    @property
    def score(self) -> float:
        """What passages are sorted by: the sum of what speaks for one, each part by its weight."""
        return sum(weight * float(getattr(self, name)) for name, weight in WEIGHTS.items())


# Fitted on 1,000 questions of SQuAD train over all its paragraphs; see docs/benchmarks/documents.md.
WEIGHTS = {"bm25": 0.31, "covered": 0.22, "sentence": 0.27, "pairs": 0.12, "names": 0.32}


class Lexicon:
    """The words of an index: their stems, and how rare they are. Belongs to one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Begin. The connection must still be allowed to write temporary tables."""
        self._index = connection
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, words, row)")
        # FTS5 stems what is put into a table, and nothing else; the index itself may be read-only.
        self._stemmer = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=Connection)
        self._stemmer.execute(f"CREATE VIRTUAL TABLE words USING fts5(text, tokenize='{TOKENIZER}')")
        self._stemmer.execute("CREATE VIRTUAL TABLE stems USING fts5vocab(words, instance)")

    def stems(self, words: Iterable[str]) -> dict[str, str]:
        """Return the stem of each word; a word that the tokenizer takes for several is its own."""
        rows = list(dict.fromkeys(words))
        self._stemmer.execute("DELETE FROM words")
        self._stemmer.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(rows))
        found: dict[int, list[str]] = {}
        for row, term in self._stemmer.execute("SELECT doc, term FROM stems"):
            found.setdefault(row, []).append(term)
        return {word: found[row][0] if len(found.get(row, ())) == 1 else word for row, word in enumerate(rows)}

    def rarity(self, stems: Iterable[str]) -> dict[str, float]:
        """Return how rare each stem is, by BM25's formula."""
        (passages,) = self._index.execute("SELECT count(*) FROM passages").fetchone()
        rarities = {}
        for stem in stems:
            row = self._index.execute("SELECT doc FROM temp.vocabulary WHERE term = ?", (stem,)).fetchone()
            holding = row[0] if row else 0
            rarities[stem] = math.log1p((passages - holding + 0.5) / (holding + 0.5))
        return rarities

    def closeness(self, question: str, passages: Sequence[tuple[float, str, str]]) -> list[Closeness]:
        """Return how close each passage is.

        passages: BM25, the headings, and the text, in which FTS5 marked the words of the question.
        """
        asked = question_words(question)
        texts = [_MARKED.split(text) for _, _, text in passages]  # every other piece is a word that was found
        headings = [_WORD.findall(heading) for _, heading, _ in passages]
        found = (word for pieces in texts for word in pieces[1::2])
        stems = self.stems(
            word.lower() for word in chain((word for word, _ in asked), found, chain.from_iterable(headings))
        )
        question_stems = [stems[word.lower()] for word, _ in asked]
        rarity = self.rarity(dict.fromkeys(question_stems))
        names = {stem for (_, is_name), stem in zip(asked, question_stems, strict=True) if is_name}
        pairs = set(pairwise(question_stems))
        return [
            _closeness(bm25, pieces, {stems[word.lower()] for word in heading}, stems, rarity, names, pairs)
            for (bm25, _, _), pieces, heading in zip(passages, texts, headings, strict=True)
        ]


def _closeness(
    bm25: float,
    pieces: Sequence[str],
    heading: set[str],
    stems: Mapping[str, str],
    rarity: Mapping[str, float],
    names: set[str],
    pairs: set[tuple[str, str]],
) -> Closeness:
    places, begin = [], 0
    for number, piece in enumerate(pieces):
        if number % 2:
            places.append((begin, stems[piece.lower()]))
        begin += len(piece)
    covered = heading & rarity.keys()
    most, neighbours, place = 0.0, set(), 0
    for end in sentence_ends("".join(pieces), 0, begin):
        sentence = []
        while place < len(places) and places[place][0] < end:
            sentence.append(places[place][1])
            place += 1
        inside = rarity.keys() & sentence
        most = max(most, sum(rarity[stem] for stem in inside))
        neighbours |= pairs & set(pairwise(sentence))
        covered |= inside
    return Closeness(
        bm25=bm25,
        covered=sum(rarity[stem] for stem in covered),
        sentence=most,
        pairs=sum((rarity[one] + rarity[two]) / 2 for one, two in neighbours),
        names=sum(rarity[stem] for stem in names & covered),
        missing=sum(rarity[stem] for stem in rarity.keys() - covered),
    )
