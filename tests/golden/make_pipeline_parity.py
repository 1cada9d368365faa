r"""Write pipeline_examples.json and pipeline_squad.json: what the pipeline that transformers removed answers.

Reference: `pipeline("question-answering")` of transformers 4.57.6 with torch 2.13.0, on the checkpoint that the
repository carries, in float32 on a CPU. Run in an environment with the torch extra, from the root of the repository:

    python tests/golden/make_pipeline_parity.py FOLDER

FOLDER holds dev-v1.1.json.gz and dev-v2.0.json.gz, the official SQuAD files, gzipped; without it only
pipeline_examples.json is written.

* pipeline_examples.json: calls of every input form and with every option over examples/data/questions.json. A
  string "@question:ID" or "@context:ID" in a call stands for that text of the file. After them rows as in the
  other file, of questions cut into windows of 96 tokens.
* pipeline_squad.json: answers to 500 questions. SQuAD's texts are not ours to carry, so a row holds a question's id,
  the sha256 of its question and context, its number of windows, and for each call (score, start, end) of the
  answers. `calls` says with which options: of all rows "default", of the rows of 100 questions "top_3", which on
  SQuAD 2.0 questions also has handle_impossible_answer, as has "or_none".
"""

import gzip
import hashlib
import json
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import pipeline

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "examples" / "models" / "minilm-squad"
EXAMPLES = ROOT / "examples" / "data" / "questions.json"
TIDE, MOSS, EURO, NONE = "tide-gauge-01", "moss-01", "euro-02", "tide-gauge-08"


def pair(key: str) -> dict[str, str]:
    """The two strings that stand for a question and its context."""
    return {"question": f"@question:{key}", "context": f"@context:{key}"}


# (positional arguments, keyword arguments); {"generator": [...]} stands for a generator over the list.
CALLS: list[tuple[list[Any], dict[str, Any]]] = [
    # input forms, and what comes back: a dict for one, a list otherwise
    ([], pair(TIDE)),
    ([pair(TIDE)], {}),
    ([f"@question:{TIDE}", f"@context:{TIDE}"], {}),
    ([[pair(TIDE)]], {}),
    ([[pair(TIDE), pair(MOSS)]], {}),
    ([pair(TIDE), pair(MOSS), pair(EURO)], {}),
    ([], {"data": pair(MOSS)}),
    ([], {"data": [pair(MOSS), pair(TIDE)]}),
    ([], {"X": [pair(EURO), pair(TIDE)]}),
    ([], {"X": pair(EURO)}),
    ([], {"question": [f"@question:{TIDE}", "@question:tide-gauge-02"], "context": f"@context:{TIDE}"}),
    ([], {"question": [f"@question:{TIDE}"], "context": f"@context:{TIDE}"}),
    (
        [],
        {"question": [f"@question:{TIDE}", f"@question:{MOSS}"], "context": [f"@context:{TIDE}", f"@context:{MOSS}"]},
    ),
    ([], {"question": [f"@question:{TIDE}"], "context": [f"@context:{TIDE}"]}),
    (
        [{"question": [f"@question:{TIDE}", f"@question:{MOSS}"], "context": [f"@context:{TIDE}", f"@context:{MOSS}"]}],
        {},
    ),
    ([[]], {}),
    ([], {"question": [], "context": f"@context:{TIDE}"}),
    ([{"generator": [pair(TIDE), pair(MOSS)]}], {}),
    ([{"generator": [pair(TIDE)]}], {"top_k": 2}),
    # options
    ([], pair(TIDE) | {"top_k": 2}),
    ([], pair(TIDE) | {"top_k": 3}),
    ([], pair("octopus-02") | {"top_k": 5}),
    ([], pair("creme-brulee-03") | {"top_k": 4}),
    ([], pair("kintsugi-02") | {"topk": 3}),
    ([[pair(TIDE), pair(MOSS)]], {"top_k": 2}),
    ([], pair("kintsugi-01")),
    ([], pair("noether-02")),
    ([], pair("hagia-sophia-02")),
    ([], pair("bridge-news-02") | {"max_answer_len": 1}),
    ([], pair("bridge-news-02") | {"max_answer_len": 3}),
    ([], pair("moss-02") | {"max_answer_len": 40}),
    ([], pair("waggle-dance-01") | {"align_to_words": False}),
    ([], pair("noether-02") | {"align_to_words": False}),
    ([], pair("curling-03") | {"align_to_words": False, "top_k": 3}),
    ([], pair(NONE) | {"handle_impossible_answer": True}),
    ([], pair("octopus-06") | {"handle_impossible_answer": True, "top_k": 3}),
    ([], pair("eddystone-11") | {"handle_impossible_answer": True, "top_k": 10}),
    ([], pair("garden-chat-01") | {"handle_impossible_answer": True}),
    ([], pair("garden-chat-01") | {"max_seq_len": 512, "doc_stride": 64, "max_question_len": 32}),
    ([], pair("piano-03") | {"padding": "max_length"}),
    ([[pair("piano-03"), pair("venus-02")]], {"batch_size": 2, "num_workers": 0}),
]


def resolve(value: Any, texts: dict[str, str]) -> Any:
    """Put the texts, and a real generator, where strings and a dict stand for them."""
    if isinstance(value, list):
        return [resolve(item, texts) for item in value]
    if isinstance(value, dict) and "generator" in value:
        return (resolve(item, texts) for item in value["generator"])
    if isinstance(value, dict):
        return {key: resolve(item, texts) for key, item in value.items()}
    return texts.get(value, value) if isinstance(value, str) else value


def questions(squad: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(id, question, context) of a data set in SQuAD's layout."""
    for article in squad["data"]:
        for paragraph in article["paragraphs"]:
            for row in paragraph["qas"]:
                yield row["id"], row["question"], paragraph["context"]


def examples(qa: Any) -> dict[str, list[dict[str, Any]]]:
    """Every call and its result, and questions in several windows."""
    texts, found = {}, list(questions(json.loads(EXAMPLES.read_text())))
    for key, question, context in found:
        texts |= {f"@question:{key}": question, f"@context:{key}": context}
    rows = []
    for args, kwargs in CALLS:
        result = qa(*resolve(args, texts), **resolve(kwargs, texts))
        rows.append(
            {
                "args": args,
                "kwargs": kwargs,
                "expected": result if isinstance(result, (dict, list)) else {"generated": list(result)},
            }
        )
    cut = [squad_row(qa, "questions", row, {"max_seq_len": 96}, more=True) for row in by_hash(found)[:20]]
    return {"calls": rows, "questions": cut}


def by_hash(rows: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """An order that has nothing to do with a file's."""
    return sorted(rows, key=lambda row: hashlib.sha256(row[0].encode()).digest())


def squad(qa: Any, folder: Path) -> list[dict[str, Any]]:
    """Answers to 500 questions."""
    pools = {}
    for name in ("dev-v1.1", "dev-v2.0"):
        pools[name] = by_hash(questions(json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))))
    v1, v2 = pools["dev-v1.1"], pools["dev-v2.0"]
    long = [row for row in v1 if len(row[2].split()) > 300]  # words: more than 384 tokens
    v1 = [row for row in v1 if len(row[2].split()) <= 300]
    chosen = [("dev-v1.1", row, {}) for row in v1[:280]] + [("dev-v1.1", row, {}) for row in long[:40]]
    chosen += [("dev-v2.0", row, {}) for row in v2[:100]]
    chosen += [("dev-v1.1", row, {"max_seq_len": 128}) for row in v1[280:340]]
    chosen += [("dev-v2.0", row, {"max_seq_len": 128, "doc_stride": 32}) for row in v2[100:120]]
    # A fifth of each kind, spread evenly: 100 questions.
    return [squad_row(qa, *entry, more=index % 5 == 0) for index, entry in enumerate(chosen)]


def squad_row(qa: Any, name: str, row: tuple[str, str, str], lengths: dict[str, int], *, more: bool) -> dict[str, Any]:
    """One question with its calls."""
    key, question, context = row
    calls: dict[str, dict[str, Any]] = {"default": {}}
    if more and name == "dev-v1.1":
        calls["top_3"] = {"top_k": 3}
    if more and name != "dev-v1.1":
        calls["top_3"] = {"top_k": 3, "handle_impossible_answer": True}
        calls["or_none"] = {"handle_impossible_answer": True}
    return {
        "file": name,
        "id": key,
        "sha256": hashlib.sha256((question + context).encode()).hexdigest(),
        "windows": len(list(qa.preprocess({"question": question, "context": context}, **lengths))),
        "lengths": lengths,
        "calls": {
            call: [
                [float(f"{answer['score']:.7g}"), answer["start"], answer["end"]]
                for answer in as_list(qa(question=question, context=context, **lengths, **options))
            ]
            for call, options in calls.items()
        },
    }


def as_list(result: Any) -> list[dict[str, Any]]:
    """One answer comes as a dict."""
    return [result] if isinstance(result, dict) else result


def main() -> None:
    """Write the golden files beside this script."""
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    qa = pipeline(
        "question-answering", model=str(CHECKPOINT), tokenizer=str(CHECKPOINT), dtype=torch.float32, device="cpu"
    )
    made_by = {"transformers": version("transformers"), "torch": version("torch"), "tokenizers": version("tokenizers")}
    write("pipeline_examples.json", made_by, examples(qa))
    if len(sys.argv) > 1:
        write("pipeline_squad.json", made_by, {"questions": squad(qa, Path(sys.argv[1]))})


def write(name: str, made_by: dict[str, str], tables: dict[str, list[dict[str, Any]]]) -> None:
    """One row a line, so that differences can be read."""
    text = f'{{"made_by":{json.dumps(made_by)}'
    for key, rows in tables.items():
        lines = ",\n".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
        text += f',\n"{key}":[\n{lines}\n]'
    Path(__file__).with_name(name).write_text(text + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
