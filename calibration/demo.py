"""The main job end to end: convert, quantize, score and ask, each step timed."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from calibration.quantization.report import Quantization
from converters.conversion import Conversion, convert
from edge_qa.answerer import QuestionAnswerer
from edge_qa.answers import Answer
from edge_qa.errors import InputError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.files import check_destination
from edge_qa.progress import Progress, no_progress

Say = Callable[[str], None]

# Beside the packages in a checkout; an installed wheel has none.
_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@dataclass(frozen=True)
class Demo:
    """What the demo made and measured."""

    conversion: Conversion
    quantization: Quantization
    answers: tuple[tuple[str, Answer], ...]
    seconds: dict[str, float]


def demo(
    folder: str | os.PathLike[str],
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    samples: int = 100,
    force: bool = False,
    say: Say = lambda line: None,
    progress: Progress = no_progress,
    bars: TextIO | None = None,
) -> Demo:
    """Make FOLDER/fp16 and FOLDER/int8 from a checkpoint, score both on questions, and ask three of them.

    checkpoint, data: those that the project's checkout carries where they are not given.
    The same questions calibrate and score: a smoke test of the machinery, no benchmark.
    force: replace what bears these names in `folder`. Raises BundleError for such bundles otherwise.
    """
    checkpoint, questions = _given_or_carried(checkpoint, data)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot be made a folder ({error.strerror})", where=place, remedy="give another `folder`"
        ) from None
    for name in ("fp16", "int8"):
        # Before the first of them is made.
        check_destination(place / name, force=force, sources=[checkpoint])
    seconds: dict[str, float] = {}

    @contextmanager
    def step(name: str, what: str) -> Iterator[None]:
        say(what)
        begin = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - begin
        say(f"  {seconds[name]:.1f} s")

    with step("convert", f"convert {checkpoint} to OpenVINO IR, verified against the reference"):
        conversion = convert(checkpoint, place / "fp16", force=force)
    with step("quantize", f"quantize to INT8 on {samples} questions, score and time both"):
        quantization = quantize(
            place / "fp16",
            place / "int8",
            calibration=questions,
            evaluation=questions,
            options=QuantizationOptions(samples=samples),
            force=force,
            progress=progress,
            bars=bars,
        )
    with step("ask", "ask"):
        answerer = QuestionAnswerer.load(place / "int8")
        examples = [example for example in read_dataset(questions) if example.answers]
        chosen = examples[:: max(1, len(examples) // 3)][:3]
        answers = tuple((example.question, answerer.answer(example.question, example.context)) for example in chosen)
    return Demo(conversion, quantization, answers, seconds)


def _given_or_carried(
    checkpoint: str | os.PathLike[str] | None, data: str | os.PathLike[str] | None
) -> tuple[str | os.PathLike[str], str | os.PathLike[str]]:
    """Fill in what the checkout of this package carries. Raises InputError where it is installed without."""
    carried = {"checkpoint": _EXAMPLES / "models" / "minilm-squad", "data": _EXAMPLES / "data" / "questions.json"}
    given = {"checkpoint": checkpoint, "data": data}
    lacking = [name for name, path in given.items() if path is None and not carried[name].exists()]
    if lacking:
        raise InputError(
            "this installation carries no example",
            where="demo",
            remedy=f"give {' and '.join(f'`{name}`' for name in lacking)}",
        )
    return checkpoint or carried["checkpoint"], data or carried["data"]
