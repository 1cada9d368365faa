r"""Make mlqa_metric.json: what MLQA's official script says of hand-built answers.

Reference: mlqa_evaluation_v1.py of https://github.com/facebookresearch/MLQA, which is not carried here. Run, with the
script downloaded:

    python tests/golden/make_mlqa_metric.py mlqa_evaluation_v1.py

It writes beside itself, and gives the same bytes each time.
"""

import importlib.util
import json
import sys
from pathlib import Path

# language -> (prediction, gold answer)
CASES: dict[str, list[tuple[str, str]]] = {
    "zh": [
        ("北京大学", "大学"),
        ("北京大学", "北京 大学"),
        ("北京大学。", "《北京大学》"),
        ("1898年", "1898 年"),
        ("在1898年", "1898年"),
        ("A4纸", "a4 紙"),
        ("乔治·华盛顿", "乔治华盛顿"),
        ("约12.5公里", "12.5公里"),
        ("The 北京 a", "北京"),
        ("东京、大阪", "大阪和东京"),
        ("㐀龦", "龦"),
        ("。", "北"),
    ],
    "de": [
        ("der Hafen von Oslo", "Hafen in Oslo"),
        ("ein „neues“ Schiff", "das neue Schiff"),
        ("Straße", "STRASSE"),
        ("des Königs", "König"),
    ],
    "es": [("la Casa Blanca", "Casa blanca"), ("¿el 5 de mayo?", "5 de mayo"), ("unos días", "los días")],
    "vi": [("của Hà Nội", "Hà Nội"), ("những cái cầu", "cầu"), ("năm 1945", "1945")],
    "ar": [("القاهرة", "قاهرة"), ("في القاهرة", "القاهرة"), ("مدينة الرياض،", "الرياض"), ("المال", "مال")],
    "hi": [("नई दिल्ली।", "दिल्ली"), ("१९४७ में", "१९४७")],
}


def main() -> None:
    """Ask the official script about every case."""
    spec = importlib.util.spec_from_file_location("mlqa", sys.argv[1])
    mlqa = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mlqa)
    rows = [
        {
            "language": language,
            "prediction": prediction,
            "gold": gold,
            "normalized": mlqa.normalize_answer(prediction, language),
            "exact_match": bool(mlqa.exact_match_score(prediction, gold, language)),
            "f1": mlqa.f1_score(prediction, gold, language),
        }
        for language, cases in CASES.items()
        for prediction, gold in cases
    ]
    (Path(__file__).parent / "mlqa_metric.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
