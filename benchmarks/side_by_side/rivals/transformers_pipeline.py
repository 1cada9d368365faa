"""The question-answering pipeline of transformers 4, on torch."""

from protocol import serve

BATCH = 8


class Pipeline:
    """job: checkpoint, threads, dtype (float32 or bfloat16)."""

    def __init__(self, job):
        import torch
        from transformers import pipeline

        torch.set_num_threads(job["threads"])
        dtype = getattr(torch, job["dtype"])
        self.pipeline = pipeline("question-answering", model=job["checkpoint"], torch_dtype=dtype, device=-1)
        self.detail = f"torch {torch.__version__}, {self.pipeline.model.dtype}"

    def answer(self, question, context):
        # The pipeline's own default is 15 tokens; everybody here may answer with 30.
        return self.pipeline(question=question, context=context, max_answer_len=30)["answer"]

    def answer_many(self, pairs):
        # Of like length together, so that little is padded.
        order = sorted(range(len(pairs)), key=lambda place: sum(map(len, pairs[place])))
        questions, contexts = zip(*(pairs[place] for place in order), strict=True)
        found = self.pipeline(question=list(questions), context=list(contexts), max_answer_len=30, batch_size=BATCH)
        texts = [""] * len(pairs)
        for place, one in zip(order, found if isinstance(found, list) else [found], strict=True):
            texts[place] = one["answer"]
        return texts


if __name__ == "__main__":
    serve(Pipeline)
