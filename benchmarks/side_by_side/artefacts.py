"""The models that the contenders run, all from one checkpoint and calibrated on the same questions; kept and reused."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.side_by_side.environments import Environment, all_sources, hash_of
from benchmarks.side_by_side.workers import RIVALS, environment, why_it_ended
from converters.checkpoints.checkpoint import Checkpoint
from edge_qa.errors import EdgeQAError
from edge_qa.evaluation.dataset import Dataset
from edge_qa.files import write_file

Say = Callable[[str], None]
# What optimum-intel takes unless told otherwise; ours takes its own default.
RIVAL_SAMPLES = 300
# Of all feed-forward neurons, the share that the compacted model does without.
COMPACTED_RATIO = 0.3
# Ours, each of which a user may have already.
BUNDLES = ("fp16", "int8", "budget", "compacted")
_RIVALS_MODELS = ("optimum-fp32", "optimum-int8", "onnx")
# What decides how they come out.
_MAKERS = (
    *("optimum_openvino.py", "make_onnx.py", "squad_loop.py"),
    *("optimum-intel.txt", "onnx-tools.txt", "transformers.txt"),
)
_BUDGET_MINUTES, _BUDGET_QUESTIONS, _BUDGET_DROP = 3.0, 100, 1.0


class ArtefactError(Exception):
    """A model cannot be made: one line."""


class Artefacts:
    """Makes each model when it is first asked for."""

    def __init__(
        self,
        place: Path,
        checkpoint: Checkpoint,
        calibration: Dataset,
        environments: Mapping[str, Environment | str],
        given: Mapping[str, Path],
        *,
        threads: int,
        say: Say,
    ) -> None:
        """environments: by name, or why one is not there. given: bundles that the user has, by the names used here."""
        self.checkpoint, self.environments = checkpoint.path.resolve(), environments
        source = hash_of(sorted(path for path in self.checkpoint.iterdir() if path.is_file()))
        lines = json_lines(calibration)
        # Apart, so that a change of our code does not make the rivals' models again.
        self.own = place / f"bundles-{_name(source, lines, threads, hash_of([*all_sources(), Path(__file__)]))}"
        self.others = place / f"models-{_name(source, lines, threads, hash_of([RIVALS / name for name in _MAKERS]))}"
        for folder in (self.own, self.others):
            folder.mkdir(parents=True, exist_ok=True)
        # What calibrates is a file of its own: it may be a part of what was given.
        self.calibration = self.own / "calibration.jsonl"
        write_file(self.calibration, lines)
        self.tokenizer = self.others / "tokenizer.json"
        write_file(self.tokenizer, checkpoint.tokenizer.encode())
        self.pairs = spread_pairs(calibration, RIVAL_SAMPLES)
        self.given, self.threads, self.say = given, threads, say
        self._failures: dict[str, str] = {}

    def path(self, name: str) -> Path:
        """Return the model's folder. Raises ArtefactError, every time anew for one that failed."""
        if name in self.given:
            return self.given[name].resolve()
        if name in self._failures:
            raise ArtefactError(self._failures[name])
        folder = (self.others if name in _RIVALS_MODELS else self.own) / name
        if not folder.exists():
            make = getattr(self, "_make_" + name.replace("-", "_"))
            begin = time.monotonic()
            self.say(f"make {name}")
            try:
                make(folder)
            except (EdgeQAError, ArtefactError) as error:
                self._failures[name] = str(error)
                raise ArtefactError(str(error)) from None
            self.say(f"  {time.monotonic() - begin:.0f} s")
        return folder

    def compiled(self) -> Path:
        """Return a folder for compiled models."""
        folder = self.own / "compiled"
        folder.mkdir(exist_ok=True)
        return folder

    # Ours. The imports are heavy, and wanted only where something is made.

    def _make_fp16(self, folder: Path) -> None:
        from converters.conversion import convert

        convert(self.checkpoint, folder)

    def _make_int8(self, folder: Path) -> None:
        self._quantize(self.path("fp16"), folder)

    def _quantize(self, source: Path, folder: Path) -> None:
        from calibration.quantization.quantize import quantize

        quantize(source, folder, calibration=self.calibration)

    def _make_native(self, folder: Path) -> None:
        from calibration.quantization.quantize import quantize

        quantize(self.path("fp16"), folder, engine="native")

    def _make_native_small(self, folder: Path) -> None:
        from converters.native.bundle import pack_native

        pack_native(self.path("compacted"), folder)

    def _make_compacted(self, folder: Path) -> None:
        from calibration.sparsity.sparsify import sparsify
        from converters.conversion import convert

        checkpoint, bundle = (self.own / f"compacted-{kind}" for kind in ("checkpoint", "fp16"))
        sparsify(
            self.checkpoint,
            checkpoint,
            pattern="ffn",
            ratio=COMPACTED_RATIO,
            calibration=self.calibration,
            force=True,
        )
        convert(checkpoint, bundle, force=True)
        self._quantize(bundle, folder)

    def _make_budget(self, folder: Path) -> None:
        from calibration.token_budgets.options import BudgetSearchOptions
        from calibration.token_budgets.search_budgets import search_budgets

        search_budgets(
            self.path("int8"),
            folder,
            calibration=self.calibration,
            evaluation=self.calibration,
            max_drop=_BUDGET_DROP,
            options=BudgetSearchOptions(minutes=_BUDGET_MINUTES, questions=_BUDGET_QUESTIONS),
            threads=self.threads,
        )

    # Theirs, made in their own environments.

    def _make_optimum_fp32(self, folder: Path) -> None:
        self._run("optimum-intel", "optimum_openvino.py", folder, "--make", int8=False)

    def _make_optimum_int8(self, folder: Path) -> None:
        self._run("optimum-intel", "optimum_openvino.py", folder, "--make", int8=True)

    def _make_onnx(self, folder: Path) -> None:
        self._run("onnx-tools", "make_onnx.py", folder, tokenizer=str(self.tokenizer))

    def _run(self, name: str, script: str, folder: Path, *options: str, **more: object) -> None:
        found = self.environments[name]
        if isinstance(found, str):
            raise ArtefactError(found)
        draft = folder.with_name(folder.name + ".draft")
        shutil.rmtree(draft, ignore_errors=True)
        job = {
            "checkpoint": str(self.checkpoint),
            "output": str(draft),
            "calibration": self.pairs,
            "threads": self.threads,
        }
        done = subprocess.run(
            [found.python, str(RIVALS / script), *options],
            input=json.dumps(job | more),
            env=environment(self.threads),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ArtefactError(f"{script}: {why_it_ended(done.returncode, done.stderr)}")
        os.replace(draft, folder)


def _name(*parts: object) -> str:
    return hashlib.sha256(repr((parts, RIVAL_SAMPLES)).encode()).hexdigest()[:12]


def json_lines(dataset: Dataset) -> bytes:
    """Return questions with contexts and answers as JSON lines, which `read_dataset` reads."""
    rows = (
        {"question": example.question, "context": example.context}
        | ({"answers": list(example.answers)} if example.answers else {"is_impossible": True})
        for example in dataset
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def spread_pairs(dataset: Dataset, limit: int) -> Sequence[tuple[str, str]]:
    """Return at most `limit` (question, context) pairs, spread evenly over the data."""
    from benchmarks.side_by_side.questions import spread

    return [(example.question, example.context) for example in spread(dataset.examples, limit)]
