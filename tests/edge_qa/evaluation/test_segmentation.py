"""Answers in languages without white space between words, against MLQA's official script and by hand."""

import json

import pytest

from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.segmentation import LANGUAGES, normalize_answer, segmentation_for, segmentation_of
from edge_qa.evaluation.squad_metric import exact_match, f1, score
from tests.support.layouts import write
from tests.support.places import GOLDEN_FILES

GOLDEN = json.loads((GOLDEN_FILES / "mlqa_metric.json").read_text(encoding="ascii"))
CHINESE = "北京大学创建于1898年，是中国的一所大学。"
JAPANESE = "東京大学は一八七七年に創立された日本の大学です。コンピューターもあります。"
THAI = "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย"


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['language']}: {row['prediction']}")
def test_it_is_what_the_official_script_says(row):
    segmentation = segmentation_for(row["language"])
    assert normalize_answer(row["prediction"], segmentation) == row["normalized"]
    assert exact_match(row["prediction"], row["gold"], segmentation=segmentation) == row["exact_match"]
    assert f1(row["prediction"], row["gold"], version="v1.1", segmentation=segmentation) == row["f1"]


@pytest.mark.parametrize(
    ("language", "prediction", "gold", "wanted"),
    [
        ("zh", "北京大学", "大学", 2 / 3),  # two of four characters, both of two
        ("ja", "東京大学", "大学", 2 / 3),
        ("ja", "コンピューター", "コンピュータ", 12 / 13),  # six of seven, six of six
        ("ja", "ｺﾝﾋﾟｭｰﾀ", "ｺﾝﾋﾟｭｰﾀ", 1.0),
        ("ja", "「東京」は", "東京", 0.8),
        ("ja", "NHKの時", "NHK", 0.5),  # a word in Latin letters is one token: one of three, one of one
        ("th", "เมืองหลวง", "เมือง", 2 * (4 / 8) / (1.5)),  # เ มื อ ง ห ล ว ง: a character with the marks on it
        ("th", "ปี 1782", "1782", 2 / 3),
        ("en", "北京大学", "大学", 0.0),
    ],
)
def test_a_part_of_an_answer_is_worth_a_part(language, prediction, gold, wanted):
    segmentation = segmentation_for(language)
    assert f1(prediction, gold, version="v1.1", segmentation=segmentation) == pytest.approx(wanted)
    assert f1(prediction, gold, version="v2.0", segmentation=segmentation) == pytest.approx(wanted)


def test_a_mark_belongs_to_its_character():
    assert normalize_answer("ที่นี่", "characters-th") == "ที่ นี่"


@pytest.mark.parametrize(
    ("text", "segmentation"),
    [
        (CHINESE, "mlqa-zh"),
        (JAPANESE, "characters-ja"),
        (THAI, "characters-th"),
        ("The university of 北京 was founded in 1898.", "squad"),
        ("Der Hafen von Oslo wurde 1856 eröffnet.", "squad"),
        ("Порт Осло был открыт в 1856 году.", "squad"),
        ("오슬로 항구는 1856년에 열렸다.", "squad"),
        ("1898: 12,5 %", "squad"),
        ("", "squad"),
        (CHINESE + "其名为「ひらがな」。", "mlqa-zh"),
    ],
)
def test_the_text_tells_how(text, segmentation):
    assert segmentation_of([text]) == segmentation


def test_a_language_without_a_rule_is_refused():
    with pytest.raises(InputError, match="language: got 'xx', wanted one of en, ar, "):
        segmentation_for("xx")
    assert {segmentation_for(language) for language in LANGUAGES} >= {"squad", "mlqa-zh"}


def rows(context, answer):
    return [{"id": "1", "question": "?", "context": context, "answers": [answer]}]


def test_a_data_set_knows_how_its_answers_are_compared(tmp_path):
    dataset = read_dataset(write(tmp_path, rows(CHINESE, "大学")))
    assert dataset.segmentation == "mlqa-zh"
    found = score(dataset, {"1": "北京大学"}, version="v1.1", segmentation=dataset.segmentation)
    assert (found.exact_match, found.f1) == (0.0, pytest.approx(200 / 3))
    asked = read_dataset(write(tmp_path, rows("Der Hafen", "Hafen")), language="de")
    assert asked.segmentation == "mlqa-de"
    assert read_dataset(write(tmp_path, rows("Der Hafen", "Hafen"))).segmentation == "squad"
    with pytest.raises(InputError, match="language: got 'klingon'"):
        read_dataset(write(tmp_path, rows("x", "x")), language="klingon")
