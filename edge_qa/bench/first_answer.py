"""What a fresh process runs to be timed: load a bundle, answer one question, say when each step was done.

Started by `edge_qa/bench/fresh_process.py`; it starts as `QuestionAnswerer.load` does.
"""

import json
import sys
import time
from typing import Any


def main(begin: float) -> None:
    """Answer the question of the job in argv[1]; print the answer on one line, then the clock at each step as JSON.

    begin: the monotonic clock at the first statement of the process. The job: bundle, threads,
    budget, engine, question, context, and every_length, which runs every input length afterwards.
    """
    job: dict[str, Any] = json.loads(sys.argv[1])
    from edge_qa.answerer import QuestionAnswerer
    from edge_qa.bundle.bundle import Bundle
    from edge_qa.errors import EdgeQAError
    from edge_qa.inference.cold_start import read_while_importing
    from edge_qa.inference.engine_choice import may_be_native
    from edge_qa.text.tokenizer import bundle_tokenizer

    clock = {"begin": begin}

    def done(step: str) -> None:
        clock[step] = time.monotonic()

    try:
        done("ready")
        if may_be_native(job["bundle"], job["engine"], "f32", None):
            bundle = Bundle.load(job["bundle"], model_later=True)
            done("hashed")
            tokenizer = bundle_tokenizer(bundle)
            done("tokenizer")
            done("imported")
        else:
            bundle, tokenizer = read_while_importing(job["bundle"], done=done)
        loaded = QuestionAnswerer(
            bundle, threads=job["threads"], budget=job["budget"], engine=job["engine"], tokenizer=tokenizer
        )
        done("compiled")
        print(json.dumps(loaded.answer(job["question"], job["context"]).text), flush=True)
    except EdgeQAError as error:
        sys.exit(str(error))

    from edge_qa.system.memory import peak_bytes

    peaks = {"first_answer": peak_bytes(), "every_length": None}
    if job["every_length"]:
        loaded.warm_up()
        peaks["every_length"] = peak_bytes()
    print(json.dumps({"clock": clock, "peak_bytes": peaks}))
