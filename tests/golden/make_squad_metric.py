r"""Make squad_metric.json: what the reference implementations say of hand-built predictions.

References, none of them ours:
* v2.0: transformers 4.57.6, `transformers.data.metrics.squad_metrics`, which is the official evaluate-v2.0.py.
* v1.1: the official evaluate-v1.1.py, as the PyPI package sotabencheval 0.0.38 carries it, unchanged.
  (torchmetrics 1.9.0 will not do: it counts in float32, and gives an empty prediction of an empty gold F1 1.)

Run, with Python 3.11 (from 3.12 on `sum` rounds otherwise), in an environment of its own:

    pip install torch transformers==4.57.6
    pip install --no-deps sotabencheval==0.0.38
    python tests/golden/make_squad_metric.py

It writes beside itself, and gives the same bytes each time.
"""

import importlib.metadata
import importlib.util
import json
import platform
import unicodedata
from pathlib import Path
from types import ModuleType, SimpleNamespace

from transformers.data.metrics import squad_metrics as v2

# (prediction, gold answers); no gold answer makes the question unanswerable.
CASES: list[tuple[str, list[str]]] = [
    # plain: equal, overlapping, disjoint, repeated tokens, order, several golds
    ("Denver Broncos", ["Denver Broncos"]),
    ("Denver", ["Denver Broncos"]),
    ("the Denver Broncos of Colorado", ["Denver Broncos", "Broncos", "The Denver Broncos football team"]),
    ("Carolina", ["Denver Broncos", "Broncos"]),
    ("Broncos Denver", ["Denver Broncos"]),
    ("to be or not to be", ["not to be", "to be to be"]),
    ("to to to", ["to", "to to"]),
    ("one two three four five six seven", ["two four six eight ten", "seven"]),
    ("1", ["1 2 3 4 5 6 7"]),
    # these two round otherwise if F1 is computed as 2 * common / (tokens + tokens)
    ("1", ["1 2 3 4 5"]),
    ("x y z", ["x 1 2 3"]),
    ("gold gold silver", ["silver gold", "gold", "gold silver bronze"]),
    # case
    ("DENVER broncos", ["denver BRONCOS"]),
    ("STRASSE", ["straße"]),
    ("İstanbul", ["istanbul", "i̇stanbul"]),
    ("ΟΔΟΣ", ["οδος", "οδοσ"]),
    ("ẞ", ["ß", "ss"]),
    # articles
    ("the cat", ["cat"]),
    ("The an a", ["A"]),
    ("theatre", ["atre"]),
    ("an apple a day", ["apple day"]),
    ("A", ["B", "a"]),
    ("vitamin A", ["vitamin"]),
    ("a-b", ["ab", "b"]),
    ("a b", ["b"]),
    ("the_end", ["theend", "end"]),
    ("la the los", ["la los"]),
    ("“a” x", ["“” x", "“ ” x"]),
    ("a\u0301", ["á", "\u0301"]),
    ("å the", ["a\u030a", "å"]),
    # ASCII punctuation
    ("U.S.", ["US", "U S"]),
    ("$3,000.50", ["300050", "3000.50"]),
    ("rock 'n' roll", ["rock n roll"]),
    ("well-known", ["well known", "wellknown"]),
    ("[citation needed]", ["citation needed"]),
    ("A.N.", ["", "an"]),
    ("t.h.e", ["x"]),
    ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", ["", "!"]),
    # other punctuation and symbols stay
    ("“quoted”", ["quoted", '"quoted"']),
    ("“quoted”", ["“quoted”"]),
    ("1990–1999", ["1990-1999", "1990–1999"]),
    ("it’s", ["it's", "its"]),
    ("東京、日本。", ["東京、日本", "東京 日本"]),
    ("€ 5", ["5", "€5"]),
    ("a—b", ["—b"]),
    # white space
    ("  Denver \t Broncos\n", ["Denver Broncos"]),
    ("Denver\u00a0Broncos", ["Denver Broncos"]),
    ("Denver\u2003Broncos\u3000", ["Denver Broncos"]),
    ("Denver\u200bBroncos", ["Denver Broncos", "Denver\u200bBroncos"]),
    ("Denver\u2028Broncos\x1f", ["Denver Broncos"]),
    # other unicode
    ("ﬁn", ["fin", "ﬁn"]),
    ("𝔸 x", ["a x", "x"]),
    ("½", ["1/2", "½"]),
    ("👩‍🚀 moon", ["👩‍🚀", "moon"]),
    ("\ud800 x", ["x"]),
    # empty on one side or both
    ("", ["Denver Broncos"]),
    ("", [""]),
    ("the", [""]),
    ("", ["the", "..."]),
    ("Denver", ["", "Denver"]),
    ("Denver", ["", "the"]),
    ("", ["", "Denver"]),
    (" ", ["."]),
    # unanswerable
    ("", []),
    ("Denver", []),
    ("the", []),
    (" ", []),
    ("...", []),
    ("“", []),
]


def official_v11() -> ModuleType:
    """The script alone: its package imports data set downloaders."""
    root = Path(importlib.util.find_spec("sotabencheval").origin).parent
    spec = importlib.util.spec_from_file_location("evaluate_v11", root / "question_answering" / "evaluate_v11.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def questions(v11: ModuleType) -> list[dict]:
    """The cases, each with its own scores."""
    rows = []
    for number, (prediction, golds) in enumerate(CASES):
        example = SimpleNamespace(qas_id="q", answers=[{"text": gold} for gold in golds])
        exact, f1 = v2.get_raw_scores([example], {"q": prediction})
        row = {
            "id": f"q{number:02}",
            "prediction": prediction,
            "answers": golds,
            # Spread over 0.04 .. 0.97 in no order, all different.
            "no_answer_score": (number * 7 % len(CASES) + 3) / (len(CASES) + 5),
            "normalized": v2.normalize_answer(prediction),
            "f1_by_answer": {
                "v1.1": [v11.f1_score(prediction, gold) for gold in golds],
                "v2.0": [v2.compute_f1(gold, prediction) for gold in golds],
            },
            "v2.0": {"exact_match": exact["q"], "f1": f1["q"]},
        }
        if golds:
            best = v11.metric_max_over_ground_truths
            row["v1.1"] = {
                "exact_match": int(best(v11.exact_match_score, prediction, golds)),
                "f1": best(v11.f1_score, prediction, golds),
            }
        rows.append(row)
    return rows


def run_v11(v11: ModuleType, rows: list[dict], missing: list[str]) -> dict:
    """One whole evaluation, of the answerable questions among `rows`."""
    rows = [row for row in rows if row["answers"]]
    qas = [{"id": row["id"], "answers": [{"text": text} for text in row["answers"]]} for row in rows]
    predictions = {row["id"]: row["prediction"] for row in rows if row["id"] not in missing}
    expected = v11.evaluate([{"paragraphs": [{"qas": qas}]}], predictions)
    return {"version": "v1.1", "ids": [row["id"] for row in rows], "missing": missing, "expected": expected}


def run_v2(rows: list[dict], digits: int = 17, shift: float = 0.0) -> dict:
    """One whole evaluation with its threshold search; few digits make the no-answer scores tie."""
    examples = [SimpleNamespace(qas_id=row["id"], answers=[{"text": a} for a in row["answers"]]) for row in rows]
    predictions = {row["id"]: row["prediction"] for row in rows}
    no_answer_scores = {row["id"]: round(row["no_answer_score"] + shift, digits) for row in rows}
    # The last argument keeps the threshold from changing the predictions.
    expected = v2.squad_evaluate(examples, predictions, no_answer_scores, 1e9)
    ids = [row["id"] for row in rows]
    return {"version": "v2.0", "ids": ids, "no_answer_scores": no_answer_scores, "expected": expected}


def main() -> None:
    v11 = official_v11()
    rows = questions(v11)
    answerable = [row for row in rows if row["answers"]]
    unanswerable = [row for row in rows if not row["answers"]]
    # Few right answers, so that the best thresholds lie inside and differ between the two metrics.
    hard = [row for row in answerable if row["v2.0"]["f1"] < 1] + unanswerable
    hard += [row for row in answerable if row["v2.0"]["f1"] == 1][:3]
    golden = {
        "made_by": {
            "script": "tests/golden/make_squad_metric.py",
            "v1.1": "sotabencheval " + importlib.metadata.version("sotabencheval"),
            "v2.0": "transformers " + importlib.metadata.version("transformers"),
            "python": platform.python_version(),
            "unicode": unicodedata.unidata_version,
        },
        "questions": rows,
        "runs": [
            run_v11(v11, rows, missing=[]),
            run_v11(v11, rows, missing=[row["id"] for row in answerable[::3]]),
            run_v2(rows),
            run_v2(rows[::-1]),  # another order of summation
            run_v2(answerable),
            run_v2(unanswerable),
            run_v2(hard),
            run_v2(hard, digits=1),
            run_v2(hard[::-1], digits=1),  # ties, met in another order, end elsewhere
            run_v2(hard, shift=-0.5),  # differences of logits may be negative
            # Answering pays nothing: every threshold is worse than 0.
            run_v2([row for row in rows if not row["v2.0"]["f1"]]),
        ],
    }
    # ASCII, so that what the odd texts hold can be seen.
    text = json.dumps(golden, indent=1, ensure_ascii=True)
    Path(__file__).with_name("squad_metric.json").write_text(text + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
