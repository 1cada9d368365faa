"""Name -> recipe, imported when it is asked for."""

from importlib import import_module

from calibration.training.options import Recipe as Name
from calibration.training.recipes.recipe import Recipe

_PLACES: dict[Name, tuple[str, str]] = {
    "finetune": ("recipe", "Recipe"),
    "distil": ("recipe", "Recipe"),
    "prune-gain": ("prune_gain", "PruneGain"),
    "prune-gates": ("prune_gates", "PruneGates"),
    "block-movement": ("block_movement", "BlockMovement"),
    "sparse-1x4": ("sparse_blocks", "SparseBlocks"),
    "lock": ("lock", "Lock"),
    "magnitude": ("magnitude", "Magnitude"),
    "lengthdrop": ("lengthdrop", "LengthDrop"),
}


def recipe_class(name: Name) -> type[Recipe]:
    """Return the class of a recipe."""
    module, attribute = _PLACES[name]
    found: type[Recipe] = getattr(import_module(f"calibration.training.recipes.{module}"), attribute)
    return found
