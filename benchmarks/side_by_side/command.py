"""python -m benchmarks: the options, and the files that a run leaves."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.side_by_side.artefacts import BUNDLES
from benchmarks.side_by_side.contenders import CONTENDERS, REFERENCE
from benchmarks.side_by_side.page import benchmark_page
from benchmarks.side_by_side.plots import readme_picture
from benchmarks.side_by_side.questions import answerable_sample, by_passages, read_sample, spread
from benchmarks.side_by_side.rows import sample_words
from benchmarks.side_by_side.run import Benchmark, Plan
from benchmarks.side_by_side.store import ANSWERS, PAGE, PICTURE, RESULTS, Store
from benchmarks.side_by_side.summary import losses, rows_of, summarize
from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from edge_qa.bundle.bundle import Bundle
from edge_qa.cli.app import EXIT_CODES
from edge_qa.errors import EdgeQAError, InputError
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.files import write_file
from edge_qa.system.cpu import usable_threads

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "examples" / "models" / "minilm-squad"
# Made from it by training: what stands for a compacted model where the carried checkpoint is measured.
SMALL = ROOT / "examples" / "models" / "minilm-squad-small-int8"
QUESTIONS = ROOT / "examples" / "data" / "questions.json"
# Nobody takes more than 300 of them; the search for a budget asks all.
_CALIBRATION_QUESTIONS = 500


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write results.json, answers.json, index.html and side_by_side.svg.

    Exits with 1 if the reference could not be measured, else with the exit codes of `edge-qa`.
    """
    options = _parser().parse_args(arguments)
    try:
        good = run(options)
    except EdgeQAError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        sys.exit(next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))
    except KeyboardInterrupt:
        how = "the same command without --fresh" if options.fresh else "the same command"
        print(f"\nstopped; what is measured is in {options.output}: {how} goes on from there", file=sys.stderr)
        sys.exit(130)
    sys.exit(0 if good else 1)


def run(options: argparse.Namespace) -> bool:
    """Do what the options say; return whether there is a reference to compare with. Raises EdgeQAError."""
    # Cheap checks before slow work.
    only = _contenders(options.only)
    given = dict(_bundle(text) for text in options.bundle)
    for name in ("threads", "sittings", "turn", "starts", "bulk", "capped"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name}: got {getattr(options, name)}, wanted at least 1")
    if options.threads > usable_threads():
        raise InputError(f"--threads: got {options.threads}, this process may use {usable_threads()}")
    sample, calibration = read_sample(options.squad, options.limit), read_dataset(options.calibration)
    if calibration.sha256 == sample.sha256:
        # Nobody is asked what was calibrated on.
        calibration, asked = by_passages(calibration)
        sample = answerable_sample(asked, options.limit)
    calibration = replace(calibration, examples=tuple(spread(calibration.examples, _CALIBRATION_QUESTIONS)))
    if options.checkpoint.resolve() == CHECKPOINT and SMALL.is_dir():
        given.setdefault("compacted", SMALL)
    checkpoint = read_checkpoint(options.checkpoint)
    plan = Plan(
        replace(checkpoint, path=checkpoint.path.resolve()),
        calibration,
        sample,
        only,
        # Whatever is installed there must not hang on the folder of this call.
        options.environments.resolve(),
        given,
        options.threads,
        options.sittings,
        options.turn,
        options.starts,
        min(options.bulk, len(sample.examples)),
        min(options.capped, len(sample.examples)),
        not options.no_published_size,
    )
    store = Store(options.output, plan.settings(), fresh=options.fresh)
    if store.resumed:
        say(f"goes on with {options.output / RESULTS}; --fresh begins anew")
    try:
        options.environments.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{options.environments}: cannot be made a folder ({error.strerror})") from None
    tokens = _tokens(checkpoint, sample.pairs)
    Benchmark(plan, store, say).run()
    store.results["rows"] = summarize(store.results, store.answers, sample.examples, tokens)
    store.save()
    return publish(store)


def publish(store: Store) -> bool:
    """Write the page and the picture of a run that is done, and tell the outcome; whether it has a reference."""
    write_file(store.folder / PAGE, benchmark_page(store.results))
    rows = rows_of(store.results)
    write_file(store.folder / PICTURE, readme_picture(rows, sample_words(store.results)))
    width = max(len(row.label) for row in rows)
    for row in rows:
        if row.times is None:
            print(f"{row.label:{width}}  not measured: {row.failed}")
            continue
        ratio = "" if row.ratio is None else f"{row.ratio:5.2f}x of ours"
        f1 = "" if row.f1 is None else f"  F1 {row.f1:5.2f}"
        print(f"{row.label:{width}}  {row.times.p50:7.2f} ms  {ratio}{f1}")
    for text in losses(rows):
        print(f"behind in {text}")
    print(f"{store.folder / PAGE}, {store.folder / PICTURE}, {store.folder / RESULTS}, {store.folder / ANSWERS}")
    return any(row.name == REFERENCE and row.times is not None for row in rows)


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def _tokens(checkpoint: Checkpoint, pairs: Sequence[tuple[str, str]]) -> list[int]:
    """The length of each question with its text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(checkpoint.tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [len(tokenizer.encode(*pair).ids) for pair in pairs]


def _contenders(text: str | None) -> tuple[str, ...]:
    if text is None:
        return tuple(CONTENDERS)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown or not names:
        raise InputError(f"--only: got {', '.join(unknown) or 'nothing'}, wanted some of {', '.join(CONTENDERS)}")
    # The reference always takes part: without it there is no ratio.
    return tuple(name for name in CONTENDERS if name in names or name == REFERENCE)


def _bundle(text: str) -> tuple[str, Path]:
    name, mark, path = text.partition("=")
    if not mark or name not in BUNDLES:
        raise InputError(f"--bundle: got {text!r}, wanted NAME=FOLDER, NAME one of {', '.join(BUNDLES)}")
    manifest = Bundle.load(path).manifest
    wanted = "fp16" if name == "fp16" else "int8"
    if manifest.precision != wanted:
        raise InputError(f"--bundle: {path}: its weights are {manifest.precision}, wanted {wanted} for {name}")
    if name == "budget" and "fast" not in (manifest.budgets or {}):
        raise InputError(f"--bundle: {path}: has no budget named fast; make it with edge-qa search-budgets")
    return name, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Every way to answer questions on this CPU, side by side. Made again, it goes on where it was.",
    )
    add = parser.add_argument
    add("--squad", type=Path, default=QUESTIONS, metavar="FILE", help="questions with answers (the carried ones)")
    add("--limit", type=int, default=200, metavar="N", help="ask at most so many, spread over the file (200)")
    add("--output", type=Path, default=Path("benchmark"), metavar="FOLDER", help="for results and page (benchmark)")
    add("--only", metavar="NAME,...", help=f"take part: {', '.join(CONTENDERS)}; {REFERENCE} always does")
    add(
        "--environments",
        type=Path,
        default=ROOT / ".benchmark-envs",
        metavar="FOLDER",
        help="where the contenders are installed, and their models kept (.benchmark-envs beside this package)",
    )
    add(
        "--bundle",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help=f"use a bundle that exists as {', '.join(BUNDLES)}",
    )
    add("--checkpoint", type=Path, default=CHECKPOINT, metavar="FOLDER", help="what everybody runs (the carried one)")
    add("--calibration", type=Path, default=QUESTIONS, metavar="FILE", help="for INT8, everybody's (the carried one)")
    add("--threads", type=int, default=min(2, usable_threads()), metavar="N", help="cores and threads, each (2)")
    add("--sittings", type=int, default=2, metavar="N", help="ask everything so often, by new processes (2)")
    add("--turn", type=int, default=10, metavar="N", help="questions a contender answers before the next (10)")
    add(
        "--starts",
        type=int,
        default=9,
        metavar="N",
        help="fresh processes of each, of quick ones three times as many (9)",
    )
    add("--bulk", type=int, default=100, metavar="N", help="questions in bulk (100)")
    add("--capped", type=int, default=100, metavar="N", help="questions for each instruction set (100)")
    add("--no-published-size", action="store_true", help="spare the download of torch with CUDA, only to be measured")
    add("--fresh", action="store_true", help="measure everything again; installed environments and models are kept")
    return parser
