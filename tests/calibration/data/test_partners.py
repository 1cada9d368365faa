"""Partners of questions: passages that retrieval likes, that hold no answer, and that nobody wrote a better one for."""

from collections import Counter

import numpy as np
import pytest

from calibration.data.partners import article_partners, retrieved_partners
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example


def data(*examples: Example) -> Dataset:
    return Dataset("test", "v1.1", "", examples)


def example(name: str, question: str, context: str, *answers: str, title: str = "a") -> Example:
    return Example(name, question, context, answers, title)


MILL = example("mill", "who built the mill of Ulm?", "Ada built the mill of Ulm.", "Ada")
OTHERS = (
    example("owner", "who owned it?", "Bo owned the mill of Ulm.", "Bo"),
    example("again", "was it burnt?", "The mill of Ulm was burnt, and Ada wept.", "burnt"),
    example("sea", "how deep?", "Nine fathoms deep.", "Nine", title="b"),
)


def test_a_partner_shares_words_holds_no_answer_and_is_not_the_own_passage():
    found = retrieved_partners(data(MILL, *OTHERS), 1.0, np.random.default_rng(0))
    (partner,) = [one for one in found if one.id == "mill-none"]
    # Of the two other passages with words of the question, one names Ada; the one about the sea shares none.
    assert partner == Example("mill-none", MILL.question, "Bo owned the mill of Ulm.", (), "a")
    assert partner.is_impossible


def test_the_better_ranked_are_drawn_more_often():
    # Passage number n has n of the words that are asked for, so that the ranks are known: 14 is the best.
    words = [f"word{number}" for number in range(14)]
    passages = [example(f"p{n}", "?", " ".join([*words[:n], *(["other"] * (20 - n))]), "other") for n in range(1, 15)]
    asked = example("q", f"where {' '.join(words)}?", "elsewhere", "elsewhere")
    found = Counter[int]()
    for seed in range(400):
        (partner,) = [
            one
            for one in retrieved_partners(data(asked, *passages), 1.0, np.random.default_rng(seed))
            if one.id == "q-none"
        ]
        found[[one.context for one in passages].index(partner.context) + 1] += 1
    # The ten best of fourteen, by weights 10, 9, ... 1 of 55.
    assert set(found) == set(range(5, 15))
    assert found[14] == pytest.approx(400 * 10 / 55, abs=30)
    assert sum(found[n] for n in range(10, 15)) == pytest.approx(400 * 40 / 55, abs=30)


def test_one_in_four_stays_in_its_article():
    words = "the mill of the town"
    own = [example(f"{n}", f"who built {words}?", f"{words} {'b' * (n + 1)}", "b" * (n + 1)) for n in range(40)]
    far = [example(f"far{n}", "?", f"who built {words} {n}", "z", title=f"t{n}") for n in range(40)]
    found = retrieved_partners(data(*own, *far), 0.5, np.random.default_rng(0))
    mine = [one for one in found if one.title == "a"]
    # Passages of other articles have all words of the question, and outrank those of its own.
    inside = [one for one in mine if one.context.endswith("b")]
    assert len(found) == 40
    assert 0.1 < len(inside) / len(mine) < 0.4


def test_share_is_of_the_answered_questions():
    mills = [
        example(f"{n}", f"who built mill {n}?", f"{'b' * (n + 1)} built mill {n}.", "b" * (n + 1)) for n in range(8)
    ]
    examples = data(*mills, *(example(f"none{n}", "?", "Nothing.", title="c") for n in range(8)))
    assert len(retrieved_partners(examples, 0.5, np.random.default_rng(1))) == 4


def test_articles_with_unanswerable_questions_of_their_own_are_passed_over():
    unanswered = example("none", "who sold the mill?", "Bo owned the mill of Ulm.")
    other = example("bridge", "who built the bridge of Ulm?", "Cy built the bridge of Ulm.", "Cy", title="c")
    found = retrieved_partners(data(MILL, *OTHERS, unanswered, other), 1.0, np.random.default_rng(0))
    assert [one.id for one in found] == ["bridge-none"]
    assert found[0].context in {one.context for one in (MILL, *OTHERS)}


def test_a_single_passage_gives_no_partners():
    for partners in (article_partners, retrieved_partners):
        with pytest.raises(InputError, match="no question finds a second passage"):
            partners(data(MILL), 1.0, np.random.default_rng(0))


def test_partners_are_the_same_for_the_same_seed():
    first, again = (retrieved_partners(data(MILL, *OTHERS), 1.0, np.random.default_rng(3)) for _ in range(2))
    assert first == again
