"""What `bench` found, as JSON-ready values, and the sentences that text and page share."""

from dataclasses import dataclass

from edge_qa.bench.fresh_process import Start
from edge_qa.evaluation.evaluate import Latency, shown_name
from edge_qa.system.cpu import CAP_VARIABLE
from edge_qa.system.machine import DISTURBED, Machine


@dataclass(frozen=True)
class Timing:
    """One bundle on one kind of question.

    tokens: the asked true length of the one window a question, or None for a data set.
    mean_tokens, mean_run_tokens: tokens a window, true and as the engine rounded them up.
    samples: timed questions, repetitions included. The means of the three parts (tokenize with the
    cutting into windows, inference, choice of spans) add up to the mean end to end.
    questions_per_second: all of them at once, through answer_many; the median of the repetitions.
    speed: the first bundle's median end to end over this one's.
    """

    workload: str
    tokens: int | None
    mean_tokens: float
    mean_run_tokens: float
    mean_windows: float
    questions: int
    samples: int
    end_to_end: Latency
    tokenize: Latency
    inference: Latency
    spans: Latency
    questions_per_second: float
    speed: float


@dataclass(frozen=True)
class BundleBench:
    """The figures of one bundle with one of its budgets.

    engine: the one that answered, "openvino" or "native".

    starts: how many fresh processes; start: the one with the median total, None if none.
    peak_bytes: of a fresh process at its first answer; every_length_peak_bytes: after one input of
    every length besides.
    """

    bundle: str
    budget: str
    engine: str
    digest: str
    precision: str
    bytes: int
    starts: int
    start: Start | None
    peak_bytes: int | None
    every_length_peak_bytes: int | None
    timings: tuple[Timing, ...]

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        return shown_name(self.bundle, self.budget, self.engine)


@dataclass(frozen=True)
class Settings:
    """What was asked for."""

    lengths: tuple[int, ...]
    data: str | None
    data_sha256: str | None
    repeat: int
    seed: int


@dataclass(frozen=True)
class BenchReport:
    """The figures of all bundles; others: cores that other programs kept busy meanwhile, None where not known.

    disturbed: whether that left fewer cores than the threads that were timed.
    """

    machine: Machine
    settings: Settings
    others: float | None
    disturbed: bool
    bundles: tuple[BundleBench, ...]


def describe_machine(report: BenchReport) -> list[str]:
    """Return what it ran on, a line a fact."""
    machine = report.machine
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    cap = f" ({CAP_VARIABLE}={machine.cap})" if machine.cap else ""
    busy = "" if report.others is None else f"; other programs kept {report.others:.1f} cores busy meanwhile"
    return [
        f"{machine.cpu}, {machine.instruction_set}{cap}, {machine.threads} of {machine.cores} cores used",
        f"{machine.system}, Python {machine.python}, {packages}",
        f"load average {machine.load_average:.1f} at the start{busy}",
    ]


def warning(report: BenchReport) -> str:
    """Return what makes the figures doubtful, or nothing."""
    return DISTURBED if report.disturbed else ""
