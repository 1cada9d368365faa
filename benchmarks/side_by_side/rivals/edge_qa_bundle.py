"""Edge QA with one of its bundles."""

from protocol import serve


class Ours:
    """job: bundle, threads, precision, budget (null for the whole model), cache (a folder, or null), engine."""

    def __init__(self, job):
        more = {"budget": job["budget"]} if job["budget"] else {}
        more |= {"cache": job["cache"], "engine": job.get("engine", "openvino")}
        from edge_qa import QuestionAnswerer

        self.answerer = QuestionAnswerer.load(job["bundle"], threads=job["threads"], precision=job["precision"], **more)
        manifest, engine = self.answerer.manifest, self.answerer.engine
        layers = f"{len(manifest.model.heads or ())} layers"
        if engine.name == "native":
            self.detail = f"weights and activations int8, native engine on {engine.isa}, {layers}"
        else:
            self.detail = f"weights {manifest.precision}, activations {job['precision']}, {layers}"

    def answer(self, question, context):
        return self.answerer.answer(question, context).text

    def answer_many(self, pairs):
        return [answer.text for answer in self.answerer.answer_many(pairs)]


if __name__ == "__main__":
    serve(Ours)
