"""OpenVINO alone on our own bundle, the inputs made beforehand: the floor under every runtime around it.

Only the inferences are timed, as benchmark_app does; tokenizing and the choice of a span are not. The text that it
answers is empty: it has no score.
"""

import time

from protocol import serve


class Raw:
    """job: bundle, threads."""

    detail = "inference alone, inputs ready"

    def __init__(self, job):
        from edge_qa import QuestionAnswerer
        from edge_qa._openvino import this_core

        self.answerer = QuestionAnswerer.load(job["bundle"], threads=job["threads"])
        bundle = job["bundle"]
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": job["threads"],
            # As our runtime has them: this is to be the floor under it.
            "ENABLE_CPU_PINNING": False,
            "CPU_DENORMALS_OPTIMIZATION": False,
        }
        model = this_core().compile_model(f"{bundle}/model.xml", "CPU", options)
        self.request = model.create_infer_request()
        self.names = {role: record.name for role, record in self.answerer.manifest.io.inputs.items()}
        self.seconds = 0.0

    def answer(self, question, context):
        engine = self.answerer.engine
        batches = [engine.batch([window]) for window in self.answerer.windows(question, context)]
        self.seconds = sum(self._infer({self.names[role]: batch[role] for role in self.names}) for batch in batches)
        return ""

    def _infer(self, inputs):
        begin = time.perf_counter()
        self.request.infer(inputs, share_inputs=True, share_outputs=True)
        return time.perf_counter() - begin

    def answer_many(self, pairs):
        raise NotImplementedError("raw inference has no bulk way of its own")


if __name__ == "__main__":
    serve(Raw)
