"""The options of a confidence."""

from dataclasses import dataclass

from edge_qa.errors import InputError


@dataclass(frozen=True)
class ConfidenceOptions:
    """How a confidence is fitted.

    questions: so many are read, half of them to fit and half to check; a partner without an answer counts as one.
    false_answers: the share of questions without an answer that the limit allows to be answered, 0..1.
    seed: which questions are drawn.
    """

    questions: int = 2000
    false_answers: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for what cannot be."""
        if self.questions < 4:
            raise InputError(f"got {self.questions}", where="questions", wanted="at least 4")
        if not 0 < self.false_answers < 1:
            raise InputError(f"got {self.false_answers}", where="false_answers", wanted="more than 0, less than 1")
