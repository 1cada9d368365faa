"""The native engine, measured. python -m benchmarks.native WHAT [options]

    speed       both engines in turns, dense, small and of BERT-base's size, for each instruction set
    sparse      80 % of the 4x1 blocks zero, beside dense
    stages      where the time of an inference goes
    identity    one hash of the logits for every path, number of threads and batch
    start       cold start of a packed bundle
    memory      after the first answer and after every length, and growth over 10,000 questions
    busy        beside four busy processes, and with a quota of half a core
    accuracy    F1 of dense and small on each path, beside FP16

Figures go to standard output; with --results they also go into a results file, which docs/benchmarks/native.md is
generated from. What is measured in seconds wants an idle machine.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.native import processes, speed
from benchmarks.native.models import QUESTIONS, ROOT, Models
from benchmarks.timing import describe_machine
from edge_qa.files import write_file


@dataclass(frozen=True)
class Measurement:
    """A table as docs/benchmarks shows it."""

    title: str
    what: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


def measure_speed(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """The ratio to OpenVINO's INT8, and on AVX2 to its f32, which is the faster one there."""
    names = options.models
    pairs = []
    for name in names:
        native, other = {
            "dense": ("fp16-packed", "int8"),
            "small": ("small-packed", "small"),
            "base": ("base-packed", "base"),
        }[name]
        pairs.append([name, str(models.path(native)), "native", str(models.path(other)), "openvino"])
    if "dense" in names:
        pairs.append(["dense, f32", str(models.path("fp16-packed")), "native", str(models.path("fp16")), "openvino"])
    found = speed.by_cap("ratios", pairs, options.tokens, options.threads, options.rounds)
    yield Measurement(
        "Beside OpenVINO",
        f"One inference, batch 1, {options.threads} threads, both engines in turns in one process and capped alike; "
        f"lower quartile of {options.rounds} calls, ms. dense: MiniLM, packed from FP16, beside NNCF's INT8, or beside "
        "FP16 run in f32; small: the carried small bundle; base: BERT-base's size, drawn weights.",
        ["path", "model", "tokens", "native", "OpenVINO", "ratio", "ratio of CPU time"],
        [
            [
                result["isa"],
                row["model"],
                str(row["tokens"]),
                f"{row['native'][0]:.2f}",
                f"{row['other'][0]:.2f}",
                f"{row['other'][0] / row['native'][0]:.2f}x",
                f"{row['other'][1] / row['native'][1]:.2f}x",
            ]
            for result in found
            for row in result["rows"]
        ],
    )


def measure_sparse(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """Sparse beside dense, both native."""
    pairs = [["sparse", str(models.path("sparse-packed")), "native", str(models.path("fp16-packed")), "native"]]
    found = speed.by_cap("ratios", pairs, options.tokens, options.threads, options.rounds)
    yield Measurement(
        "80 % of the blocks zero",
        f"MiniLM with 80 % of its 4x1 blocks zero, by magnitude, beside itself dense, both native, {options.threads} "
        f"threads, in turns; lower quartile of {options.rounds} calls, ms.",
        ["path", "tokens", "sparse", "dense", "ratio"],
        [
            [
                result["isa"],
                str(row["tokens"]),
                f"{row['native'][0]:.2f}",
                f"{row['other'][0]:.2f}",
                f"{row['other'][0] / row['native'][0]:.2f}x",
            ]
            for result in found
            for row in result["rows"]
        ],
    )


def measure_stages(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """Where the time goes."""
    from edge_qa.inference.native.library import STAGES

    rows = []
    for name, bundle in (("dense", "fp16-packed"), ("small", "small-packed"), ("sparse", "sparse-packed")):
        for result in speed.by_cap("stages", name, str(models.path(bundle)), options.tokens, options.rounds):
            for row in result["rows"]:
                parts = [row["ms"][stage] for stage in STAGES]
                cells = [f"{value:.2f}" for value in (*parts, sum(parts))]
                rows.append([result["isa"], name, str(row["tokens"]), *cells])
    yield Measurement(
        "Stages",
        f"CPU ms of one thread, the least of {options.rounds} calls for each stage. projections: keys and values; "
        "attention: with its queries.",
        ["path", "model", "tokens", *STAGES, "in all"],
        rows,
    )


def measure_identity(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """One hash, or a complaint."""
    rows, seen = [], {}
    for name in ("fp16-packed", "small-packed", "sparse-packed"):
        questions = str(options.questions)
        found = speed.by_cap("logits_hash", str(models.path(name)), questions, options.limit or 500)
        hashes = {digest for result in found for digest in result["hashes"].values()}
        seen[name] = len(hashes)
        ways = sum(len(result["hashes"]) for result in found)
        rows.append(
            [
                name.removesuffix("-packed").replace("fp16", "dense"),
                ", ".join(result["isa"] for result in found),
                str(found[0]["questions"]) if found else "0",
                str(ways),
                str(len(hashes)),
                min(hashes)[:16] if len(hashes) == 1 else "they differ",
            ]
        )
    yield Measurement(
        "The same bits",
        "sha256 of all logits of the questions, by every path of this CPU x 1 to 4 threads x batches of 1 to 8.",
        ["model", "paths", "questions", "ways", "hashes", "sha256 begins"],
        rows,
    )
    if any(count != 1 for count in seen.values()):
        raise SystemExit("the logits differ between paths, threads or batches")


def measure_start(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """Cold starts."""
    rows = []
    for label, bundle, engine in (
        ("dense, native", "fp16-packed", "native"),
        ("small, native", "small-packed", "native"),
        ("dense INT8, OpenVINO", "int8", "openvino"),
    ):
        found = processes.starts(models.path(bundle), engine, options.starts)
        rows.append([label, f"{found['ask_s']:.2f}", f"{found['import_to_answer_s']:.2f}"])
    yield Measurement(
        "Cold start",
        f"Medians of {options.starts} fresh processes, seconds; files are in the page cache.",
        ["bundle", "edge-qa ask", "first import to answer"],
        rows,
    )


def measure_memory(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """VmHWM and growth."""
    rows = []
    for label, bundle, engine in (
        ("dense, native", "fp16-packed", "native"),
        ("small, native", "small-packed", "native"),
        ("dense INT8, OpenVINO", "int8", "openvino"),
        ("small, OpenVINO", "small", "openvino"),
    ):
        count = options.limit or 10_000
        found = processes.memory(models.path(bundle), engine, count if engine == "native" else 1, options.threads)
        grown = f"{found['growth_mb']:.1f}" if engine == "native" else "-"
        rows.append([label, f"{found['first_mb']:.0f}", f"{found['every_length_mb']:.0f}", grown])
    yield Measurement(
        "Memory",
        f"Peak (VmHWM) of a fresh process with {options.threads} threads after its first answer and after every length "
        f"of 2 to 384 tokens, MB, and what it grew by (VmRSS) over {options.limit or 10_000} more inputs of all "
        "lengths.",
        ["bundle", "first answer", "every length", "growth"],
        rows,
    )


def measure_busy(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """Neighbours and quotas."""
    rows, notes = [], []
    for label, bundle, engine in (
        ("dense, native", "fp16-packed", "native"),
        ("dense INT8, OpenVINO", "int8", "openvino"),
    ):
        path = models.path(bundle)
        alone = processes.medians(path, engine, options.threads, options.seconds)
        with processes.busy(4):
            beside = processes.medians(path, engine, options.threads, options.seconds)
        try:
            with processes.half_a_core() as prefix:
                half = f"{processes.medians(path, engine, options.threads, options.seconds, prefix):.1f}"
        except (OSError, RuntimeError) as error:
            half = "-"
            notes = [f"Half a core was not measured: no control group can be made here ({error})."]
        rows.append([label, f"{alone:.1f}", f"{beside:.1f}", f"{beside / alone:.2f}x", half])
    yield Measurement(
        "Beside others",
        f"Median ms of an answer, {options.threads} threads, {options.seconds:g} s each: alone, beside four processes "
        "that compute, and with a quota of half a core.",
        ["bundle", "alone", "beside four", "loss", "half a core"],
        rows,
        notes,
    )


def measure_accuracy(models: Models, options: argparse.Namespace) -> Iterator[Measurement]:
    """F1 of each path; one path stands for all where their bits are the same, which `identity` shows."""
    rows = []
    questions = str(options.questions)
    plain = speed.accuracy(str(models.path("fp16")), "openvino", questions, options.limit)
    rows.append(["dense FP16, OpenVINO", "f32", *_scores(plain), ""])
    small = speed.accuracy(str(models.path("small")), "openvino", questions, options.limit)
    rows.append(["small INT8, OpenVINO", "int8", *_scores(small), ""])
    for name, label, base in (("fp16-packed", "dense, native", plain), ("small-packed", "small, native", small)):
        bundle = str(models.path(name))
        found = speed.by_cap("accuracy", bundle, "native", questions, options.limit)
        rows += [[label, one["isa"], *_scores(one), f"{one['f1'] - base['f1']:+.2f}"] for one in found]
    yield Measurement(
        "Accuracy",
        f"{rows[0][4]} questions of {Path(questions).name}; the difference is to the row of OpenVINO.",
        ["model", "path", "F1", "exact match", "questions", "F1 difference"],
        rows,
    )


def _scores(found: dict[str, float]) -> list[str]:
    return [f"{found['f1']:.2f}", f"{found['exact_match']:.2f}", str(found["questions"])]


MEASURES: dict[str, Callable[[Models, argparse.Namespace], Iterator[Measurement]]] = {
    "speed": measure_speed,
    "sparse": measure_sparse,
    "stages": measure_stages,
    "identity": measure_identity,
    "start": measure_start,
    "memory": measure_memory,
    "busy": measure_busy,
    "accuracy": measure_accuracy,
}


def keep(file: Path, found: Measurement, command: str) -> None:
    """Put a measurement into a results file, in place of an earlier one of its title."""
    results = json.loads(file.read_text()) if file.exists() else {"measurements": []}
    machine, date = describe_machine(), time.strftime("%Y-%m-%d")
    entry = asdict(found) | {"machine": machine, "date": date, "command": command}
    if not entry["notes"]:
        del entry["notes"]
    others = [one for one in results["measurements"] if one["title"] != found.title]
    order = [one["title"] for one in results["measurements"]]
    place = order.index(found.title) if found.title in order else len(others)
    others.insert(place, entry)
    write_file(file, (json.dumps({"measurements": others}, indent=1, ensure_ascii=False) + "\n").encode())


def main(arguments: list[str] | None = None) -> None:
    """Measure what was asked for, print it, and keep it."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(given)
    models = Models(options.place)
    print(describe_machine())
    for found in MEASURES[options.what](models, options):
        print(f"\n{found.title}: {found.what}")
        widths = [max(map(len, column)) for column in zip(found.columns, *found.rows, strict=True)]
        for row in (found.columns, *found.rows):
            print("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)))
        for note in found.notes:
            print(note)
        if options.results:
            kept = [word for word in given if not word.startswith("--results")]
            keep(options.results, found, f"python -m benchmarks.native {' '.join(kept)}")


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.native", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("what", choices=MEASURES)
    add("--place", type=Path, default=ROOT / ".benchmark-envs" / "native", help="where the bundles are made, and kept")
    add("--results", type=Path, metavar="FILE", help="put the figures into this file, too: --results=FILE")
    add("--models", type=lambda text: text.split(","), default=["dense", "small"], help="dense, small, base")
    add("--tokens", type=_numbers, default=[64, 178, 384], help="lengths (64,178,384)")
    add("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))), help="of each engine (2)")
    add("--rounds", type=int, default=40, help="calls of each engine at each length (40)")
    add("--starts", type=int, default=9, help="fresh processes (9)")
    add("--seconds", type=float, default=10, help="for each state of `busy` (10)")
    add("--questions", type=Path, default=QUESTIONS, metavar="FILE", help="to score, or to hash the logits of")
    add("--limit", type=int, help="at most so many questions, or inputs for `memory`")
    return parser


if __name__ == "__main__":
    main()
