"""Architectures with no module of their own -> OpenVINO, traced through transformers: DeBERTa and the rest.

The one module of this package that imports torch and transformers. Nothing is downloaded, and no
code that came with a checkpoint is run.
"""

import contextlib
import inspect
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.checkpoints.checkpoint import Checkpoint
from converters.ir.storage import stored
from converters.torch_export.traced import compress_exactly, stabilise_traced
from edge_qa._openvino import ov, without_telemetry
from edge_qa.bundle.manifest import INPUT_ROLES, OUTPUT_ROLES
from edge_qa.errors import CheckpointError, missing_extra
from edge_qa.text.tokenizer import PairTemplate

without_telemetry()
try:
    import torch
    import transformers

    # OpenVINO's converter, which `edge_qa._openvino` keeps out of every process that only runs models.
    from openvino.tools.ovc import convert_model
except ModuleNotFoundError as error:
    raise missing_extra(error, "torch") from None

_logger = logging.getLogger(__name__)
_ops = ov.opset15

Inputs = dict[str, NDArray[np.int64]]
Logits = tuple[NDArray[np.float32], NDArray[np.float32]]

# The longest input, in tokens, of what is exported: some architectures attend in another way to
# longer ones, and what is promised is what is verified.
LONGEST = 512

# How the lines begin that torch and OpenVINO put around the one that says what went wrong.
_WRAPPING = ("Couldn't get TorchScript", "Exception", "FrontEnd API", "Model wasn't", "Check '", "While validating")


def torch_versions() -> dict[str, str]:
    """The tools that this module adds to those which decide a bundle's bytes."""
    return {"torch": torch.__version__, "transformers": transformers.__version__}


class TorchModel(torch.nn.Module):
    """A transformers model behind the four inputs of the contract.

    Position ids are accepted and ignored: every model counts them itself, from its own offset, and
    the contract has them count the same. family, vocabulary and the other sizes: as in the manifest.
    """

    def __init__(self, source: Checkpoint, template: PairTemplate) -> None:
        """Load a checkpoint. Raises CheckpointError with every problem at once."""
        super().__init__()
        self.source = source
        with _quiet():
            self.network = _load(source).eval()
        config = self.network.config
        self.family = str(config.model_type)
        self._takes = set(inspect.signature(self.network.forward).parameters)
        if not {"input_ids", "attention_mask"} <= self._takes:
            raise self.refusal("it takes no attention mask, so that padding would change its answers")
        self.layers = _whole(config, "num_hidden_layers")
        self.hidden = _whole(config, "hidden_size")
        try:
            self.vocabulary = int(self.network.get_input_embeddings().weight.shape[0])
        except (AttributeError, NotImplementedError):
            raise self.refusal("it has no table of word embeddings") from None
        if "token_type_ids" not in self._takes:
            self.token_types = 0
        elif (types := getattr(config, "type_vocab_size", None)) is not None:
            self.token_types = int(types)
        else:  # XLNet tells them apart without a table
            kinds = (*template.before_types, *template.between_types, *template.after_types)
            self.token_types = 1 + max((*kinds, template.question_type, template.context_type))
        self.longest_input = _longest_input(self.network)
        self.padding_id = _whole(config, "pad_token_id")

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor,
        position_ids: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the start and end logits, each (batch, tokens)."""
        types = {"token_type_ids": token_type_ids} if "token_type_ids" in self._takes else {}
        output = self.network(input_ids=input_ids, attention_mask=attention_mask, return_dict=True, **types)
        return output.start_logits, output.end_logits

    def logits(self, inputs: Inputs) -> Logits:
        """Run on the inputs of the contract, each (batch, tokens). Raises CheckpointError if torch cannot."""
        try:
            with _quiet(), torch.no_grad():
                start, end = self(**_tensors(inputs))
                return start.numpy(), end.numpy()
        except Exception as error:  # whatever a model of any architecture raises
            raise self.refusal(error) from None

    def round_to_storage(self) -> None:
        """Round every matrix to what a bundle stores, float16."""
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.copy_(torch.from_numpy(stored(parameter.numpy()).astype(np.float32)))

    def trace(self, inputs: Inputs) -> "ov.Model":
        """Return the four-input, two-output model of the contract; the values of `inputs` steer the trace.

        Raises CheckpointError if the architecture cannot be traced or converted.
        """
        try:
            with _quiet(), torch.no_grad():
                traced = convert_model(self, example_input=_tensors(inputs))
        except Exception as error:  # whatever torch, the model or OpenVINO raises
            raise self.refusal(error) from None
        found = {name: node for node in traced.get_parameters() for name in node.output(0).get_names()}
        parameters = []
        for role in INPUT_ROLES:
            parameter = found.get(role) or _ops.parameter(ov.PartialShape([-1, -1]), np.int64)
            parameter.set_friendly_name(role)
            parameter.output(0).set_names({role})
            parameters.append(parameter)
        results = traced.get_results()
        for role, result in zip(OUTPUT_ROLES, results, strict=True):
            result.set_friendly_name(f"{role}/result")
            result.input_value(0).set_names({role})
        model = ov.Model(results, parameters, "edge_qa")
        stabilise_traced(model)
        compress_exactly(model)
        return model

    def refusal(self, reason: Exception | str) -> CheckpointError:
        """The error to raise where the architecture turns out to be one that cannot be exported."""
        return CheckpointError(
            f"{self.family} cannot be exported through transformers ({_one_line(reason)})",
            where=self.source.path,
            remedy="use a model of another architecture",
        )


def _load(source: Checkpoint) -> "transformers.PreTrainedModel":
    try:
        network, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
            source.path,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            # The written-out attention, whose trace has no branch for masks that hide nothing.
            attn_implementation="eager",
            ignore_mismatched_sizes=True,  # reported below, all of them
            output_loading_info=True,
        )
    except Exception as error:  # whatever transformers raises on a folder it cannot use
        raise CheckpointError(
            f"transformers cannot load it as a question-answering model ({_one_line(error)})", where=source.path
        ) from None
    problems = [f"{name}: missing" for name in sorted(report["missing_keys"])]
    wanted = network.state_dict()
    problems += [
        f"{name}: got {_shape(source.tensors.get(name))}, wanted {_shape(wanted[name])}"
        for name in sorted(report["mismatched_keys"])
    ]
    problems += [
        f"{name}: holds values that are NaN or infinite, wanted finite numbers"
        for name, parameter in network.named_parameters()
        if not torch.isfinite(parameter).all()
    ]
    if problems:
        more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise CheckpointError(
            f"{'; '.join(problems[:20])}{more}",
            where=source.path,
            remedy="wanted a complete question-answering checkpoint",
        )
    if report["unexpected_keys"]:
        _logger.warning(
            "%s: tensors that the model does not have were left out: %s",
            source.path,
            ", ".join(sorted(report["unexpected_keys"])),
        )
    return network


def _longest_input(network: "torch.nn.Module") -> int:
    """The most tokens that the model has positions for, and LONGEST at most."""
    for name, module in network.named_modules():
        if name.endswith("position_embeddings") and hasattr(module, "padding_idx"):
            # A padding row means that positions are counted from behind it, as RoBERTa's are.
            before = 0 if module.padding_idx is None else module.padding_idx + 1
            return min(LONGEST, int(module.weight.shape[0]) - before)
    limit = _whole(network.config, "max_position_embeddings")
    return min(LONGEST, limit) if limit is not None and limit > 0 else LONGEST


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers and the tracer from writing to the terminal; what they warn of is verified afterwards."""
    level, bars = transformers.logging.get_verbosity(), transformers.utils.logging.is_progress_bar_enabled()
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    # A conversion that fails leaves the root logger at ERROR, where the caller's own warnings are lost.
    root = logging.getLogger()
    root_level = root.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(root_level)
        transformers.logging.set_verbosity(level)
        if bars:
            transformers.utils.logging.enable_progress_bar()


def _tensors(inputs: Inputs) -> dict[str, torch.Tensor]:
    return {role: torch.from_numpy(np.ascontiguousarray(inputs[role])) for role in INPUT_ROLES}


def _whole(config: Any, key: str) -> int | None:
    value = getattr(config, key, None)
    return value if isinstance(value, int) else None


def _shape(tensor: Any) -> str:
    return "another shape" if tensor is None else "x".join(map(str, tensor.shape)) or "a scalar"


def _one_line(reason: Exception | str) -> str:
    """The line that says most: torch and OpenVINO wrap what went wrong into several."""
    lines = [line.strip(" -") for line in str(reason).splitlines()]
    lines = [line for line in lines if line and not line.startswith(_WRAPPING)]
    summary = [line for line in lines if line.startswith("Conversion is failed for")]
    line = [*summary, *lines, type(reason).__name__][0]
    return line if len(line) <= 200 else f"{line[:197]}..."
