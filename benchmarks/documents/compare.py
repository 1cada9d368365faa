"""The same questions to edge-qa and to what else a user would take: how good, how fast, how large.

    python -m benchmarks.documents.compare BUNDLE CHECKPOINT --data FOLDER --place FOLDER [--questions 150]

All get the paragraphs of SQuAD with their titles, read ten passages and use the same model: edge-qa the BUNDLE, the
others the CHECKPOINT that it was made of. Each runs in a virtual environment of its own below --place, made with pip
at the first run and kept. The results go into docs/benchmarks/results/documents.json. Two cores, one contender at a
time; run it where nothing else runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.documents.open_book import score
from benchmarks.documents.questions import Asked, articles, squad
from benchmarks.documents.results import Measurement, store

ROOT = Path(__file__).resolve().parents[2]
RIVALS = Path(__file__).resolve().parent / "rivals"
CONTENDERS = {
    "edge_qa_library": "edge-qa",
    "bm25s_transformers": "bm25s and transformers",
    "haystack_reader": "Haystack 2, ExtractiveReader",
    "txtai_extractor": "txtai",
}
PASSAGES, THREADS = 10, 2


def main() -> None:
    """Measure, and store the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--place", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=150)
    parser.add_argument("--only", choices=CONTENDERS, action="append")
    options = parser.parse_args()
    questions = squad(options.data, "dev", options.questions, seed=0)
    paragraphs = {text: title for name in ("train", "dev") for title, text, _ in articles(options.data, name)}
    job = {
        "paragraphs": [{"title": title, "text": text} for text, title in paragraphs.items()],
        "questions": [one.question for one in questions],
        "passages": PASSAGES,
        "threads": THREADS,
    }
    rows = []
    for name in options.only or CONTENDERS:
        model = options.bundle if name == "edge_qa_library" else options.checkpoint
        print(name, file=sys.stderr, flush=True)
        python, size = environment(name, options.place)
        done = contend(name, python, job | {"model": str(model.resolve())})
        rows.append(row(CONTENDERS[name], done, questions, size))
    command = (
        f"python -m benchmarks.documents.compare {options.bundle.name} {options.checkpoint.name} --data SQUAD_FOLDER "
        f"--place FOLDER --questions {options.questions}"
    )
    store(
        [
            Measurement(
                "Beside others",
                f"{len(questions)} questions of SQuAD dev over {len(paragraphs):,} paragraphs, {PASSAGES} passages "
                f"read, {THREADS} threads, one question after the other. The same MiniLM: INT8 here, float32 with "
                "the others. `installed`: the virtual environment, without the model.",
                ("", "exact match", "F1", "median, ms", "p90, ms", "indexing, s", "peak memory, MB", "installed, MB"),
                rows,
                command,
            )
        ]
    )


def environment(name: str, place: Path) -> tuple[Path, float]:
    """The interpreter of a contender's environment, made if it is not there, and its size in MB."""
    folder = place.resolve() / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = ["--requirement", str(RIVALS / f"{name}.txt")] if name != "edge_qa_library" else [str(ROOT)]
        run = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
        subprocess.run(run, check=True)
        (folder / "ready").touch()
    return python, sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def contend(name: str, python: Path, job: dict[str, Any]) -> dict[str, Any]:
    """What a contender prints for a job."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        offline = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": str(THREADS)}
        done = subprocess.run(
            [str(python), str(RIVALS / f"{name}.py"), str(path)],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | offline,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str, done: dict[str, Any], questions: Sequence[Asked], size: float) -> list[str]:
    """A contender's line of the table."""
    scores = [score(answer, asked.answers) for answer, asked in zip(done["answers"], questions, strict=True)]
    ms = sorted(done["ms"])
    return [
        name,
        f"{statistics.mean(one.exact for one in scores):.1f}",
        f"{statistics.mean(one.f1 for one in scores):.1f}",
        f"{statistics.median(ms):.0f}",
        f"{ms[int(0.9 * len(ms))]:.0f}",
        f"{done['index_s']:.1f}",
        f"{done['peak_mb']:.0f}",
        f"{size:.0f}",
    ]


if __name__ == "__main__":
    main()
