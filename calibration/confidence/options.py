"""The options of a confidence."""

from dataclasses import dataclass

from edge_qa.errors import InputError


@dataclass(frozen=True)
class ConfidenceOptions:
    """How a confidence is fitted.

    questions: so many are read, half of them to fit and half to check; a partner without an answer counts as one.
    false_answers: the share of questions without an answer that the limit allows to be answered, 0..1.
    seed: which questions are drawn.
    documents: so many questions with an answer are asked, besides, over an index of all texts of the data, each with
    its text and without: how answers from documents are ranked, and how sure they are. 0 for none.
    """

    questions: int = 2000
    false_answers: float = 0.1
    seed: int = 0
    documents: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for what cannot be."""
        if self.questions < 4:
            raise InputError(f"got {self.questions}", where="questions", wanted="at least 4")
        if self.documents < 0:
            raise InputError(f"got {self.documents}", where="documents", wanted="at least 0")
        if not 0 < self.false_answers < 1:
            raise InputError(f"got {self.false_answers}", where="false_answers", wanted="more than 0, less than 1")
