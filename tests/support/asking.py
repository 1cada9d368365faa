"""Threads that ask one answerer until it is closed."""

import threading

from edge_qa import QuestionAnswerer
from edge_qa.errors import InputError


def closed_while_asked(qa: QuestionAnswerer, question: str, text: str, *, threads: int = 6) -> list[str]:
    """Close the answerer twice while threads ask it; return what each was told. Fails if one does not end."""
    told: list[str] = []

    def ask() -> None:
        try:
            while True:
                qa.answer(question, text)
        except InputError as error:
            told.append(str(error))

    asking = [threading.Thread(target=ask, daemon=True) for _ in range(threads)]
    for thread in asking:
        thread.start()
    qa.answer(question, text)
    qa.close()
    qa.close()
    for thread in asking:
        thread.join(20)
    assert not any(thread.is_alive() for thread in asking)
    return told
