"""The benchmark, block by block: environments, models, questions, bulk, cold starts, the limit, small CPUs."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import ceiling
from benchmarks.side_by_side.artefacts import BUNDLES, ArtefactError, Artefacts
from benchmarks.side_by_side.contenders import CONTENDERS, REFERENCE, Contender, groups_that_fit
from benchmarks.side_by_side.environments import (
    SPECS,
    Environment,
    InstallError,
    all_sources,
    hash_of,
    own_sources,
    prepare,
    rival_sources,
)
from benchmarks.side_by_side.instruction_sets import by_instruction_set
from benchmarks.side_by_side.questions import Sample, spread
from benchmarks.side_by_side.starts import imports_in_turns, start_in_turns
from benchmarks.side_by_side.store import Store
from benchmarks.side_by_side.turns import CHUNK, ask_in_turns, bulk_in_turns, close_all
from benchmarks.side_by_side.workers import Worker, WorkerError
from edge_qa.cpu import this_cpu
from edge_qa.dataset import read_dataset
from edge_qa.machine import CPUTime, this_machine
from edge_qa.memory import this_memory

Say = Callable[[str], None]
PASSES = ("first", "steady")
_LEAVE_FREE = 2 * 10**9
# At what lengths the time of one inference is split up: the mean window of SQuAD, and the longest.
_SPLITS = (("MiniLM", 178), ("BERT-base", 384))


@dataclass(frozen=True)
class Plan:
    """What is measured. turn: questions a contender answers before the next; starts: fresh processes each."""

    checkpoint: Path
    calibration: Path
    sample: Sample
    only: tuple[str, ...]
    environments: Path
    given: Mapping[str, Path]
    threads: int
    turn: int
    starts: int
    bulk: int
    capped: int
    as_published: bool

    def settings(self) -> dict[str, Any]:
        """What decides the figures, as JSON values; a run with other settings begins anew."""
        return {
            "sample": {"name": self.sample.name, "sha256": self.sample.sha256, "questions": len(self.sample.examples)},
            "answerable": self.sample.of,
            "checkpoint": self.checkpoint.name,
            "calibration": self.calibration.name,
            "given": {name: path.name for name, path in self.given.items()},
            "files": hash_of(
                [*(path / "bundle.json" for path in self.given.values()), self.checkpoint / "config.json"]
            ),
            # With every bundle given, how bundles are made decides nothing.
            "code": hash_of([*(own_sources() if len(self.given) == len(BUNDLES) else all_sources()), *rival_sources()]),
            "cpu": this_cpu().name,
            "contenders": list(self.only),
            "threads": self.threads,
            "turn": self.turn,
            "starts": self.starts,
            "bulk": self.bulk,
            "capped": self.capped,
            "as_published": self.as_published,
        }


class Benchmark:
    """One run over a store; every block is measured only if the store does not hold it."""

    def __init__(self, plan: Plan, store: Store, say: Say) -> None:
        self.plan, self.store, self.say = plan, store, say
        self.environments: dict[str, Environment | str] = {}
        self.failed: dict[str, str] = store.results.setdefault("failed", {})
        self.jobs: dict[str, dict[str, Any]] = {}
        self.chosen = [CONTENDERS[name] for name in plan.only]

    def run(self) -> None:
        """Measure everything that is missing."""
        pin(self.plan.threads)
        begin = CPUTime.now()
        self.store.results.setdefault("date", time.strftime("%Y-%m-%d"))
        self.store.results.setdefault("machine", asdict(this_machine(self.plan.threads)))
        self._prepare()
        self._questions()
        self._starts()
        self.store.block("imports", self._imports)
        self.store.block("peak", lambda: self._tell("INT8 peak", partial(ceiling.vnni_peak, self.plan.threads)))
        for model, tokens in _SPLITS:
            self.store.block(f"split {model}", partial(self._split, model, tokens))
        self.store.block("instruction sets", self._instruction_sets)
        self.store.results["busy_others"] = begin.others_since(CPUTime.now()) or 0.0
        self.store.save()

    # Environments and models

    def _prepare(self) -> None:
        names = dict.fromkeys(contender.environment for contender in self.chosen)
        if "onnxruntime" in names:
            names["onnx-tools"] = None
        if "optimum-intel" in names and self.plan.as_published:
            names["optimum-intel-as-published"] = None
        for name in names:
            try:
                self.environments[name] = prepare(name, self.plan.environments, say=self.say)
            except InstallError as error:
                self.environments[name] = f"{name} cannot be installed: {error}"
                self.say(f"  {self.environments[name]}")
        self.store.results["environments"] = {
            name: {"failed": found} if isinstance(found, str) else asdict(found) | {"python": ""}
            for name, found in self.environments.items()
        }
        self.artefacts = Artefacts(
            self.plan.environments,
            self.plan.checkpoint,
            (self.plan.calibration, read_dataset(self.plan.calibration)),
            self.environments,
            self.plan.given,
            threads=self.plan.threads,
            say=self.say,
        )
        for contender in self.chosen:
            found = self.environments[contender.environment]
            if isinstance(found, str):
                self.failed[contender.name] = found
                continue
            try:
                self.jobs[contender.name] = contender.job(self.artefacts, self.plan.threads)
            except ArtefactError as error:
                self.failed[contender.name] = str(error)
                self.say(f"  {contender.label} does not take part: {error}")

    def _worker(self, contender: Contender) -> Worker:
        found = self.environments[contender.environment]
        assert isinstance(found, Environment)
        return Worker(Path(found.python), contender.script, self.jobs[contender.name], threads=self.plan.threads)

    # Questions, one at a time and in bulk

    def _questions(self) -> None:
        able = [contender for contender in self.chosen if contender.name in self.jobs]
        available = this_memory().usable_bytes
        groups = self.store.block(
            "groups",
            lambda: [
                [contender.name for contender in group]
                for group in groups_that_fit(able, None if available is None else available - _LEAVE_FREE)
            ],
        )
        for index, names in enumerate(groups):
            if f"memory {index}" not in self.store.results["blocks"]:
                self._ask_group(index, [CONTENDERS[name] for name in names if name in self.jobs])

    def _ask_group(self, index: int, group: list[Contender]) -> None:
        pairs = self.plan.sample.pairs
        workers: dict[str, Worker] = {}
        try:
            self.say(f"load {len(group)} contenders")
            for contender in group:
                worker = self._worker(contender)
                try:
                    worker.wait_until_loaded()
                    workers[contender.name] = worker
                except WorkerError as error:
                    self.failed[contender.name] = str(error)
                    self.say(f"  {contender.label} does not load: {error}")
                    worker.close()
            self._ask_chunks(index, workers)
            chosen = spread(pairs, self.plan.bulk)
            able = {name: worker for name, worker in workers.items() if CONTENDERS[name].answers}
            self.say(f"{len(chosen)} questions in bulk")
            failed = self.store.results.setdefault("failed in bulk", {})
            self.store.block(f"bulk {index}", lambda: bulk_in_turns(able, chosen, rounds=2, failed=failed))
            # Last, because it says that the group is done.
            self.store.block(
                f"memory {index}", lambda: {name: w.peak_bytes() for name, w in workers.items() if w.is_open}
            )
        finally:
            close_all(workers)

    def _ask_chunks(self, index: int, workers: dict[str, Worker]) -> None:
        pairs = self.plan.sample.pairs
        starts = range(0, len(pairs), CHUNK)
        resumed = any(key.startswith(f"{index} ") for key in self.store.answers)
        for kind in PASSES:
            missing = [start for start in starts if f"{index} {kind} {start}" not in self.store.answers]
            if not missing:
                continue
            if resumed and kind == "steady":
                self.say("warm up")
                ask_in_turns(workers, spread(pairs, 2 * CHUNK), turn=self.plan.turn, failed=self.failed)
                resumed = False
            self.say(f"{len(pairs)} questions one at a time, {kind} pass")
            for start in missing:
                chunk = pairs[start : start + CHUNK]
                begin = time.monotonic()
                found = ask_in_turns(
                    workers, chunk, turn=self.plan.turn, first=start // self.plan.turn, failed=self.failed
                )
                self.store.set_answers(f"{index} {kind} {start}", found)
                self.say(f"  {start + len(chunk)} of {len(pairs)}, {time.monotonic() - begin:.0f} s")

    # Fresh processes

    def _starts(self) -> None:
        makers = {
            contender.name: partial(self._worker, contender)
            for contender in self.chosen
            if contender.name in self.jobs and contender.answers
        }
        failed = self.store.results.setdefault("failed to start", {})
        make = partial(start_in_turns, makers, self.plan.starts, failed)
        self.store.block("starts", lambda: self._tell(f"{self.plan.starts} cold starts each", make))

    def _imports(self) -> dict[str, list[float]]:
        codes = {
            name: (Path(found.python), SPECS[name].works)
            for name, found in self.environments.items()
            if isinstance(found, Environment) and any(contender.environment == name for contender in self.chosen)
        }
        return self._tell("imports", partial(imports_in_turns, codes, self.plan.starts, self.plan.threads))

    # The machine

    def _split(self, model: str, tokens: int) -> dict[str, Any]:
        def measure() -> dict[str, Any]:
            try:
                if model == "BERT-base":
                    bundle = ceiling.make_bert_base(self.artefacts.own, self.plan.calibration)
                else:
                    bundle = self.artefacts.path("int8")
            except ArtefactError as error:
                return {"failed": str(error)}
            peak = self.store.results["blocks"]["peak"]["gmacs"]
            return ceiling.time_split(bundle, tokens, peak, self.plan.threads)

        return self._tell(f"where the time of {model} at {tokens} tokens goes", measure)

    def _instruction_sets(self) -> dict[str, Any]:
        found = self.environments.get("edge-qa")
        if not isinstance(found, Environment):
            return {"failed": found or "Edge QA does not take part"}
        sample = self.plan.sample
        fewer = Sample(sample.name, sample.sha256, sample.of, tuple(spread(sample.examples, self.plan.capped)))
        try:
            bundles = {name: self.artefacts.path(name) for name in ("fp16", "int8")}
        except ArtefactError as error:
            return {"failed": str(error)}
        make = partial(by_instruction_set, Path(found.python), bundles, fewer, self.plan.threads, self.plan.turn)
        return self._tell("smaller CPUs", make)

    def _tell(self, what: str, make: Callable[[], Any]) -> Any:
        self.say(what)
        begin = time.monotonic()
        found = make()
        self.say(f"  {time.monotonic() - begin:.0f} s")
        return found


def pin(threads: int) -> None:
    """Keep this process, and all that it starts, on the first `threads` cores that it may use."""
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def default_contenders() -> tuple[str, ...]:
    """All of them, in the order of the tables; the reference among them."""
    assert REFERENCE in CONTENDERS
    return tuple(CONTENDERS)
