"""The public names of the three packages: what is not here is private and may change."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PUBLIC = {
    "edge_qa": {
        *("Answer", "Bundle", "QuestionAnswerer", "__version__", "evaluate", "pipeline", "read_dataset", "score"),
        *("BundleError", "CalibrationError", "CheckpointError", "EdgeQAError", "InferenceError", "InputError"),
        *("MissingExtraError", "ResourceError", "VerificationError"),
        *("CitedAnswer", "DocumentIndex", "verify_citation"),
    },
    "converters": {
        *("convert", "import_model", "inspect_bundle", "inspect_checkpoint", "read_checkpoint"),
        *("Checkpoint", "CompactionReport", "Conversion", "Found", "Import", "Inspection", "Recognition"),
        *("TensorReport", "Verification"),
    },
    "calibration": {
        *("calibrate_confidence", "ConfidenceFit", "ConfidenceOptions"),
        *("quantize", "search_budgets", "shrink", "sparsify", "train"),
        *("BudgetSearch", "Drop", "GateResult", "Quantization", "Shrinking", "Sparsification", "Training"),
        *("AccuracyGate", "BudgetSearchOptions", "QuantizationOptions", "QuantizationRecipe", "TrainingRecipe"),
        *("BlockMovement", "Distil", "Finetune", "LengthDrop", "Lock", "Magnitude", "PruneGain", "PruneGates"),
        *("SparseBlocks",),
    },
}
NEED_TORCH = {"Training"}


@pytest.mark.parametrize("package", PUBLIC)
def test_the_public_names_are_these(package):
    module = import_module(package)
    assert set(module.__all__) == PUBLIC[package]
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize(
    ("package", "name"), [(package, name) for package, names in PUBLIC.items() for name in sorted(names)]
)
def test_every_public_name_is_there(package, name):
    if name in NEED_TORCH:
        pytest.importorskip("torch")
    value = getattr(import_module(package), name)
    assert name == "__version__" or value.__name__ == name


@pytest.mark.parametrize("package", PUBLIC)
def test_another_name_is_none(package):
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing'"):
        import_module(package).nothing  # noqa: B018


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_the_examples_use_public_names_alone(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in PUBLIC:
            assert node.module in PUBLIC
            assert {alias.name for alias in node.names} <= PUBLIC[node.module]
