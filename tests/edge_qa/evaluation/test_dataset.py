"""The reader of data sets: every layout that exists in the world, and what is refused by its name."""

import gzip
import hashlib
import io
import json
import zipfile

import pytest

from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import Dataset, Example, read_dataset
from edge_qa.evaluation.evaluate import scorable
from tests.support.layouts import EXAMPLES, FERRY, LAYOUTS, MUCH, WHEN, flat, lines, nested, write


def question(question_id: str = "q1", **changes) -> dict:
    return {"id": question_id, "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}], **changes}


def squad(*questions: dict, version: object = "1.1", context: str = "Ada wrote it.") -> dict:
    article = {"title": "Ada", "paragraphs": [{"context": context, "qas": list(questions)}]}
    return {"version": version, "data": [article]}


def test_squad_file_is_read_whole_and_exactly(tmp_path):
    path = write(tmp_path, squad(question(question=" Who?\n", answers=[{"text": " Ada "}, {"text": " Ada "}])))
    dataset = read_dataset(path)
    assert dataset == Dataset(
        name="data.json",
        version="v1.1",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        examples=(Example("q1", " Who?\n", "Ada wrote it.", (" Ada ", " Ada "), "Ada"),),
    )
    assert list(dataset) == list(dataset.examples)
    assert len(dataset) == 1


def test_questions_keep_the_order_of_the_file(tmp_path):
    content = squad(question("b"), question("a"))
    content["data"] += squad(question("c"))["data"]
    assert [example.id for example in read_dataset(write(tmp_path, content))] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("content", "version"),
    [
        (squad(question()), "v1.1"),
        (squad(question(), version="v2.0"), "v2.0"),
        (squad(question(), version=1.1), "v1.1"),
        (squad(question(), version=2.0), "v2.0"),
        (squad(question(), version="2.0"), "v2.0"),
        (squad(question(), version="KorQuAD_v1.0_dev"), "v1.1"),
        # Answers, and empty lists of them: v2.0. No list at all says nothing, and empty ones alone say nothing, too.
        (squad(question("a"), question("b", answers=[]), version=None), "v2.0"),
        (squad(question("a"), {"id": "b", "question": "?"}), "v1.1"),
        (squad(question("a", answers=[]), question("b", answers=[])), "v1.1"),
        (squad(question("a"), question("b", is_impossible=False)), "v1.1"),
        (squad(question("a", is_impossible=True, answers=[]), question("b")), "v2.0"),
        ('{"question": "Who?", "context": "", "is_impossible": true}', "v2.0"),
    ],
)
def test_version_follows_the_file_and_its_unanswerable_questions(tmp_path, content, version):
    assert read_dataset(write(tmp_path, content)).version == version


def test_only_the_answers_decide_what_is_impossible(tmp_path):
    dataset = read_dataset(write(tmp_path, squad(question("a", answers=[]), question("b", answers=[{"text": ""}]))))
    assert [example.is_impossible for example in dataset] == [True, False]


def test_gzip_is_recognised_by_content_and_hashed_as_on_disk(tmp_path):
    packed = gzip.compress(json.dumps(squad(question())).encode())
    dataset = read_dataset(write(tmp_path, packed, "no-ending"))
    assert dataset.examples[0].question == "Who?"
    assert dataset.sha256 == hashlib.sha256(packed).hexdigest()
    assert len(read_dataset(write(tmp_path, squad(question()), "not-gzipped.gz"))) == 1


def test_byte_order_mark_is_no_part_of_the_data(tmp_path):
    assert len(read_dataset(write(tmp_path, b"\xef\xbb\xbf" + json.dumps(squad(question())).encode()))) == 1


def test_json_lines(tmp_path):
    path = write(
        tmp_path,
        '{"question": "Who?", "context": "Ada.", "id": "x", "answers": ["Ada", {"text": "ada"}], "title": "T"}\r\n'
        "\n"
        # U+2028 ends a line for str.splitlines, but not in JSON.
        '{"question": "What?\u2028", "context": "B.", "more": 1}\n',
    )
    assert read_dataset(path).examples == (
        Example("x", "Who?", "Ada.", ("Ada", "ada"), "T"),
        Example("3", "What?\u2028", "B.", ()),
    )


def test_one_json_line_is_json_lines(tmp_path):
    dataset = read_dataset(write(tmp_path, '{"question": "Who?", "context": "Ada."}'))
    assert dataset.examples == (Example("1", "Who?", "Ada.", ()),)


@pytest.mark.parametrize("as_lines", [True, False])
def test_equal_contexts_are_one_object(tmp_path, as_lines):
    context = "Ada wrote the first program. " * 3
    if as_lines:
        content = "\n".join(json.dumps({"question": "Who?", "context": context}) for _ in range(2))
    else:
        content = squad(question("a"), context=context)
        content["data"] += squad(question("b"), context=context)["data"]
    first, second = read_dataset(write(tmp_path, content))
    assert first.context is second.context


def paragraph(**changes) -> dict:
    return {"data": [{"title": "Ada", "paragraphs": [{"context": "Ada.", "qas": [question()], **changes}]}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no question, wanted one SQuAD object"),
        ({"data": []}, "holds no question"),
        (paragraph(qas=[]), "holds no question"),
        (b"\x1f\x8b no gzip at all", "damaged gzip .Unknown compression method"),
        (gzip.compress(b"", mtime=0)[:10] + b"\xff" * 9, "damaged gzip .*invalid block type"),
        (gzip.compress(b'{"data": []}' * 99, mtime=0)[:-9], "damaged gzip .Compressed file ended"),
        (gzip.compress(b'{"data": []}', mtime=0)[:-8] + b"\0" * 8, "damaged gzip .CRC"),
        (b'{"data": "\xff"}', r"not UTF-8 at byte 10 \(0xff\)"),
        ("context: Ada", "line 1, column 1: not JSON"),
        ('{"data": [}', "line 1, column 11: not JSON"),
        ('{\n "version": "1.1",\n "data": [}\n', "line 3, column 11: not JSON"),
        ('{"question": "Who?", "context": "A"}\n\n{"question"\n', "line 3, column 12: not JSON"),
        ('{"question": "Who?", "context": "A"}\n' + "[" * 99_999, "line 2, column 1: not JSON"),
        ("9" * 9_999, "line 1, column 1: not JSON"),  # Python's limit on digits
        ("[1, 2]", r"data.json: \[0\]: got a number, wanted an object with 'question'"),
        ({"version": "1.1"}, "line 1: no 'question', wanted text"),
        ('{"question": "Who?"}', "line 1: no 'context', wanted text"),
        ('{"question": "Who?", "context": null}', "line 1: 'context' is null, wanted text"),
        (
            '{"question": "Who?", "context": "", "id": 7.5}',
            "line 1: 'id' is a fraction, wanted text or a whole number",
        ),
        (
            '{"question": "Who?", "context": "", "id": true}',
            "line 1: 'id' is true or false, wanted text or a whole number",
        ),
        ('{"question": "Who?", "context": "", "id": null}', "line 1: 'id' is null, wanted text or a whole number"),
        ('{"question": "Who?", "context": "", "id": "\\ud800"}', "line 1: 'id' is half a character, wanted"),
        ('{"question": "", "context": "", "answers": "Ada"}', "line 1: 'answers' is text, wanted a list"),
        ('{"question": "", "context": "", "answers": [1]}', r"line 1: answers\[0\]: got a number, wanted an object"),
        (
            '{"question": "", "context": "", "id": "2"}\n{"question": "", "context": ""}',
            "line 2: id '2' already stands at line 1",
        ),
        ({"data": {}}, "data.json: 'data' is an object, wanted a list"),
        ({"data": [7]}, r"data\[0\]: got a number, wanted an object with 'paragraphs'"),
        ({"data": [{}]}, r"data\[0\]: no 'paragraphs', wanted a list"),
        ({"data": [{**squad(question())["data"][0], "title": 5}]}, r"data\[0\].*: 'title' is a number, wanted text"),
        ({"data": [{"paragraphs": [{"context": ""}]}]}, r"data\[0\].paragraphs\[0\]: no 'qas', wanted a list"),
        ({"data": [{"paragraphs": [{"qas": [question()]}]}]}, r"paragraphs\[0\]: no 'context', wanted text"),
        (paragraph(qas=[question(), None]), r"data\[0\].paragraphs\[0\].qas\[1\]: got null, wanted an object"),
        (paragraph(qas=[{"id": "x"}]), r"qas\[0\]: no 'question', wanted text"),
        (paragraph(qas=[{"question": "Who?"}]), r"qas\[0\]: no 'id'"),
        (paragraph(qas=[question(1), question("1")]), r"qas\[1\]: id '1' already stands at .*qas\[0\]"),
        (paragraph(qas=[question(is_impossible="no")]), "'is_impossible' is text, wanted true or false"),
        (paragraph(qas=[question(answers=["Ada", {}])]), r"qas\[0\]: answers\[1\]: no 'text', wanted text"),
        (
            paragraph(qas=[question("x"), question("x")]),
            r"qas\[1\]: id 'x' already stands at data\[0\].paragraphs\[0\].qas\[0\]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 120 else "content",
)
def test_unusable_file_is_refused_in_one_line_that_says_where(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "message"), [("absent.json", "No such file"), ("", "Is a directory")])
def test_unreadable_path_is_refused(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path / name)


# The layouts


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_examples(tmp_path, layout):
    dataset = read_dataset(write(tmp_path, LAYOUTS[layout]))
    count = 1 if layout.startswith("one") else 2
    assert dataset.version == "v1.1"
    assert dataset.examples == EXAMPLES[:count]
    assert [one.starts for one in dataset] == [one.starts for one in EXAMPLES[:count]]
    assert all(one.labelled for one in dataset)
    assert scorable(dataset) is dataset


def test_examples_without_ids_are_numbered(tmp_path):
    rows = [{key: value for key, value in row.items() if key != "id"} for row in flat()]
    assert [example.id for example in read_dataset(write(tmp_path, rows))] == ["1", "2"]


@pytest.mark.parametrize(
    "answers", [{"text": []}, {"text": [], "answer_start": []}, [], pytest.param(None, id="is_impossible")]
)
@pytest.mark.parametrize("version", ["2.0", 2.0, None])
def test_an_empty_list_of_answers_is_a_question_without_one(tmp_path, answers, version):
    content = nested(version)
    second = content["data"][0]["paragraphs"][0]["qas"][1]
    second |= {"is_impossible": True, "answers": None} if answers is None else {"answers": answers}
    dataset = read_dataset(write(tmp_path, content))
    assert dataset.version == "v2.0"
    assert [example.answers for example in dataset] == [("9:30",), ()]
    assert scorable(dataset) is dataset


def test_without_answers_it_calibrates_and_is_not_scored(tmp_path):
    content = nested()
    for one in content["data"][0]["paragraphs"][0]["qas"]:
        del one["answers"]
    dataset = read_dataset(write(tmp_path, content))
    assert [(one.question, one.context, one.labelled) for one in dataset] == [
        (WHEN, FERRY, False),
        (MUCH, FERRY, False),
    ]
    with pytest.raises(InputError, match="question '0' has no answer to score by"):
        scorable(dataset)


def test_a_question_without_the_key_of_answers_is_not_scored_as_unanswerable(tmp_path):
    content = nested(2.0)
    del content["data"][0]["paragraphs"][0]["qas"][1]["answers"]
    with pytest.raises(InputError, match="question '1' has no answer to score by"):
        scorable(read_dataset(write(tmp_path, content)))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"text": "9:30"}, "line 1: answers: 'text' is text, wanted a list"),
        ({"answer_start": [37]}, "line 1: answers: no 'text', wanted a list"),
        ({"text": ["9:30"], "answer_start": []}, "line 1: answers: 1 texts and 0 starts, wanted one of each"),
        ({"text": [9]}, r"line 1: answers\[0\]: 'text' is a number, wanted text"),
    ],
)
def test_columns_of_answers_are_checked(tmp_path, answers, message):
    with pytest.raises(InputError, match=message):
        read_dataset(write(tmp_path, flat(answers=answers)[0]))


KORQUAD_2 = {
    "version": "KorQuAD_2.0_dev",
    "data": [
        {
            "title": "Ferry",
            "url": "",
            "raw_html": "<p>The ferry</p>",
            "context": "<p>The ferry</p>",
            "qas": [{"id": "1", "question": "?", "answer": {"text": "ferry", "html_answer_start": 7}}],
        }
    ],
}
MRQA = [
    {"header": {"dataset": "TriviaQA-web", "split": "dev"}},
    {
        "id": "",
        "context": "[TLE] Ferry [PAR] It leaves at 9:30.",
        "qas": [{"qid": "q", "question": WHEN, "answers": ["9:30"], "detected_answers": [{"text": "9:30"}]}],
    },
]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (KORQUAD_2, "is KorQuAD 2, whose contexts are pages of HTML, wanted contexts of plain text; take"),
        ({**KORQUAD_2, "version": "x"}, "is KorQuAD 2"),
        (lines(MRQA), "line 1: is the layout of MRQA, whose contexts hold marks"),
        (lines(MRQA[1:]), "line 1: is the layout of MRQA"),
    ],
)
def test_layouts_that_are_not_read_are_named(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_header_of_ones_own_is_no_mrqa(tmp_path):
    assert read_dataset(write(tmp_path, lines([{**row, "header": "x"} for row in flat()]))).examples == EXAMPLES


def zipped(name: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr(name, "<x/>")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (json.dumps(nested()).encode("utf-16"), "is UTF-16, wanted UTF-8; convert it: iconv -f UTF-16 -t UTF-8"),
        (json.dumps(nested()).encode("utf-16-le"), "is UTF-16"),
        (json.dumps(nested()).encode("utf-16-be"), "is UTF-16"),
        (json.dumps(nested()).encode("utf-32"), "is UTF-32"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "is gzip, wanted text in UTF-8; unpack it first"),
        (b"%PDF-1.7\n%\xe2\xe3", "is PDF, wanted text in UTF-8; extract its text"),
        (zipped("word/document.xml"), r"is a Word document \(docx\), wanted text in UTF-8; save it as plain text"),
        (zipped("xl/workbook.xml"), "is an Excel sheet"),
        (zipped("dev.json"), "is a zip archive, wanted text in UTF-8; unpack it first"),
        (b"PAR1\x15\x04\xff", "is Parquet, wanted text in UTF-8; write it as JSON lines"),
        (b"\xfd7zXZ\0\0", "is xz"),
        (b"BZh91AY", "is bzip2"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "content",
)
def test_what_is_no_text_is_named_by_its_first_bytes(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_dataset(write(tmp_path, content))
