"""How the masks of a raw training checkpoint are made: what sparse_args.json records, or the caller says."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.checkpoints.checkpoint import Checkpoint, read_json
from converters.pruned_checkpoints.mask_scores import MASK_METHODS, MaskRule
from edge_qa.errors import CheckpointError

SETTINGS_FILE = "sparse_args.json"
OPTIONS = "give `mask_method` and `mask_threshold`"
# Name endings of everything that such a training adds to a linear layer or a norm.
ADDED = re.compile(r"\.(mask_scores|accumulator|out_scale|global_topK_threshold|mask_module\..+|ampere_module\..+)$")
_LEAST = 0.005


@dataclass(frozen=True)
class PruningSettings:
    """How the masks of a checkpoint are made. A rule of None means that those layers were not pruned.

    dense_block: rows and columns that share a score where rows and columns are scored on their own.
    bias: True if a row that is masked as a whole loses its bias too; None if nobody says.
    attention_output_dense: the attention's output layer is pruned as the feed-forward layers are.
    relu: the training went from GELU to ReLU.
    """

    attention: MaskRule | None
    dense: MaskRule | None
    dense_block: tuple[int, int] = (1, 1)
    ampere: str | None = None
    bias: bool | None = None
    attention_output_dense: bool = True
    relu: bool = False

    def as_options(self) -> dict[str, str]:
        """The settings as the lineage records them."""
        rules = {"mask_attention": self.attention, "mask_dense": self.dense}
        found = {name: f"{rule.method} {rule.threshold:g}" for name, rule in rules.items() if rule is not None}
        if self.ampere:
            found["mask_ampere"] = self.ampere
        if found and self.bias is not None:
            found["mask_bias"] = str(self.bias).lower()
        return found


def pruning_settings(
    checkpoint: Checkpoint,
    *,
    mask_method: str | None = None,
    mask_threshold: float | None = None,
    mask_bias: bool | None = None,
) -> PruningSettings | None:
    """Find out how a raw checkpoint is to be masked; None for a plain one.

    mask_method, mask_threshold, mask_bias: what the caller says, which goes before what is recorded.
    Raises CheckpointError if neither says it, or if there is nothing to mask.
    """
    file = checkpoint.path / SETTINGS_FILE
    recorded = read_json(file) if file.is_file() else {}
    relu = recorded.get("gelu_patch") is True
    scores = sorted(name for name in checkpoint.tensors if "mask_scores" in name)
    if not scores:
        if (mask_method, mask_threshold, mask_bias) != (None, None, None):
            raise CheckpointError(
                "holds no mask scores",
                where=checkpoint.path,
                remedy="leave out `mask_method` and its like",
            )
        added = any(ADDED.search(name) for name in checkpoint.tensors)
        return PruningSettings(None, None, relu=relu) if added or relu else None
    method = mask_method or checkpoint.config.get("pruning_method")
    if not recorded and method is None:
        raise CheckpointError(
            f"holds {len(scores)} tensors of mask scores ({scores[0]}) and no {SETTINGS_FILE} that says how "
            "they become masks",
            where=checkpoint.path,
            remedy=OPTIONS,
        )
    _check_recorded(file, recorded, mask_threshold)
    threshold = recorded.get("final_threshold") if mask_threshold is None else mask_threshold
    where = str(file if recorded else checkpoint.path)

    def rule(key: str) -> MaskRule | None:
        return _rule(where, key, method or recorded.get(key), threshold, recorded.get("linear_min_parameters", _LEAST))

    bias = mask_bias
    if bias is None and recorded:
        bias = recorded.get("bias_mask") is True
    if bias is None and not any("mask_module" in name for name in scores):
        bias = False  # movement pruning's own code never masks a bias
    ampere = recorded.get("ampere_pruning_method", "disabled")
    return PruningSettings(
        attention=rule("attention_pruning_method"),
        dense=rule("dense_pruning_method"),
        dense_block=(_block(where, recorded, "dense_block_rows"), _block(where, recorded, "dense_block_cols")),
        ampere=None if ampere == "disabled" else str(ampere),
        bias=bias,
        attention_output_dense=recorded.get("attention_output_with_dense", True) is True,
        relu=relu,
    )


def _check_recorded(file: Any, recorded: dict[str, Any], mask_threshold: float | None) -> None:
    """Raise CheckpointError for what sparse_args.json only refers to."""
    if recorded.get("rewind_model_name_or_path") is not None:
        raise CheckpointError(
            "rewind_model_name_or_path lets another model's heads through the masks, and that model is not here",
            where=file,
            remedy="compile the model with nn_pruning first",
        )
    if mask_threshold is None and recorded.get("eval_with_current_patch_params") is True:
        raise CheckpointError(
            "eval_with_current_patch_params takes the threshold from a schedule that is not recorded",
            where=file,
            remedy="give `mask_threshold`",
        )


def _rule(where: str, key: str, method: Any, threshold: Any, least: Any) -> MaskRule | None:
    name = str(method).split(":")[0]  # after the colon: how scores are laid out, which their shapes tell
    if name == "disabled":
        return None
    if name not in MASK_METHODS:
        raise CheckpointError(
            f"{key} {method!r} is not known", where=where, remedy=f"{OPTIONS}, one of {', '.join(MASK_METHODS)}"
        )
    if name == "l0":
        threshold = 0.0
    if not _is_number(threshold):
        raise CheckpointError(
            f"final_threshold: got {threshold!r}", where=where, wanted="a number", remedy="give `mask_threshold`"
        )
    if not _is_number(least) or not 0 <= least <= 1:
        raise CheckpointError(f"linear_min_parameters: got {least!r}", where=where, wanted="a share, 0 to 1")
    return MaskRule(name, float(threshold), float(least))  # type: ignore[arg-type]


def _block(where: str, recorded: dict[str, Any], key: str) -> int:
    value = recorded.get(key, 1)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(f"{key}: got {value!r}", where=where, wanted="a whole number of at least 1")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
