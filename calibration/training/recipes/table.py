"""Name -> recipe, imported when it is asked for."""

from importlib import import_module
from typing import Any

from calibration.training.options import RecipeName
from calibration.training.recipes.hooks import RecipeHooks

_PLACES: dict[RecipeName, tuple[str, str]] = {
    "finetune": ("finetune", "FinetuneHooks"),
    "distil": ("hooks", "RecipeHooks"),
    "prune-gain": ("prune_gain", "PruneGainHooks"),
    "prune-gates": ("prune_gates", "PruneGatesHooks"),
    "block-movement": ("block_movement", "BlockMovementHooks"),
    "sparse-1x4": ("sparse_blocks", "SparseBlocksHooks"),
    "lock": ("lock", "LockHooks"),
    "magnitude": ("magnitude", "MagnitudeHooks"),
    "lengthdrop": ("lengthdrop", "LengthDropHooks"),
}


def recipe_class(name: RecipeName) -> type[RecipeHooks[Any]]:
    """Return the class of a recipe."""
    module, attribute = _PLACES[name]
    found: type[RecipeHooks[Any]] = getattr(import_module(f"calibration.training.recipes.{module}"), attribute)
    return found
