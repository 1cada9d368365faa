"""Plain text with questions."""

from pathlib import Path

import pytest

from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import read_dataset

TEXT = """
The bridge was opened in 1900.
Its statues stand 17 metres high.
Q: When was it opened?
 Q:How high are the statues?


Ada wrote Q: and A: into a book.
Q: Who wrote?
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "texts.txt"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_questions_belong_to_the_passage_of_their_block(tmp_path, ending):
    data = read_dataset(write(tmp_path, TEXT.replace("\n", ending)))
    bridge = "The bridge was opened in 1900.\nIts statues stand 17 metres high."
    assert [(e.id, e.question, e.context, e.answers) for e in data] == [
        ("4", "When was it opened?", bridge, ()),
        ("5", "How high are the statues?", bridge, ()),
        ("9", "Who wrote?", "Ada wrote Q: and A: into a book.", ()),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A passage.\nQ: Why?\n\nAnother one.\n", "line 4: a passage without a question"),
        ("A passage.\n\nQ: Why?\n", "line 1: a passage without a question"),
        ("Q: Why?\n", "line 1: a question without a passage"),
        ("A passage.\nQ: Why?\nQ:  \n", 'line 3: nothing stands behind "Q:"'),
        ("\n \n", "holds no question"),
        ('{"question": "Why?", "context": "So."}\n', "line 1: a passage without a question"),
    ],
)
def test_anything_else_is_one_clear_error(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(write(tmp_path, text))
    assert "texts.txt" in str(caught.value)
    assert "\n" not in str(caught.value)
