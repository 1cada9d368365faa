"""What the recogniser found, in sentences and in the rows that every report shows."""

from collections import Counter
from collections.abc import Iterator, Sequence

from converters.inspection.recognition import LayerReport, Recognition, TensorReport
from converters.inspection.zero_patterns import ONE_BY_FOUR, TILE, ZeroPattern

WORTH_A_WORD = 0.01  # zeros below this share of all weights are not written about


def read_aloud(found: Recognition, *, amx: bool) -> tuple[str, ...]:
    """Return a short reading of what was found. amx: whether this CPU has OpenVINO's sparse path."""
    notes = (f"{note}." for note in found.notes)
    return (*_structure(found), *_patterns(found), *_gain(found), *_remaining(found, amx=amx), *notes)


def percent(share: float) -> str:
    """0.8 as "80.0 %"; 0 and 100 only for what is exactly that."""
    if 0 < share < 0.0005:
        return "<0.1 %"
    if 0.9995 <= share < 1:
        return ">99.9 %"
    return f"{share:.1%}".replace("%", " %")


def giga(multiply_adds: int) -> str:
    """Multiply-adds in thousand millions, or with three digits where they are fewer."""
    return f"{multiply_adds / 1e9:.2f} G" if multiply_adds >= 1e8 else f"{multiply_adds / 1e6:.3g} M"


def times(before: int, after: int) -> str:
    """How many times fewer, such as "2.31x"."""
    return f"{before / after:.2f}x" if after else "-"


def layer_rows(found: Recognition) -> Iterator[tuple[str, ...]]:
    """Yield (heads, dead heads, feed-forward neurons kept, zeros) for each layer."""
    for layer in found.layers:
        blocks = Counter(f"{block.kept} of {block.original or block.width}" for block in layer.feed_forwards)
        kept = " + ".join(words if times == 1 else f"{times} x {words}" for words, times in blocks.items())
        heads = f"{layer.heads} of {layer.heads_original}"
        zeros = percent(layer.zeros / layer.weights) if layer.weights else "no weights"
        yield heads, str(len(layer.dead)), kept or "none", zeros


def tensor_row(tensor: TensorReport) -> tuple[str, ...]:
    """Return (name, shape, zeros, zero 4x1, zero 1x4, zero tiles, zero rows and columns, pattern)."""
    zeros = tensor.zeros
    shares = (zeros.sparsity, zeros.zero_quads_out, zeros.zero_quads_in, zeros.zero_tiles)
    lines = f"{zeros.zero_rows} / {zeros.zero_columns}"
    return tensor.name, "x".join(map(str, zeros.shape)), *map(percent, shares), lines, zeros.name


TENSOR_HEADERS = (
    "matrix",
    "outputs x inputs",
    "zeros",
    "zero groups, 4 outputs",
    "zero groups, 4 inputs",
    f"zero {TILE}x{TILE} tiles",
    "zero rows / columns",
    "pattern",
)


def _structure(found: Recognition) -> Iterator[str]:
    layers = found.layers
    heads, original = sum(layer.heads for layer in layers), sum(layer.heads_original for layer in layers)
    if found.kinds == ("dense",):
        yield "The weights are dense: nothing was pruned."
    if heads < original:
        yield f"{original - heads} of {original} attention heads are gone from the weights, {heads} are left."
    dead, mixing = (sum(len(getattr(layer, name)) for layer in layers) for name in ("dead", "mixing"))
    if dead:
        yield (
            f"{_count(dead, 'head')} still there {_have(dead)} all-zero values or all-zero output columns: such a head "
            "adds at most a constant, and compaction removes it without changing any answer."
        )
    if mixing:
        yield (
            f"{_count(mixing, 'head')} {_have(mixing)} all-zero queries or keys but live values: such a head still "
            "mixes the tokens, evenly or by its biases, so compaction keeps it."
        )
    yield from _neurons(layers)


def _neurons(layers: Sequence[LayerReport]) -> Iterator[str]:
    blocks = [block for layer in layers for block in layer.feed_forwards]
    width, kept = sum(block.width for block in blocks), sum(block.kept for block in blocks)
    original = sum(max(block.width, block.original or 0) for block in blocks)
    if width < original:
        yield f"The feed-forward blocks hold {width} of the {original} neurons that config.json speaks of."
    if kept < width:
        yield (
            f"Of {width} feed-forward neurons {kept} have weights on both sides; the other {width - kept} add "
            "nothing or a constant, and compaction removes them without changing any answer."
        )
    if any(block.padded for block in blocks):
        yield (
            "The zero neurons stand at the end of their blocks and have no bias: narrowed blocks that were filled up "
            'with zeros to a common width ("hybrid-filled").'
        )


def _patterns(found: Recognition) -> Iterator[str]:
    """One sentence for each pattern of zeros that makes up a notable part of the weights."""
    groups: dict[str, list[ZeroPattern]] = {}
    for tensor in found.tensors:
        if not tensor.table and tensor.zeros.verdict in ("blocks", "unstructured", "irregular"):
            groups.setdefault(tensor.zeros.name, []).append(tensor.zeros)
    for name, members in groups.items():
        zeros = sum(member.zeros for member in members)
        if sum(member.inner_zeros for member in members) < WORTH_A_WORD * found.weights:
            continue
        share = zeros / sum(member.shape[0] * member.shape[1] for member in members)
        where = f"In {_count(len(members), 'matrix', 'matrices')} {percent(share)} of the weights are zero"
        if members[0].block == ONE_BY_FOUR:
            along, across = (_mean(members, field) for field in ("zero_quads_out", "zero_quads_in"))
            yield (
                f"{where}, in aligned groups of 4 outputs x 1 input (1x4): {percent(along)} of these groups are zero "
                f"as a whole, where chance would give {percent(share**4)}; of groups of 4 inputs it is "
                f"{percent(across)}."
            )
        elif members[0].verdict == "blocks":
            tiles = _mean(members, "zero_tiles")
            yield f"{where}, in aligned {name}; {percent(tiles)} of all {TILE}x{TILE} tiles are zero as a whole."
        else:
            yield f"{where}, without a block pattern ({name})."


def _mean(members: Sequence[ZeroPattern], field: str) -> float:
    """The mean of a share over matrices, weighted by their sizes."""
    sizes = [member.shape[0] * member.shape[1] for member in members]
    return sum(float(getattr(member, field)) * size for member, size in zip(members, sizes, strict=True)) / sum(sizes)


def _gain(found: Recognition) -> Iterator[str]:
    parts = [
        f"{giga(gain.before)} to {giga(gain.after)} at {gain.tokens} tokens ({times(gain.before, gain.after)})"
        for gain in found.gains
        if gain.after < gain.before
    ]
    if parts:
        yield f"Compaction, which is exact, takes the multiply-adds from {', and '.join(parts)}."
    else:
        yield "Compaction finds no head and no neuron to remove."


def _in_quads(found: Recognition) -> bool:
    """Whether most of the zeros lie in blocks that the native engine skips: multiples of 4 outputs, in aligned places.

    Tables are not multiplied.
    """
    linear = [tensor.zeros for tensor in found.tensors if not tensor.table]
    zeros = sum(one.zeros for one in linear)
    return 2 * sum(one.zeros for one in linear if one.block[0] % 4 == 0) > zeros


def _remaining(found: Recognition, *, amx: bool) -> Iterator[str]:
    zeros = sum(remainder.zeros for remainder in found.remaining)
    if zeros < WORTH_A_WORD * found.weights:
        return
    share = zeros / found.weights_after
    yield (
        f"That leaves {percent(share)} of the weights at zero, and no dense kernel can use that: it multiplies by zero "
        "as by any other number."
    )
    path = "OpenVINO's own sparse path needs a CPU with AMX"
    if amx:
        yield f"{path}; this one has it, so a gain is possible, but only a measurement can tell."
    else:
        yield f"{path}, which this one has not: no gain in speed is to be expected from these zeros with OpenVINO here."
    if _in_quads(found):
        yield (
            "The native engine skips aligned 4x1 blocks of zeros in a packed bundle (edge-qa pack-native) where fewer "
            "than 60 % of a matrix's blocks are left; edge-qa bench --engine native measures what that gains here."
        )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"
