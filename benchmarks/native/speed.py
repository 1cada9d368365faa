"""Both engines in turns in one process, for each instruction set that the CPU has.

A cap is set for both (EDGE_QA_ISA, ONEDNN_MAX_CPU_ISA), in a process of its own. A busy machine moves a ratio of CPU
time with one thread less than one of wall time.
"""

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# What a cap is called by the native engine and by oneDNN.
CAPS = {
    "amx": "AVX512_CORE_AMX",
    "avx512_vnni": "AVX512_CORE_VNNI",
    "avx_vnni": "AVX2_VNNI",
    "avx2": "AVX2",
}


def by_cap(function: str, *arguments: object) -> list[dict[str, Any]]:
    """Call a function of this module in a process for each cap; return what those found whose path the CPU has.

    arguments: JSON values. A function returns a dictionary with the path that ran, `isa`.
    """
    found = []
    for cap in CAPS:
        environment = os.environ | {"EDGE_QA_ISA": cap, "ONEDNN_MAX_CPU_ISA": CAPS[cap]}
        code = "import json, sys; from benchmarks.native import speed; "
        code += "print(json.dumps(getattr(speed, sys.argv[1])(*json.loads(sys.argv[2]))))"
        command = [sys.executable, "-c", code, function, json.dumps(arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{cap}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        result = json.loads(done.stdout.splitlines()[-1])
        if result["isa"] == cap:  # otherwise the CPU lacks it, and stepped down
            found.append(result)
    return found


def inputs_of(tokens: int, vocabulary: int) -> dict[str, np.ndarray]:
    """Return drawn inputs of one example."""
    ids = np.random.default_rng(0).integers(0, vocabulary, (1, tokens))
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return inputs | {"position_ids": np.arange(tokens)[None]}


def ratios(pairs: Sequence[Sequence[str]], tokens: Sequence[int], threads: int, rounds: int) -> dict[str, Any]:
    """Time two engines in turns at each length.

    pairs: name, bundle and engine of the first, bundle and engine of the second. Times are milliseconds, the lower
    quartile of the rounds: wall and CPU.
    """
    from edge_qa import QuestionAnswerer

    isa, rows = "", []
    for name, *sides in pairs:
        (first, one), (second, two) = sides[:2], sides[2:]
        engines = [
            QuestionAnswerer.load(bundle, engine=engine, threads=threads).engine
            for bundle, engine in ((first, one), (second, two))
        ]
        isa = engines[0].isa
        for length in tokens:
            inputs = inputs_of(length, engines[0].model.vocabulary)
            times: list[list[tuple[float, float]]] = [[], []]
            for number in range(2 * rounds + 4):
                side = number % 2
                wall, cpu = time.perf_counter(), time.process_time()
                engines[side].run(inputs)
                if number >= 4:
                    times[side].append((time.perf_counter() - wall, time.process_time() - cpu))
            low = [(np.percentile(one, 25, axis=0) * 1000).tolist() for one in times]
            rows.append({"model": name, "tokens": length, "native": low[0], "other": low[1]})
        for engine in engines:
            engine.close()
    return {"isa": isa, "rows": rows}


def stages(name: str, bundle: str, tokens: Sequence[int], rounds: int) -> dict[str, Any]:
    """Time each stage of an inference with one thread: the least of each over the rounds, milliseconds of CPU."""
    from edge_qa import QuestionAnswerer
    from edge_qa.inference.native.library import STAGES
    from edge_qa.inference.native.pools import pool_of

    engine = QuestionAnswerer.load(bundle, engine="native", threads=1).engine
    library = engine._lease.model.library
    pool, functions = pool_of(library, 1), library.functions
    per_ms = cycles_per_ms()
    rows = []
    for length in tokens:
        inputs = inputs_of(length, engine.model.vocabulary)
        least = np.full(len(STAGES), np.inf)
        for _ in range(rounds):
            functions.edge_qa_pool_profile(pool, 1, None)
            engine.run(inputs)
            counted = (ctypes.c_uint64 * len(STAGES))()
            functions.edge_qa_pool_profile(pool, 0, counted)
            least = np.minimum(least, np.array(counted, float) / per_ms)
        rows.append({"model": name, "tokens": length, "ms": dict(zip(STAGES, least.tolist(), strict=True))})
    return {"isa": engine.isa, "rows": rows}


def cycles_per_ms() -> float:
    """Return the cycles of the time stamp counter in a millisecond, as Linux says or as it says it is clocked."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name") and "@" in line:
            return float(line.rpartition("@")[2].strip().removesuffix("GHz")) * 1e6
        if line.startswith("bogomips"):  # twice the time stamp counter's MHz
            return float(line.rpartition(":")[2]) / 2 * 1e3
    raise OSError("/proc/cpuinfo does not say how fast the time stamp counter is")


def logits_hash(bundle: str, questions: str, count: int) -> dict[str, Any]:
    """Return one hash of the logits of so many questions for each number of threads and each batch."""
    import hashlib

    from edge_qa import QuestionAnswerer
    from edge_qa.evaluation.dataset import read_dataset

    examples = read_dataset(questions).examples
    step = max(1, len(examples) // count)
    hashes: dict[str, str] = {}
    isa = ""
    for threads in (1, 2, 3, 4):
        with QuestionAnswerer.load(bundle, engine="native", threads=threads) as qa:
            isa = qa.engine.isa
            windows = [window for one in examples[::step][:count] for window in qa.windows(one.question, one.context)]
            for batch in (1, 3, 8) if threads in (1, 4) else (1,):
                digest = hashlib.sha256()
                for side in qa.engine.logits(windows, batch_size=batch):
                    for array in side:
                        digest.update(array.tobytes())
                hashes[f"{threads} threads, batch {batch}"] = digest.hexdigest()
    return {"isa": isa, "questions": count, "hashes": hashes}


def accuracy(bundle: str, engine: str, questions: str, limit: int | None) -> dict[str, Any]:
    """Score a bundle: F1 and exact match."""
    from edge_qa import QuestionAnswerer
    from edge_qa.evaluation.dataset import read_dataset
    from edge_qa.evaluation.evaluate import evaluate

    with QuestionAnswerer.load(bundle, engine=engine) as qa:
        (result,) = evaluate([(bundle, qa)], read_dataset(questions), limit=limit, warm_up=False)
        isa = getattr(qa.engine, "isa", "")
    scores = result.scores
    return {"isa": isa, "f1": scores.f1, "exact_match": scores.exact_match, "questions": scores.questions}
