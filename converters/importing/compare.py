"""Run a foreign model as it came, beside what was made of it, on inputs drawn from a fixed seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.importing.model_file import one_line
from converters.importing.roles import FoundOutput, Roles
from converters.verification.verify import relative_difference
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.manifest import INPUT_ROLES, OUTPUT_ROLES
from edge_qa.errors import CheckpointError, VerificationError
from edge_qa.system.cpu import this_cpu

Inputs = dict[str, NDArray[np.int64]]
Logits = tuple[NDArray[np.float32], NDArray[np.float32]]
Run = Callable[[Inputs], Logits]

# (batch, tokens, of them real in the shortest row), cut down to what the model takes.
_CASES = ((1, 9, 9), (2, 48, 17), (1, 177, 177), (1, 384, 384), (1, 384, 130))


@dataclass(frozen=True)
class Limits:
    """What a model takes: ids below `vocabulary`, types below `token_types`, at most `longest` tokens."""

    vocabulary: int
    token_types: int
    longest: int


class Runner:
    """A compiled model whose inputs are (batch, tokens), whatever their names, types and fixed sizes."""

    def __init__(self, model: "ov.Model", inputs: Mapping[str, int], outputs: list[FoundOutput]) -> None:
        """inputs: the number of the input that plays a role. outputs: start and end.

        Raises RuntimeError, OpenVINO's own.
        """
        # As the engine compiles a bundle: other threads could add in another order, and round to other steps.
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": this_cpu().threads,
            "CPU_DENORMALS_OPTIMIZATION": False,
        }
        compiled = this_core().compile_model(model, "CPU", settings)
        self._request = compiled.create_infer_request()
        self._inputs = dict(inputs)
        self._types = [port.get_element_type().to_dtype() for port in model.inputs]
        self._outputs = outputs
        shape = model.inputs[inputs["input_ids"]].get_partial_shape()
        self.batch, self.tokens = (None if axis.is_dynamic else int(axis.get_length()) for axis in shape)

    def __call__(self, inputs: Inputs) -> Logits:
        """Return start and end logits (batch, tokens); a fixed length is padded to, a fixed batch run row by row."""
        rows, tokens = inputs["input_ids"].shape
        filled = pad(inputs, self.tokens or tokens)
        if self.batch is None:
            start, end = self._infer(filled)
        else:
            halves = []
            for row in range(rows):
                one = {role: np.repeat(array[row : row + 1], self.batch, 0) for role, array in filled.items()}
                halves.append([half[:1] for half in self._infer(one)])
            start, end = (np.concatenate(side) for side in zip(*halves, strict=True))
        if start.shape != filled["input_ids"].shape or end.shape != start.shape:
            raise RuntimeError(f"gives logits {start.shape} and {end.shape} for {filled['input_ids'].shape} tokens")
        return start[:, :tokens], end[:, :tokens]

    def _infer(self, inputs: Inputs) -> list[NDArray[np.float32]]:
        bound = {index: inputs[role].astype(self._types[index]) for role, index in self._inputs.items()}
        results = self._request.infer(bound, share_inputs=False, share_outputs=False)
        whole = [results[entry.index].astype(np.float32) for entry in self._outputs]
        return [
            array if entry.half is None else array[..., entry.half]
            for array, entry in zip(whole, self._outputs, strict=True)
        ]


def run_as_found(model: "ov.Model", roles: Roles) -> Runner:
    """The runner of a model as it came. Half-precision outputs are read before they are rounded to it."""
    wide = model.clone()
    for result in wide.get_results():
        if result.get_element_type() != ov.Type.f32 and result.get_element_type().is_real():
            result.input(0).replace_source_output(ov.opset15.convert(result.input_value(0), "f32").output(0))
    wide.validate_nodes_and_infer_types()
    outputs = [roles.outputs[role] for role in OUTPUT_ROLES]
    return Runner(wide, {role: found.index for role, found in roles.inputs.items()}, outputs)


def run_adapted(model: "ov.Model", roles: Roles) -> Runner:
    """The runner of a model whose inputs and outputs are in the contract's order."""
    outputs = [FoundOutput(index, None, "") for index in range(2)]
    return Runner(model, {role: index for index, role in enumerate(roles.inputs)}, outputs)


def pad(inputs: Inputs, tokens: int) -> Inputs:
    """Append padding up to `tokens` tokens; the positions go on."""
    extra = tokens - inputs["input_ids"].shape[1]
    padded = {role: np.pad(array, ((0, 0), (0, extra))) for role, array in inputs.items()}
    padded["position_ids"] = np.broadcast_to(np.arange(tokens), padded["input_ids"].shape)
    return padded


def seeded_inputs(limits: Limits) -> list[Inputs]:
    """Return random inputs of the contract of several lengths, padded and not."""
    random = np.random.default_rng(0)
    cases = {(batch, min(tokens, limits.longest), min(real, limits.longest)) for batch, tokens, real in _CASES}
    return [random_inputs(limits, random, *case) for case in sorted(cases)]


def random_inputs(limits: Limits, random: np.random.Generator, batch: int, tokens: int, shortest: int) -> Inputs:
    """Random ids, the rows getting shorter down to `shortest`, the rest padding; the last two thirds are context."""
    real = np.arange(tokens) < np.linspace(tokens, shortest, batch).astype(np.int64)[:, None]
    if batch == 1:
        real = np.arange(tokens)[None] < shortest
    types = (np.arange(tokens) >= tokens // 3) & real & (limits.token_types > 1)
    ids = random.integers(0, limits.vocabulary, (batch, tokens)) * real
    positions = np.broadcast_to(np.arange(tokens), ids.shape)
    arrays = (ids, real, types, positions)
    return {role: array.astype(np.int64) for role, array in zip(INPUT_ROLES, arrays, strict=True)}


def expected_logits(original: Run, inputs: list[Inputs], where: str) -> list[Logits]:
    """Run the model as it came. Raises CheckpointError if it cannot run or gives what is not finite."""
    found = []
    for case in inputs:
        tokens = case["input_ids"].shape[1]
        try:
            logits = original(case)
        except RuntimeError as error:
            raise CheckpointError(
                f"fails on an input of {tokens} tokens, which its own shapes allow ({one_line(error)})",
                where=where,
                remedy="export it again with both axes dynamic, or with one fixed length",
            ) from None
        if not all(np.isfinite(side[case["attention_mask"] > 0]).all() for side in logits):
            raise CheckpointError(
                "gives logits that are not finite", where=where, remedy="download or export the model again"
            )
        found.append(logits)
    return found


def largest_difference(candidate: Run, inputs: list[Inputs], expected: list[Logits]) -> float:
    """The largest difference of a real token's logits, relative to max(1, largest |logit|)."""
    return max(
        relative_difference(candidate(case), wanted, case["attention_mask"] > 0)
        for case, wanted in zip(inputs, expected, strict=True)
    )


def without_quantizers(model: "ov.Model") -> "ov.Model":
    """A copy whose FakeQuantize nodes pass everything on: the same graph in floating point."""
    bare = model.clone()
    for node in bare.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            node.output(0).replace(node.input_value(0))
    bare.validate_nodes_and_infer_types()
    return bare


def check(difference: float, tolerance: float, where: str) -> None:
    """Raise VerificationError if a difference is too large."""
    if not difference <= tolerance:
        raise VerificationError(
            f"the bundle's logits differ from the model's own by {difference:.2e} (relative)",
            where=where,
            wanted=f"at most {tolerance:.0e}; nothing was written",
            remedy="please report this with the model",
        )
