"""The benchmark, block by block: environments, models, questions, bulk, cold starts, the limit, small CPUs."""

import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.side_by_side import ceiling
from benchmarks.side_by_side.artefacts import BUNDLES, ArtefactError, Artefacts, json_lines
from benchmarks.side_by_side.contenders import CONTENDERS, REFERENCE, Contender, groups_that_fit
from benchmarks.side_by_side.environments import (
    SPECS,
    Environment,
    InstallError,
    all_sources,
    hash_of,
    kernel_sources,
    measuring_sources,
    own_sources,
    prepare,
    rival_sources,
)
from benchmarks.side_by_side.instruction_sets import by_instruction_set
from benchmarks.side_by_side.questions import Sample, spread
from benchmarks.side_by_side.starts import imports_in_turns, start_in_turns
from benchmarks.side_by_side.store import Store
from benchmarks.side_by_side.turns import ask_in_turns, bulk_in_turns, chunk_of, close_all
from benchmarks.side_by_side.workers import Worker, WorkerError
from converters.checkpoints.checkpoint import Checkpoint
from edge_qa.errors import EdgeQAError, InputError, ResourceError
from edge_qa.evaluation.dataset import Dataset
from edge_qa.system.cpu import this_cpu
from edge_qa.system.machine import CPUTime, is_disturbed, this_machine
from edge_qa.system.memory import this_memory

Say = Callable[[str], None]
PASSES = ("first", "steady")
_LEAVE_FREE = 2 * 10**9
_BULK_ROUNDS = 3  # of a sitting
# At what lengths the time of one inference is split up: the mean window of SQuAD, and the longest.
_WINDOW, _LONGEST_WINDOW = 178, 384
BERT_BASE = "BERT-base"


@dataclass(frozen=True)
class Plan:
    """What is measured. turn: questions a contender answers before the next; starts: fresh processes each.

    sittings: how often all questions are asked by new processes: where a process happens to lie in memory
    makes it some percent faster or slower for as long as it lives.
    """

    checkpoint: Checkpoint
    calibration: Dataset
    sample: Sample
    only: tuple[str, ...]
    environments: Path
    given: Mapping[str, Path]
    threads: int
    sittings: int
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
            "checkpoint": self.checkpoint.path.name,
            "calibration": {
                "name": self.calibration.name,
                "sha256": hashlib.sha256(json_lines(self.calibration)).hexdigest(),
                "questions": len(self.calibration),
            },
            "given": {name: path.name for name, path in self.given.items()},
            "files": hash_of(
                [
                    *(path / "bundle.json" for path in self.given.values()),
                    *sorted(path for path in self.checkpoint.path.iterdir() if path.is_file()),
                ]
            ),
            # With every bundle given, how bundles are made decides nothing.
            "code": hash_of(
                [
                    *(own_sources() if len(self.given) == len(BUNDLES) else all_sources()),
                    *(kernel_sources() if any(name.startswith("edge-qa-native") for name in self.only) else []),
                    *rival_sources(),
                    *measuring_sources(),
                ]
            ),
            "python": sys.version,
            "cpu": this_cpu().name,
            "instruction_set": this_cpu().instruction_set,
            "contenders": list(self.only),
            "threads": self.threads,
            "sittings": self.sittings,
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
        # What could not be prepared is tried again; who failed while being asked stays as it is.
        groups = store.results["blocks"].get("groups", [])
        asked = {name for group in groups for name in group}
        earlier = store.results.get("failed", {})
        self.failed: dict[str, str] = {name: why for name, why in earlier.items() if name in asked}
        store.results["failed"] = self.failed
        self.machine = this_machine(plan.threads)
        self.jobs: dict[str, dict[str, Any]] = {}
        self.chosen = [CONTENDERS[name] for name in plan.only]

    def run(self) -> None:
        """Measure everything that is missing."""
        pin(self.plan.threads)
        self.store.results.setdefault("date", time.strftime("%Y-%m-%d"))
        self.store.results.setdefault("machine", asdict(self.machine))
        self._prepare()
        self._questions()
        self._starts()
        self._imports()
        self.store.block("peak", lambda: self._tell("INT8 peak", partial(ceiling.vnni_peak, self.plan.threads)))
        for model, tokens in ((self.plan.checkpoint.path.name, _WINDOW), (BERT_BASE, _LONGEST_WINDOW)):
            self._block_again(f"split {model}", partial(self._split, model, tokens))
        self._block_again("instruction sets", self._instruction_sets)
        self.store.save()

    def _block_again(self, key: str, make: Callable[[], dict[str, Any]]) -> None:
        """Measure a block that is missing or that failed in an earlier call."""
        if "failed" in self.store.results["blocks"].get(key, {}):
            del self.store.results["blocks"][key]
        self.store.block(key, make)

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
                self.environments[name] = f"{name} cannot be installed ({error})"
                self.say(f"  {self.environments[name]}")
        self._keep_environments()
        self.artefacts = Artefacts(
            self.plan.environments,
            self.plan.checkpoint,
            self.plan.calibration,
            self.environments,
            self.plan.given,
            threads=self.plan.threads,
            say=self.say,
        )
        for contender in self.chosen:
            found = self.environments[contender.environment]
            why = found if isinstance(found, str) else None
            try:
                if why is None:
                    self.jobs[contender.name] = contender.job(self.artefacts, self.plan.threads)
            except ArtefactError as error:
                why = str(error)
            if why is None:
                continue
            if contender.name == REFERENCE:
                raise ResourceError(f"{contender.label}, which all others are measured against: {why}")
            self.failed[contender.name] = why
            self.say(f"  {contender.label} does not take part: {why}")

    def _keep_environments(self) -> None:
        """What is installed goes into the results, which must not mix versions."""
        now = {
            name: {"failed": found} if isinstance(found, str) else asdict(found) | {"python": ""}
            for name, found in self.environments.items()
        }
        before = self.store.results.get("environments", {})
        for name, found in now.items():
            earlier = before.get(name, {}).get("packages")
            if earlier is not None and found.get("packages") != earlier:
                raise InputError(
                    f"{self.store.folder}: measured with {earlier} in {name}, installed is {found.get('packages')}; "
                    "give another --output, or --fresh to replace it"
                )
        self.store.results["environments"] = now
        self.store.save()

    def _worker(self, contender: Contender) -> Worker:
        found = self.environments[contender.environment]
        assert isinstance(found, Environment)
        return Worker(Path(found.python), contender.script, self.jobs[contender.name], threads=self.plan.threads)

    # Questions, one at a time and in bulk

    def _questions(self) -> None:
        groups = self.store.block("groups", list)
        placed = {name for group in groups for name in group if name != REFERENCE}
        able = [contender for contender in self.chosen if contender.name in self.jobs]
        # Those that could not be prepared in an earlier call have a group of their own, beside the reference.
        new = [contender for contender in able if contender.name not in placed]
        if not groups or any(contender.name != REFERENCE for contender in new):
            available = this_memory().usable_bytes
            found = groups_that_fit(new, None if available is None else available - _LEAVE_FREE)
            groups += [[contender.name for contender in group] for group in found]
            self.store.save()
        for sitting in range(self.plan.sittings):
            for index, names in enumerate(groups):
                key = f"{index} {sitting}"
                if f"memory {key}" not in self.store.results["blocks"] or self._missing(key):
                    with self._watched(f"questions {key}"):
                        self._ask_group(key, [CONTENDERS[name] for name in names if name in self.jobs])

    def _starts_of_chunks(self) -> range:
        return range(0, len(self.plan.sample.examples), chunk_of(self.plan.turn))

    def _missing(self, key: str) -> bool:
        """Whether a group's answers of a sitting are not all there; key: the numbers of both."""
        return any(
            f"{key} {kind} {start}" not in self.store.answers for kind in PASSES for start in self._starts_of_chunks()
        )

    def _ask_group(self, key: str, group: list[Contender]) -> None:
        pairs = self.plan.sample.pairs
        workers: dict[str, Worker] = {}
        for block in (f"bulk {key}", f"memory {key}"):
            self.store.results["blocks"].pop(block, None)
        try:
            self.say(f"load {len(group)} contenders")
            for contender in group:
                worker = self._worker(contender)
                try:
                    self.store.results.setdefault("details", {})[contender.name] = worker.wait_until_loaded()["detail"]
                    workers[contender.name] = worker
                except WorkerError as error:
                    self.failed[contender.name] = str(error)
                    self.say(f"  {contender.label} does not load: {error}")
                    worker.close()
            self._ask_chunks(key, workers)
            chosen = spread(pairs, self.plan.bulk)
            able = {name: worker for name, worker in workers.items() if CONTENDERS[name].answers}
            self.say(f"{len(chosen)} questions in bulk")
            peaks = _peaks(workers)
            failed = self.store.results.setdefault("failed in bulk", {})
            for name in able:
                failed.pop(name, None)
            self.store.block(f"bulk {key}", lambda: bulk_in_turns(able, chosen, rounds=_BULK_ROUNDS, failed=failed))
            # Last, because it says that the group is done. Who failed in bulk has the peak of before.
            self.store.block(f"memory {key}", lambda: peaks | _peaks(workers))
        finally:
            close_all(workers)

    def _ask_chunks(self, key: str, workers: dict[str, Worker]) -> None:
        pairs = self.plan.sample.pairs
        starts, size = self._starts_of_chunks(), chunk_of(self.plan.turn)
        seen = [start for start in starts if f"{key} first {start}" in self.store.answers]
        if seen:
            self.say("warm up: these processes have not seen the questions that earlier ones were asked")
            again = [pair for start in seen for pair in pairs[start : start + size]]
            ask_in_turns(workers, again, turn=self.plan.turn, failed=self.failed)
        for kind in PASSES:
            missing = [start for start in starts if f"{key} {kind} {start}" not in self.store.answers]
            if not missing:
                continue
            self.say(f"{len(pairs)} questions one at a time, {kind} pass")
            for start in missing:
                chunk = pairs[start : start + size]
                begin = time.monotonic()
                found = ask_in_turns(
                    workers, chunk, turn=self.plan.turn, first=start // self.plan.turn, failed=self.failed
                )
                self.store.set_answers(f"{key} {kind} {start}", found)
                self.say(f"  {start + len(chunk)} of {len(pairs)}, {time.monotonic() - begin:.0f} s")

    # Fresh processes

    def _starts(self) -> None:
        makers = {
            contender.name: partial(self._worker, contender)
            for contender in self.chosen
            if contender.name in self.jobs and contender.answers
        }

        failed = self.store.results.setdefault("failed to start", {})
        measured = self.store.results["blocks"].setdefault("starts", {})
        missing = {name: maker for name, maker in makers.items() if name not in measured | failed}
        if missing:
            make = partial(start_in_turns, missing, self.plan.starts, failed)
            measured |= self._tell(f"{self.plan.starts} cold starts each", make)
            self.store.save()

    def _imports(self) -> None:
        measured = self.store.results["blocks"].setdefault("imports", {})
        codes = {
            name: (Path(found.python), SPECS[name].works)
            for name, found in self.environments.items()
            if isinstance(found, Environment) and any(contender.environment == name for contender in self.chosen)
        }
        missing = {name: code for name, code in codes.items() if name not in measured}
        if missing:
            measured |= self._tell("imports", partial(imports_in_turns, missing, self.plan.starts, self.plan.threads))
            self.store.save()

    # The machine

    def _split(self, model: str, tokens: int) -> dict[str, Any]:
        def measure() -> dict[str, Any]:
            try:
                if model == BERT_BASE:
                    bundle = ceiling.make_bert_base(self.artefacts.own, self.artefacts.calibration)
                else:
                    bundle = self.artefacts.path("int8")
                peak = self.store.results["blocks"]["peak"]["gmacs"]
                return ceiling.time_split(bundle, tokens, peak, self.plan.threads)
            except (ArtefactError, EdgeQAError) as error:
                return {"failed": str(error)}

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
        with self._watched(what):
            found = make()
        self.say(f"  {time.monotonic() - begin:.0f} s")
        return found

    @contextmanager
    def _watched(self, what: str) -> Iterator[None]:
        """Keep how many cores other programs took while this was measured, if that disturbed it."""
        disturbed = self.store.results.setdefault("disturbed", {})
        begin = CPUTime.now()
        try:
            yield
        finally:
            # The contenders have ended by now: their time counts as this process's own.
            others = CPUTime.now().others_since(begin)
            if is_disturbed(others, self.machine):
                # A part that an earlier call measured stays, and so does its mark.
                disturbed[what] = max(disturbed.get(what, 0), round(others or self.machine.load_average, 2))
                self.say(f"  other programs kept {disturbed[what]} cores busy meanwhile: figures are doubtful")
                self.store.save()


def pin(threads: int) -> None:
    """Keep this process, and all that it starts, on the first `threads` cores that it may use."""
    with suppress(AttributeError, OSError):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def _peaks(workers: Mapping[str, Worker]) -> dict[str, int | None]:
    """The most memory that each process that is left has held."""
    found = {}
    for name, worker in workers.items():
        with suppress(WorkerError):
            found[name] = worker.peak_bytes()
    return found
