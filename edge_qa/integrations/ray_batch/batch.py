"""Questions in files -> answers in parts, on the machines of a Ray cluster: `edge-qa batch --on ray`."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge_qa.bundle.bundle import Bundle
from edge_qa.errors import InputError
from edge_qa.evaluation.answered_rows import AnswerOptions
from edge_qa.inference.engine_choice import may_be_native
from edge_qa.integrations.ray_batch.cluster import Model, answered_parts, connected, plan_here
from edge_qa.integrations.ray_batch.output import OutputFolder
from edge_qa.integrations.ray_batch.parts import Part, count_rows, input_files, read_parts
from edge_qa.integrations.ray_batch.plan import checked_plan
from edge_qa.integrations.ray_batch.worker import ModelOptions, bundle_files
from edge_qa.progress import Progress, no_progress
from edge_qa.system.cpu import usable_threads

PART_LINES = 500


@dataclass(frozen=True)
class BatchResult:
    """What is in the output. resumed: how many of the parts were there before. failed: lines that are errors."""

    path: Path
    parts: int
    lines: int
    failed: int
    resumed: int


def batch_on_ray(
    bundle: str | os.PathLike[str],
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    options: AnswerOptions | None = None,
    model: ModelOptions | None = None,
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    part_lines: int = PART_LINES,
    resume: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
) -> BatchResult:
    """Answer the questions of a file or a folder, a line for each row, and write them in parts.

    source: JSON lines, Parquet, and what else `edge-qa batch` reads; of a folder the files in it. It is read here,
    and the output is written here; nodes need neither, nor the bundle.
    output: a folder, see `edge_qa/integrations/ray_batch/output.py`. resume: go on with the parts that are not there.
    address: of a Ray cluster, "auto" for the one of this machine; None for one that lasts as long as this call.
    workers: how many models run at once; as many as there is room for where None. threads: cores of each.
    part_lines: rows of a part, which is what is lost when a worker dies.
    Raises ResourceError for a plan that does not fit into the cluster, before anything is written; BundleError for the
    bundle; InputError for the source, the output and the options.
    """
    options, model = options or AnswerOptions(), model or ModelOptions()
    place, folder = Path(source), Path(os.path.abspath(output))
    if part_lines < 1:
        raise InputError(f"got {part_lines}", where="part_lines", wanted="at least 1")
    options.limits()
    files = input_files(place)
    _check_places(folder, [place, Path(bundle)])
    manifest = Bundle.load(bundle).manifest
    if model.engine == "auto":
        # One engine for all lines: nodes may differ in what is installed, and engines in their last digits.
        native = may_be_native(bundle, "auto", model.precision, None)
        model = replace(model, engine="native" if native else "openvino")
    if address is None:
        checked_plan(workers, threads, [usable_threads()])  # before a cluster is started
    with connected(address):
        plan = plan_here(workers, threads)
        # What changes no line is not in it: workers and threads.
        asked = {"bundle": manifest.digest, **asdict(options), **asdict(model), "part_lines": part_lines}
        total, resumed, parts = count_rows(files), 0, 0
        with OutputFolder(folder, asked, resume=resume, force=force) as out:

            def left() -> Iterator[Part]:
                nonlocal resumed, parts
                for part in read_parts(place, files, part_lines):
                    parts += 1
                    if out.holds(part):
                        resumed += 1
                    else:
                        yield part

            sent = Model(Path(os.path.abspath(bundle)), manifest.digest, bundle_files(Path(bundle)), model)
            for part, lines, failed in answered_parts(left(), sent, plan, options):
                out.write(part, lines, failed)
                progress("batch", out.lines, total)
            out.complete(parts)
            return BatchResult(folder, parts, out.lines, out.failed, resumed)


def _check_places(output: Path, sources: list[Path]) -> None:
    real = Path(os.path.realpath(output))
    for source in sources:
        read = Path(os.path.realpath(source))
        if real == read or real in read.parents or read in real.parents:
            raise InputError(f"is, holds or is inside what is read ({source})", where=output, remedy="another place")
    if not output.parent.is_dir():
        raise InputError("its parent folder does not exist", where=output, remedy=f"create {output.parent} first")
