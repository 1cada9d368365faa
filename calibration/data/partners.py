"""Unanswerable partners of questions for training: the same question, asked of a passage that does not answer it."""

import numpy as np

from calibration.data.retrieved_negatives import PassageSearch
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example

# The passages that retrieval ranks best and that hold no answer; one of them is drawn, the better the more often.
_RANKS = 10
_WEIGHTS = np.arange(_RANKS, 0, -1.0)
# Of so many questions one is asked of its own article: what a reader of one document meets.
_OWN_ARTICLE = 4


def article_partners(dataset: Dataset, share: float, random: np.random.Generator) -> list[Example]:
    """Return questions asked of another passage of the same article, in which no gold answer of theirs stands.

    share: so many, as a share of the questions. Raises InputError if no article has a second passage.
    """
    passages = _articles(dataset)
    found: list[Example] = []
    for index in random.permutation(len(dataset)).tolist():
        if len(found) >= share * len(dataset):
            break
        example = dataset.examples[index]
        others = [
            text
            for text in passages[example.title]
            if text != example.context and not any(answer in text for answer in example.answers)
        ]
        if others:
            found.append(_asked_of(example, others[int(random.integers(len(others)))]))
    return _in_order(found, dataset)


def retrieved_partners(dataset: Dataset, share: float, random: np.random.Generator) -> list[Example]:
    """Return questions asked of a passage that BM25 finds likely and that holds no gold answer, as documents give them.

    share: so many, as a share of the answered questions; one in four of the same article, the others of any passage.
    Articles that have unanswerable questions of their own are passed over: what was written as a partner is better,
    and what stands in two documents of one form, such as two contracts, is no partner ("What is the fee?").
    Raises InputError if retrieval finds nothing.
    """
    own = {example.title for example in dataset if example.is_impossible and example.labelled}
    asked = [example for example in dataset if example.answers and example.title not in own]
    everything = PassageSearch([example.context for example in dataset])
    passages = _articles(dataset)
    articles: dict[str, PassageSearch] = {}
    found: list[Example] = []
    for number, index in enumerate(random.permutation(len(asked)).tolist()):
        if len(found) >= share * len(asked):
            break
        example = asked[index]
        search = everything
        if number % _OWN_ARTICLE == 0:
            search = articles.setdefault(example.title, PassageSearch(passages[example.title]))
        others = search.negatives(example, _RANKS)
        weights = _WEIGHTS[: len(others)]
        if others:
            found.append(_asked_of(example, others[int(random.choice(len(others), p=weights / weights.sum()))]))
    return _in_order(found, dataset)


def _articles(dataset: Dataset) -> dict[str, list[str]]:
    """Title -> its passages."""
    passages: dict[str, dict[str, None]] = {}
    for example in dataset:
        passages.setdefault(example.title, {})[example.context] = None
    return {title: list(texts) for title, texts in passages.items()}


def _asked_of(example: Example, context: str) -> Example:
    return Example(f"{example.id}-none", example.question, context, (), example.title)


def _in_order(found: list[Example], dataset: Dataset) -> list[Example]:
    """In the order of the passages, so that each is tokenized once."""
    if not found:
        raise InputError(
            "no question finds a second passage to be asked of, which no-answer training needs",
            where=dataset.where,
            remedy="give SQuAD, or data with unanswerable questions",
        )
    return sorted(found, key=lambda example: example.context)
