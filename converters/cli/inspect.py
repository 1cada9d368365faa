"""What `edge-qa inspect` shows of weights; loaded by it when that is asked for."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from converters.inspection.inspect import Inspection, inspect_bundle, inspect_checkpoint, zeros_only
from converters.inspection.page import inspection_page
from converters.inspection.plain_words import giga, layer_rows, percent, read_aloud, tensor_row, times
from converters.inspection.recognition import Recognition
from converters.inspection.weight_density import lost_zeros, weight_zeros
from edge_qa.bundle.bundle import Bundle
from edge_qa.files import check_file, write_file
from edge_qa.system.cpu import this_cpu

_TENSOR_HEADERS = ("matrix", "shape", "zeros", "4 out", "4 in", "32x32", "rows/cols", "pattern")


@dataclass(frozen=True)
class Shown:
    """data: everything, ready to become JSON. lines: the same in short, for human eyes. lost_zeros: how many."""

    data: dict[str, Any]
    lines: tuple[str, ...]
    lost_zeros: int = 0


def look(
    path: Path,
    bundle: Bundle | None,
    *,
    tensors: bool,
    page: Path | None,
    force: bool,
    against: Bundle | None = None,
    mask_method: str | None = None,
    mask_threshold: float | None = None,
    mask_bias: bool | None = None,
) -> Shown:
    """Look at the weights of the bundle, or of the checkpoint at `path`; write them to the HTML file `page`.

    tensors: a line for each matrix. force: replace `page` if it exists. mask_..: see `inspect_checkpoint`.
    against: say whether every zero of this bundle's weights is zero in `bundle`, too.
    """
    if page is not None:
        check_file(page, force=force, sources=[path, *([] if against is None else [against.path])])
    if bundle is None:
        seen = inspect_checkpoint(path, mask_method=mask_method, mask_threshold=mask_threshold, mask_bias=mask_bias)
    else:
        seen = inspect_bundle(bundle)
    amx = this_cpu().instruction_set == "amx"
    data: dict[str, Any] = {"source": seen.source, "tensors": [asdict(tensor) for tensor in seen.tensors]}
    lines: list[str] = []
    if seen.recognition is not None:
        data |= asdict(seen.recognition) | {"reading": read_aloud(seen.recognition, amx=amx)}
        lines += _summary(path, seen, seen.recognition, amx)
    else:
        lines += zeros_only(seen)
    if tensors:
        lines += ["", *_table([_TENSOR_HEADERS, *map(tensor_row, seen.tensors)], "lrrrrrrl")]
    lost: dict[str, int] = {}
    if bundle is not None and against is not None:
        zeros = {name: count for name, (count, _) in weight_zeros(against).items()}
        lost = lost_zeros(against, bundle)
        data["against"] = {"bundle": str(against.path), "zeros": zeros, "lost": lost}
        lines += ["", *_kept_zeros(against, zeros, lost)]
    if page is not None:
        content = inspection_page(seen, amx=amx)
        write_file(page, content)
        data["page"] = str(page)
        lines += ["", f"page: {page} ({len(content) / 1e3:.0f} kB)"]
    return Shown(data, tuple(lines), sum(lost.values()))


def _kept_zeros(against: Bundle, zeros: dict[str, int], lost: dict[str, int]) -> Iterator[str]:
    """Say how many zeros of each matrix of an earlier bundle are zero still."""
    total, gone = sum(zeros.values()), sum(lost.values())
    if not gone:
        yield f"zeros kept:           all {total:,} of {against.path}, in each of its {len(zeros)} matrices"
        return
    yield f"zeros LOST:           {gone:,} of {total:,} of {against.path}:"
    yield from (f"  {name}: {count:,} of {zeros[name]:,}" for name, count in lost.items() if count)


def _summary(path: Path, seen: Inspection, found: Recognition, amx: bool) -> Iterator[str]:
    heads, original = (sum(getattr(layer, name) for layer in found.layers) for name in ("heads", "heads_original"))
    facts = []
    if seen.source == "checkpoint":
        facts += [
            ("checkpoint", str(path)),
            ("family", found.family),
            ("layers", f"{len(found.layers)} of hidden size {found.hidden}"),
            ("parameters", f"{found.parameters / 1e6:.2f} M"),
        ]
    facts += [
        ("kind", found.kind),
        ("attention heads", f"{heads} of {original}"),
        ("matrix weights", f"{found.weights / 1e6:.2f} M, {percent(found.zeros / found.weights)} zero"),
    ]
    for gain in found.gains:
        gained = (
            f", {giga(gain.after)} compacted ({times(gain.before, gain.after)})" if gain.after < gain.before else ""
        )
        facts.append(
            ("multiply-adds", f"{giga(gain.before)} ({giga(2 * gain.before)}Ops) at {gain.tokens} tokens{gained}")
        )
    yield from (f"{name + ':':22}{value}" for name, value in facts)
    yield ""
    yield from read_aloud(found, amx=amx)
    yield ""
    headers = ("layer", "heads", "dead", "FFN neurons", "zeros")
    yield from _table([headers, *_runs(list(layer_rows(found)))], "lrrrr")


def _runs(rows: Sequence[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Number the rows, and say what is the same in layer after layer only once."""
    begin = 0
    for row, same in itertools.groupby(rows):
        end = begin + len(list(same)) - 1
        yield (str(begin) if begin == end else f"{begin}-{end}", *row)
        begin = end + 1


def _table(rows: Sequence[Sequence[str]], align: str) -> Iterator[str]:
    """Lines of columns. align: one letter a column, l or r."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, align, strict=True)
        yield "  ".join(cell.ljust(width) if side == "l" else cell.rjust(width) for cell, width, side in cells).rstrip()
