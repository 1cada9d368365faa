"""edge-qa: an index of documents and a bundle."""

import json
import os
import tempfile
from typing import Any

from job import Answer, run

from edge_qa import DocumentIndex, QuestionAnswerer


def prepare(job: dict[str, Any]) -> Answer:
    folder = tempfile.mkdtemp()
    os.mkdir(f"{folder}/texts")
    with open(f"{folder}/texts/all.jsonl", "w", encoding="utf-8") as file:
        file.write("\n".join(json.dumps(one) for one in job["paragraphs"]))
    index = DocumentIndex.build([f"{folder}/texts"], f"{folder}/library.db")
    qa = QuestionAnswerer.load(job["model"], threads=job["threads"], engine=job.get("engine", "openvino"))
    return lambda question: qa.ask(index, question, passages=job["passages"], min_confidence=0)[0].text


if __name__ == "__main__":
    run(prepare)
