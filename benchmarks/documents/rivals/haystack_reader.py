"""Haystack 2: its BM25 retriever in memory and its ExtractiveReader, which version 3 no longer brings."""

import os
from typing import Any

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # before it is imported

import torch
from haystack import Document, Pipeline
from haystack.components.readers import ExtractiveReader
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from job import Answer, run, titled


def prepare(job: dict[str, Any]) -> Answer:
    torch.set_num_threads(job["threads"])
    store = InMemoryDocumentStore()
    store.write_documents([Document(content=titled(one)) for one in job["paragraphs"]])
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=job["passages"]))
    pipeline.add_component("reader", ExtractiveReader(model=job["model"], top_k=1, no_answer=False, max_seq_length=384))
    pipeline.connect("retriever.documents", "reader.documents")
    pipeline.warm_up()

    def answer(question: str) -> str:
        found = pipeline.run({"retriever": {"query": question}, "reader": {"query": question}})
        answers = found["reader"]["answers"]
        return (answers[0].data or "") if answers else ""

    return answer


if __name__ == "__main__":
    run(prepare)
