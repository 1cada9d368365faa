"""What a fresh process runs to be timed: load a bundle, answer one question, say when each step was done.

Started by `edge_qa/fresh_process.py`; only what an answer needs is imported here.
"""

import json
import sys
import time
from typing import Any


def main(begin: float) -> None:
    """Answer the question of the job in argv[1]; print the answer on one line, then the clock at each step as JSON.

    begin: the monotonic clock at the first statement of the process. The job: bundle, threads,
    question, context, and every_length, which runs every input length afterwards.
    """
    job: dict[str, Any] = json.loads(sys.argv[1])
    from edge_qa import answerer
    from edge_qa.bundle import Bundle
    from edge_qa.errors import EdgeQAError

    clock = {"begin": begin, "imported": time.monotonic()}
    names = vars(answerer)
    engine = names["Engine"]

    def compile_engine(*arguments: Any, **options: Any) -> Any:
        clock["tokenizer"] = time.monotonic()
        return engine(*arguments, **options)

    # The seam between the tokenizer and the compilation lies inside the constructor.
    names["Engine"] = compile_engine
    try:
        bundle = Bundle.load(job["bundle"])
        clock["hashed"] = time.monotonic()
        loaded = answerer.QuestionAnswerer(bundle, threads=job["threads"])
        clock["compiled"] = time.monotonic()
        print(json.dumps(loaded.answer(job["question"], job["context"]).text), flush=True)
    except EdgeQAError as error:
        sys.exit(str(error))

    from edge_qa.memory import peak_bytes

    peaks = {"first_answer": peak_bytes(), "every_length": None}
    if job["every_length"]:
        loaded.warm_up()
        peaks["every_length"] = peak_bytes()
    print(json.dumps({"clock": clock, "peak_bytes": peaks}))
