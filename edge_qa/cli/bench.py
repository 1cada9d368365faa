"""edge-qa bench: how fast bundles start and answer on this machine, and what they need."""

from dataclasses import asdict
from pathlib import Path

import click

from edge_qa.bench.bench import bench as run_bench
from edge_qa.bench.page import bench_page
from edge_qa.bench.report import BenchReport, BundleBench, Timing, describe_machine, warning
from edge_qa.cli.app import echo_json
from edge_qa.cli.options import budgets_option, engine_option
from edge_qa.cli.parameters import PATH
from edge_qa.cli.progress import progress_bars
from edge_qa.files import check_file, write_file
from edge_qa.inference.engine_choice import EngineName


def _lengths(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    words = [word.strip() for word in value.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise click.BadParameter(f"got {value!r}, wanted token counts such as 32,128,384")
    return tuple(int(word) for word in words)


@click.command()
@click.argument("bundles", nargs=-1, required=True, type=PATH, metavar="BUNDLE...")
@click.option(
    "--lengths",
    callback=_lengths,
    metavar="N,N,...",
    help="Time inputs of these true lengths in tokens; by default those of 32,64,128,256,384 that the "
    "bundles take, and none with --data.",
)
@click.option(
    "--data",
    type=PATH,
    help="Time the questions of this SQuAD file (.json, .json.gz) or of these JSON lines; made-up texts by default.",
)
@click.option(
    "--questions",
    type=click.IntRange(min=1),
    metavar="N",
    help="Time this many questions; by default 20 of each length, or 200 of --data.",
)
@click.option(
    "--repeat", type=click.IntRange(min=1), default=5, show_default=True, help="Ask each question this many times."
)
@click.option(
    "--starts",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="Start this many fresh processes for the cold start.",
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Use this many cores; all that this process may use by default."
)
@budgets_option
@engine_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Make the texts with this seed.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of text.")
@click.option(
    "--html",
    type=PATH,
    metavar="FILE",
    help="Write a page with tables and a plot to this file; none by default.",
)
@click.option("--force", is_flag=True, help="Replace the page if it exists; it is refused by default.")
def bench(
    bundles: tuple[Path, ...],
    lengths: tuple[int, ...] | None,
    data: Path | None,
    questions: int | None,
    repeat: int,
    starts: int,
    threads: int | None,
    budgets: tuple[str, ...],
    engine: EngineName,
    seed: int,
    as_json: bool,
    html: Path | None,
    force: bool,
) -> None:
    """Time each BUNDLE on this machine: cold start, latency by length, questions per second, memory.

    Several bundles take turns, so that their times compare.
    """
    if html is not None:
        check_file(html, force=force, sources=[*bundles, *([] if data is None else [data])])
    report = run_bench(
        bundles,
        lengths=lengths,
        data=data,
        questions=questions,
        repeat=repeat,
        starts=starts,
        threads=threads,
        budgets=budgets,
        engine=engine,
        seed=seed,
        progress=progress_bars(),
    )
    if html is not None:
        write_file(html, bench_page(report))
    if as_json:
        echo_json(asdict(report))
    else:
        click.echo("\n".join(_text(report)))


def _text(report: BenchReport) -> list[str]:
    """The report for human eyes."""
    width = max(6, *(len(result.name) for result in report.bundles))
    lines = describe_machine(report)
    said = warning(report)
    if said:
        lines.append(f"warning: {said}")
    if report.bundles[0].start is not None:
        lines += _starts(report.bundles, width)
    for index, timing in enumerate(report.bundles[0].timings):
        lines += ["", *_timings(timing, [(result.name, result.timings[index]) for result in report.bundles], width)]
    return lines


def _starts(results: tuple[BundleBench, ...], width: int) -> list[str]:
    lines = [
        "",
        f"cold start, ms (the median of {results[0].starts} processes) and peak memory, MB",
        f"{'bundle':{width}}  {'total':>6}  {'python':>6} {'import':>6} {'hash':>6} {'token.':>6} {'compile':>7} "
        f"{'answer':>6}  {'memory':>6} {'every length':>12}",
    ]
    for result in results:
        start = result.start
        assert start is not None
        lines.append(
            f"{result.name:{width}}  {start.total_ms:6.0f}  {start.interpreter_ms:6.0f} {start.imports_ms:6.0f} "
            f"{start.hash_ms:6.0f} {start.tokenizer_ms:6.0f} {start.compile_ms:7.0f} {start.first_answer_ms:6.0f}  "
            f"{_megabytes(result.peak_bytes):>6} {_megabytes(result.every_length_peak_bytes):>12}"
        )
    return lines


def _timings(first: Timing, rows: list[tuple[str, Timing]], width: int) -> list[str]:
    lines = [
        f"{first.workload}: {first.questions} questions, {first.samples} samples, ms a question",
        f"{'bundle':{width}}  {'p50':>7} {'p90':>7} {'p99':>7}  {'mean':>7} = {'token.':>6} + {'infer.':>7} + "
        f"{'spans':>6}  {'bulk/s':>7}  {'speed':>6}",
    ]
    for name, timing in rows:
        whole = timing.end_to_end
        lines.append(
            f"{name:{width}}  {whole.p50_ms:7.2f} {whole.p90_ms:7.2f} {whole.p99_ms:7.2f}  {whole.mean_ms:7.2f} = "
            f"{timing.tokenize.mean_ms:6.2f} + {timing.inference.mean_ms:7.2f} + {timing.spans.mean_ms:6.2f}  "
            f"{timing.questions_per_second:7.1f}  {timing.speed:5.2f}x"
        )
    if first.tokens is None:
        lines += [
            f"{name}: {timing.mean_windows:.2f} windows a question, {timing.mean_tokens:.0f} tokens a window, "
            f"run as {timing.mean_run_tokens:.0f}"
            for name, timing in rows
        ]
    return lines


def _megabytes(amount: int | None) -> str:
    return "-" if amount is None else f"{amount / 1e6:.0f}"
