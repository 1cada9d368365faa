"""What a contender's process does: it reads requests as JSON lines and answers each with one.

Standard library only, because every contender runs it in its own environment, and it counts in its cold start.
The first line out tells that the model is loaded; then each request is one of

    {"do": "answer", "question": ..., "context": ...}    -> {"seconds": ..., "text": ...}
    {"do": "many", "pairs": [[question, context], ...]}  -> {"seconds": ..., "texts": [...]}
    {"do": "memory"}                                     -> {"peak_bytes": ...}

until the input ends. What fails answers {"error": "one line"}. Only the work is timed, text in to text out, with no
time of the pipe in it. A contender that is not asked waits for its input and does nothing.
"""

import json
import os
import sys
import time


def serve(load):
    """Run a contender: `load(job)` returns a model with `answer(question, context)` and `answer_many(pairs)`.

    job: the JSON object of argv[1]. The model may time its own work, where only a part of it is meant: then it has
    `seconds`, those of the last request.
    """
    # Libraries print where they like: what they print goes to stderr, and only the protocol to stdout.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message):
        out.write(json.dumps(message) + "\n")
        out.flush()

    begin = time.perf_counter()
    try:
        model = load(json.loads(sys.argv[1]))
    except Exception as error:
        say({"error": _one_line(error)})
        sys.exit(1)
    say({"loaded": time.perf_counter() - begin, "detail": getattr(model, "detail", "")})
    for line in sys.stdin:
        try:
            say(_respond(model, json.loads(line)))
        except Exception as error:
            say({"error": _one_line(error)})


def _respond(model, request):
    begin = time.perf_counter()
    if request["do"] == "answer":
        found = {"text": model.answer(request["question"], request["context"])}
    elif request["do"] == "many":
        found = {"texts": model.answer_many([tuple(pair) for pair in request["pairs"]])}
    elif request["do"] == "memory":
        return {"peak_bytes": peak_bytes()}
    else:
        raise ValueError(f"got the request {request['do']!r}, wanted answer, many or memory")
    return {"seconds": getattr(model, "seconds", time.perf_counter() - begin), **found}


def peak_bytes():
    """The most memory that this process ever held in RAM; None where the kernel does not tell."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return None


def _one_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
