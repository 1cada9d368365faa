"""Make bundles and checkpoints smaller and faster, and say what it cost.

Public names are loaded on first use; everything below this package's root is private and may change.
"""

import logging
from typing import TYPE_CHECKING

from edge_qa.lazy_names import lazy_names

if TYPE_CHECKING:
    from calibration.confidence.calibrate import ConfidenceFit, calibrate_confidence
    from calibration.confidence.options import ConfidenceOptions
    from calibration.quantization.options import AccuracyGate, QuantizationOptions
    from calibration.quantization.quantize import quantize
    from calibration.quantization.recipes import QuantizationRecipe
    from calibration.quantization.report import GateResult, Quantization
    from calibration.shrinking.report import Shrinking
    from calibration.shrinking.shrink import shrink
    from calibration.sparsity.sparsification import Sparsification
    from calibration.sparsity.sparsify import sparsify
    from calibration.statistics.bootstrap import Drop
    from calibration.token_budgets.options import BudgetSearchOptions
    from calibration.token_budgets.report import BudgetSearch
    from calibration.token_budgets.search_budgets import search_budgets
    from calibration.training.options import (
        BlockMovement,
        Distil,
        Finetune,
        LengthDrop,
        Lock,
        Magnitude,
        PruneGain,
        PruneGates,
        SparseBlocks,
        TrainingRecipe,
    )
    from calibration.training.result import Training
    from calibration.training.train import train

_HOMES = {
    "AccuracyGate": "calibration.quantization.options",
    "BlockMovement": "calibration.training.options",
    "BudgetSearch": "calibration.token_budgets.report",
    "BudgetSearchOptions": "calibration.token_budgets.options",
    "ConfidenceFit": "calibration.confidence.calibrate",
    "ConfidenceOptions": "calibration.confidence.options",
    "Distil": "calibration.training.options",
    "Drop": "calibration.statistics.bootstrap",
    "Finetune": "calibration.training.options",
    "GateResult": "calibration.quantization.report",
    "LengthDrop": "calibration.training.options",
    "Lock": "calibration.training.options",
    "Magnitude": "calibration.training.options",
    "PruneGain": "calibration.training.options",
    "PruneGates": "calibration.training.options",
    "Quantization": "calibration.quantization.report",
    "QuantizationOptions": "calibration.quantization.options",
    "QuantizationRecipe": "calibration.quantization.recipes",
    "Shrinking": "calibration.shrinking.report",
    "SparseBlocks": "calibration.training.options",
    "Sparsification": "calibration.sparsity.sparsification",
    "Training": "calibration.training.result",
    "TrainingRecipe": "calibration.training.options",
    "calibrate_confidence": "calibration.confidence.calibrate",
    "quantize": "calibration.quantization.quantize",
    "search_budgets": "calibration.token_budgets.search_budgets",
    "shrink": "calibration.shrinking.shrink",
    "sparsify": "calibration.sparsity.sparsify",
    "train": "calibration.training.train",
}

__all__ = [
    "AccuracyGate",
    "BlockMovement",
    "BudgetSearch",
    "BudgetSearchOptions",
    "ConfidenceFit",
    "ConfidenceOptions",
    "Distil",
    "Drop",
    "Finetune",
    "GateResult",
    "LengthDrop",
    "Lock",
    "Magnitude",
    "PruneGain",
    "PruneGates",
    "Quantization",
    "QuantizationOptions",
    "QuantizationRecipe",
    "Shrinking",
    "SparseBlocks",
    "Sparsification",
    "Training",
    "TrainingRecipe",
    "calibrate_confidence",
    "quantize",
    "search_budgets",
    "shrink",
    "sparsify",
    "train",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)

# NNCF imports torch's builder of CUDA extensions, which misses a GPU wherever it finds nvcc; nothing here uses it.
logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
