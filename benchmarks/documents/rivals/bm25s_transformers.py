"""bm25s finds passages, and a model of transformers reads them in one batch; the best start + end logit over all wins.

The pipeline normalises its scores inside one passage; the sum of logits is what its own authors compare windows by.
"""

from typing import Any

import bm25s
import Stemmer
import torch
from job import Answer, run, titled
from transformers import AutoModelForQuestionAnswering, AutoTokenizer


def prepare(job: dict[str, Any]) -> Answer:
    torch.set_num_threads(job["threads"])
    texts = [titled(one) for one in job["paragraphs"]]
    stemmer = Stemmer.Stemmer("english")
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    model = AutoModelForQuestionAnswering.from_pretrained(job["model"], dtype=torch.float32).eval()

    def answer(question: str) -> str:
        words = bm25s.tokenize([question], stopwords="en", stemmer=stemmer, show_progress=False)
        found, _ = retriever.retrieve(words, k=job["passages"], show_progress=False)
        passages = [texts[place] for place in found[0]]
        batch = tokenizer(
            [question] * len(passages),
            passages,
            truncation="only_second",
            max_length=384,
            padding=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = batch.pop("offset_mapping")
        with torch.inference_mode():
            out = model(**batch)
        best = ("", float("-inf"))
        for row, passage in enumerate(passages):
            inside = torch.tensor([part == 1 for part in batch.sequence_ids(row)])
            start = out.start_logits[row].masked_fill(~inside, float("-inf"))
            end = out.end_logits[row].masked_fill(~inside, float("-inf"))
            scores = torch.triu(start[:, None] + end[None, :]).masked_fill(
                torch.triu(torch.ones(len(start), len(start), dtype=torch.bool)).logical_not(), float("-inf")
            )
            scores = scores.masked_fill(torch.triu(torch.ones_like(scores), diagonal=30) > 0, float("-inf"))
            score, place = scores.flatten().max(0)
            first, last = divmod(int(place), len(start))
            if float(score) > best[1]:
                best = (passage[int(offsets[row, first, 0]) : int(offsets[row, last, 1])], float(score))
        return best[0]

    return answer


if __name__ == "__main__":
    run(prepare)
