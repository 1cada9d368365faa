"""Decide the shapes of an imported model: free where the graph computes the same, else as they came."""

from dataclasses import dataclass, replace

import numpy as np

from converters.importing.compare import (
    Inputs,
    Limits,
    Logits,
    Runner,
    expected_logits,
    largest_difference,
    random_inputs,
    run_adapted,
    run_as_found,
    seeded_inputs,
    without_quantizers,
)
from converters.importing.free_axes import free_axes
from converters.importing.model_file import one_line
from converters.importing.roles import Roles
from converters.importing.survey import is_quantized
from converters.verification.verify import TOLERANCE, relative_difference
from edge_qa._openvino import ov
from edge_qa.errors import CheckpointError


@dataclass(frozen=True, eq=False)
class Shaped:
    """A model with the shapes that its bundle will have.

    batch, tokens: its fixed sizes, None where free. longest: the most tokens it takes.
    inputs, expected: what the bundle must compute. difference: between this graph and the model as
    it came, relative to max(1, largest |logit|).
    """

    model: "ov.Model"
    batch: int | None
    tokens: int | None
    longest: int
    inputs: list[Inputs]
    expected: list[Logits]
    difference: float
    notes: tuple[str, ...]


def choose_shape(
    found: "ov.Model", adapted: "ov.Model", roles: Roles, limits: Limits, *, keep: bool, where: str
) -> Shaped:
    """Free both axes of `adapted`, or only its tokens, if the logits stay those of `found`; else leave it.

    keep: leave it in any case. Raises CheckpointError if the model does not run, or only in batches.
    """
    shaped = _run_original(found, adapted, roles, limits, where)
    reason = ""
    for batch in () if keep else _candidates(shaped):
        freed, reason = _try_free(found, shaped, roles, limits, batch=batch)
        if freed is not None:
            return freed
    if shaped.batch not in (1, None):
        raise CheckpointError(
            f"takes batches of {shaped.batch} only", where=where, remedy="export it with a batch of 1 or any"
        )
    if reason and shaped.tokens is not None:
        note = f"kept at {shaped.tokens} tokens, to which every input is padded: with its axes freed the graph {reason}"
        return replace(shaped, notes=(note,))
    return shaped


# No function here keeps more than one compiled model: each holds its own copy of the weights.


def _run_original(found: "ov.Model", adapted: "ov.Model", roles: Roles, limits: Limits, where: str) -> Shaped:
    """Return `adapted` with the shapes it came with, and what the model as it came computes."""
    try:
        original = run_as_found(found, roles)
    except RuntimeError as error:
        raise CheckpointError(f"OpenVINO cannot compile it for this CPU ({one_line(error)})", where=where) from None
    longest = min(limits.longest, original.tokens or limits.longest)
    inputs = seeded_inputs(replace(limits, longest=longest))
    expected = expected_logits(original, inputs, where)
    return Shaped(adapted, original.batch, original.tokens, longest, inputs, expected, 0.0, ())


def _candidates(fixed: Shaped) -> tuple[bool, ...]:
    """Whether to free the batch axis, in the order to try; nothing where all is free."""
    if fixed.tokens is None:
        return () if fixed.batch is None else (True,)
    return (True,) if fixed.batch is None else (True, False)


def _try_free(
    found: "ov.Model", fixed: Shaped, roles: Roles, limits: Limits, *, batch: bool
) -> tuple[Shaped | None, str]:
    """Return the freed model, or None and what it does wrong."""
    # Rounding to 8 bits makes a whole step of a difference in the last digit, and the next layers more:
    # one and the same graph was seen to differ by some percent between fixed and free shapes, in 8 bits and
    # in floats that only imitate them. So what a changed shape does is judged without the rounding.
    quantized = is_quantized(found)
    try:
        freed = free_axes(fixed.model, 0, batch=batch)
        wanted = _run_all(run_as_found(without_quantizers(found), roles), fixed) if quantized else fixed.expected
        run = run_adapted(without_quantizers(freed.model) if quantized else freed.model, roles)
        difference = largest_difference(run, fixed.inputs, wanted)
        if not difference <= TOLERANCE:
            return None, f"gives logits that differ by {difference:.1e}"
        longest = fixed.longest if freed.cut else _measure_longest(run, limits, fixed.longest)
        del run
        notes = _freed_notes(fixed, longest, batch=batch)
        expected = fixed.expected
        if quantized:
            expected = _run_all(run_adapted(freed.model, roles), fixed)
            rounding = max(
                relative_difference(got, came, case["attention_mask"] > 0)
                for got, came, case in zip(expected, fixed.expected, fixed.inputs, strict=True)
            )
            notes += (
                f"without its 8-bit rounding the freed graph agrees with the model within {difference:.1e}; with it "
                f"by {rounding:.1e}, as small differences fall to either side of a rounding step",
            )
    except RuntimeError as error:
        return None, f"fails ({one_line(error)})"
    free_batch = None if batch else 1
    return Shaped(freed.model, free_batch, None, longest, fixed.inputs, expected, difference, notes), ""


def _run_all(run: Runner, fixed: Shaped) -> list[Logits]:
    return [run(case) for case in fixed.inputs]


def _measure_longest(run: Runner, limits: Limits, known: int) -> int:
    """Return `limits.longest` if the freed graph runs at it, else the length that is known to work."""
    if limits.longest <= known:
        return known
    inputs = random_inputs(limits, np.random.default_rng(0), 1, limits.longest, limits.longest)
    try:
        finite = all(np.isfinite(side).all() for side in run(inputs))
    except RuntimeError:
        return known
    return limits.longest if finite else known


def _freed_notes(fixed: Shaped, longest: int, *, batch: bool) -> tuple[str, ...]:
    rows = "any batch" if batch else "a batch of 1"
    if fixed.tokens is None:
        return (f"batch freed: it was {fixed.batch}, now {rows}",)
    return (f"shape freed: it was {fixed.batch or 'any'} x {fixed.tokens}, now {rows} x any length up to {longest}",)
