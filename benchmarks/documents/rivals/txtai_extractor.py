"""txtai: its keyword index (BM25) and its extractor, which reads the passages that were found as one text."""

from typing import Any

import torch
from job import Answer, run, titled
from txtai import Embeddings
from txtai.pipeline import Questions


def prepare(job: dict[str, Any]) -> Answer:
    torch.set_num_threads(job["threads"])
    texts = [titled(one) for one in job["paragraphs"]]
    embeddings = Embeddings(keyword=True)
    embeddings.index(enumerate(texts))
    questions = Questions(job["model"], gpu=False)

    def answer(question: str) -> str:
        found = embeddings.search(question, job["passages"])
        context = "\n\n".join(texts[place] for place, _ in found)
        (best,) = questions([question], [context])
        return best or ""

    return answer


if __name__ == "__main__":
    run(prepare)
