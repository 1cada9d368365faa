"""Prove that a model file computes what its Encoder says, on inputs drawn from a fixed seed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.model.encoder import Encoder
from converters.verification.reference import reference_logits
from edge_qa.errors import VerificationError
from edge_qa.inference.engine import Engine

TOLERANCE = 1e-4

# (batch, tokens, of them real in the shortest row): one token beside many, padded and not.
_CASES = ((1, 9, 9), (2, 48, 17), (1, 177, 177))


@dataclass(frozen=True)
class Verification:
    """Differences relative to max(1, largest |logit|).

    difference: the model file against the float32 reference with the stored weights.
    rounding: what storing the weights (float16) changed, on the same reference.
    """

    difference: float
    rounding: float
    inputs: int


@dataclass(frozen=True, eq=False)
class Expectation:
    """What a model must compute: inputs with the reference's logits, and what storing the weights changed."""

    cases: tuple[tuple[dict[str, NDArray[np.int64]], tuple[NDArray[np.float32], NDArray[np.float32]]], ...]
    rounding: float


def expect(stored: Encoder, original: Encoder) -> Expectation:
    """Run the numpy reference; afterwards the arrays of both encoders are no longer needed.

    stored, original: the encoder with the weights as stored, and as the checkpoint gave them.
    """
    cases = tuple((inputs, reference_logits(stored, inputs)) for inputs in seeded_inputs(stored, _CASES))
    inputs, logits = cases[1]
    real = inputs["attention_mask"].astype(bool)
    return Expectation(cases, relative_difference(logits, reference_logits(original, inputs), real))


def verify(engine: Engine, expected: Expectation, where: str) -> Verification:
    """Run the model beside what the reference computed; `where` names it in errors.

    Raises VerificationError if any logit differs by more than TOLERANCE.
    """
    worst = 0.0
    for inputs, logits in expected.cases:
        worst = max(worst, relative_difference(engine.run(inputs), logits, inputs["attention_mask"].astype(bool)))
    if not worst <= TOLERANCE:
        raise VerificationError(
            f"its logits differ from the reference by {worst:.2e} (relative)",
            where=where,
            wanted=f"at most {TOLERANCE:.0e}; nothing was written",
            remedy="please report this with the checkpoint's config.json",
        )
    return Verification(worst, expected.rounding, len(expected.cases))


def verify_compaction(before: Encoder, after: Encoder, *, exact: bool = True) -> float:
    """Return the largest relative difference of the logits of two encoders, by the numpy reference.

    Raises VerificationError if it is above TOLERANCE and `exact` says that it must not be.
    """
    worst = 0.0
    for inputs in seeded_inputs(before, _CASES[:2]):
        real = inputs["attention_mask"].astype(bool)
        got, wanted = reference_logits(after, inputs), reference_logits(before, inputs)
        worst = max(worst, relative_difference(got, wanted, real))
    if exact and not worst <= TOLERANCE:
        raise VerificationError(
            f"changed the logits by {worst:.2e} (relative)",
            where="compaction",
            wanted=f"at most {TOLERANCE:.0e}; nothing was written",
            remedy="convert without `compact`, and please report this",
        )
    return worst


def relative_difference(
    got: tuple[NDArray[np.float32], ...], wanted: tuple[NDArray[np.float32], ...], real: NDArray[np.bool_]
) -> float:
    """Largest difference over real tokens, relative to max(1, largest |wanted logit|); NaN counts as infinite."""
    worst = 0.0
    for g, w in zip(got, wanted, strict=True):
        difference = float(np.abs(g[real] - w[real]).max()) / max(1.0, float(np.abs(w[real]).max()))
        worst = max(worst, difference if np.isfinite(difference) else np.inf)
    return worst


def seeded_inputs(encoder: Encoder, cases: tuple[tuple[int, int, int], ...]) -> list[dict[str, NDArray[np.int64]]]:
    """Random ids of every (batch, tokens, shortest) case; rows get shorter down to `shortest`, the rest is padding."""
    random = np.random.default_rng(0)
    found = []
    for batch, tokens, shortest in cases:
        tokens, shortest = min(tokens, encoder.longest_input), min(shortest, encoder.longest_input)
        shape = (batch, tokens)
        lengths = np.linspace(tokens, shortest, batch).astype(np.int64)
        real = np.arange(tokens) < lengths[:, None]
        types = np.arange(tokens) >= tokens // 3 if encoder.token_types > 1 else np.zeros(tokens, bool)
        found.append(
            {
                "input_ids": random.integers(0, encoder.vocabulary, shape) * real,
                "attention_mask": real.astype(np.int64),
                "token_type_ids": np.broadcast_to(types, shape).astype(np.int64),
                "position_ids": np.broadcast_to(np.arange(tokens), shape).astype(np.int64),
            }
        )
    return found
