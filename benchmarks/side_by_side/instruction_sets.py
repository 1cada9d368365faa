"""The same bundles on smaller CPUs, stood in for by oneDNN's cap, and what `edge-qa doctor` says there."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.side_by_side.figures import spread
from benchmarks.side_by_side.questions import Sample
from benchmarks.side_by_side.turns import ask_in_turns, close_all
from benchmarks.side_by_side.workers import Worker, WorkerError, environment
from edge_qa.evaluation.squad_metric import score
from edge_qa.system.cpu import CAP_VARIABLE

CAPS = ("AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI")
_TOPICS = ("int8", "precision")


def by_instruction_set(
    python: Path, bundles: Mapping[str, Path], sample: Sample, threads: int, turn: int
) -> dict[str, dict[str, Any]]:
    """Return for each cap the latency and F1 of each bundle, taking turns over all caps, and the doctor's advice."""
    workers: dict[str, Worker] = {}
    failed: dict[str, str] = {}
    try:
        for cap in CAPS:
            for name, bundle in bundles.items():
                job = {"bundle": str(bundle), "threads": threads, "precision": "f32", "budget": None, "cache": None}
                worker = Worker(python, "edge_qa_bundle.py", job, threads=threads, extra={CAP_VARIABLE: cap})
                key = f"{cap} {name}"
                try:
                    worker.wait_until_loaded()
                    workers[key] = worker
                except WorkerError as error:
                    failed[key] = str(error)
                    worker.close()
        ask_in_turns(workers, sample.pairs, turn=turn, failed=failed)  # every length once
        found = ask_in_turns(workers, sample.pairs, turn=turn, failed=failed)
    finally:
        close_all(workers)
    table: dict[str, dict[str, Any]] = {}
    for cap in CAPS:
        advice, instruction_set = _doctor(python, threads, cap)
        row: dict[str, Any] = {"doctor": advice, "instruction_set": instruction_set}
        for name in bundles:
            key = f"{cap} {name}"
            row[name] = {"failed": failed[key]} if key in failed else _figures(sample, found[key])
        table[cap] = row
    return table


def _figures(sample: Sample, found: Mapping[str, list[Any]]) -> dict[str, float]:
    given = {example.id: text for example, text in zip(sample.examples, found["texts"], strict=True)}
    return {
        "p50_ms": spread(found["ms"]).p50,
        "mean_ms": spread(found["ms"]).mean,
        "f1": score(sample.examples, given, version="v1.1").f1,
    }


def _doctor(python: Path, threads: int, cap: str) -> tuple[list[str], str]:
    """What the doctor says of INT8 and precision under the cap, and the instruction set that it finds."""
    done = subprocess.run(
        [str(python), "-m", "edge_qa", "doctor", "--json"],
        env=environment(threads) | {CAP_VARIABLE: cap},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        told = json.loads(done.stdout)
    except ValueError:
        return [f"edge-qa doctor failed: exit code {done.returncode}"], "unknown"
    texts = [finding["text"] for finding in told["findings"] if finding["topic"] in _TOPICS]
    return texts, told["machine"]["instruction_set"]
