"""What can be asked of a training run, and the names of the recipes; no torch here."""

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from edge_qa.bundle.manifest import TokenRule
from edge_qa.errors import InputError

RecipeName = Literal[
    "finetune",
    "distil",
    "prune-gain",
    "prune-gates",
    "block-movement",
    "sparse-1x4",
    "lock",
    "magnitude",
    "lengthdrop",
]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)
Ranking = Literal["gain", "fisher", "full"]
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
TOKEN_RULES: tuple[TokenRule, ...] = get_args(TokenRule)
Mode = Literal["local", "global", "regularization"]
MODES: tuple[Mode, ...] = get_args(Mode)
Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)
Compute = Literal["auto", "bf16", "f32"]
COMPUTES: tuple[Compute, ...] = get_args(Compute)

# Recipes that teach a changed model to answer like another: the checkpoint itself where none is given (but to distil).
_TAUGHT = {"distil", "prune-gain", "prune-gates", "block-movement", "sparse-1x4", "lock", "magnitude"}

# Options that only some recipes read.
_READ_BY: dict[str, tuple[RecipeName, ...]] = {
    "ratio": ("prune-gain", "prune-gates", "block-movement", "sparse-1x4", "magnitude"),
    "speedup": ("prune-gain",),
    "ranking": ("prune-gain",),
    "samples": ("prune-gain",),
    "schedule": ("prune-gates", "block-movement", "sparse-1x4", "magnitude"),
    "refresh": ("sparse-1x4",),
    "shortest": ("lengthdrop",),
    "rule": ("lengthdrop",),
    "mode": ("magnitude",),
}


@dataclass(frozen=True)
class Options:
    """A run. Those for which None stands have a default that hangs on the recipe or on the device.

    epochs: times through the data, 0.5 is half of it. steps: instead of epochs. batch_tokens: the most tokens
    of a step, padding counted. learning_rate: reached after the first 5 % of the steps, then falls to 0.
    distillation: the share of the teacher's logits in the loss, 0..1, softened by `temperature`.
    hidden_weight, attention_weight: of TinyBERT's losses beside it. train_words: the table of word
    embeddings learns, too. compute: what products are computed in; weights are float32 always.
    evaluations: how many times the model is scored on the way, the last time at the end.

    ratio: the share that goes: of multiply-adds in heads and neurons (prune-gain), of heads and neurons
    (prune-gates), of attention blocks and neurons (block-movement), of weights (sparse-1x4, magnitude).
    speedup: measured, in INT8, instead of it (prune-gain).
    ranking: what is unimportant (prune-gain). samples: windows that it is measured on.
    schedule: the share of the steps in which sparsity grows or gates close; the rest of them only learns.
    refresh: steps between two choices of what is zero.
    no_answer: so many questions with no answer, as a share of the others; of SQuAD 2.0 all of its own.
    shortest: the least share of tokens that a layer keeps (lengthdrop). rule: how tokens are ranked then,
    as search-budgets will.
    mode: of NNCF's pruning (magnitude).
    """

    recipe: RecipeName
    epochs: float = 1.0
    steps: int | None = None
    batch_tokens: int | None = None
    learning_rate: float | None = None
    warmup: float = 0.05
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    distillation: float | None = None
    temperature: float = 2.0
    hidden_weight: float = 0.0
    attention_weight: float = 0.0
    train_words: bool = False
    compute: Compute = "auto"
    evaluations: int = 1
    ratio: float | None = None
    speedup: float | None = None
    ranking: Ranking = "gain"
    samples: int = 1000
    schedule: float = 0.6
    refresh: int = 50
    no_answer: float = 0.0
    shortest: float = 0.2
    rule: TokenRule = "probe"
    mode: Mode = "local"

    @property
    def taught(self) -> bool:
        """Whether the recipe learns from a teacher where none is named."""
        return self.recipe in _TAUGHT

    @property
    def teacher_share(self) -> float:
        """The share of the teacher's logits in the loss."""
        if self.distillation is not None:
            return self.distillation
        return 0.9 if self.taught else 0.0

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        if self.learning_rate is not None:
            return self.learning_rate
        return {"finetune": 3e-5, "lengthdrop": 3e-5}.get(self.recipe, 1e-4)

    def check(self) -> None:
        """Raise InputError for values that cannot be used, all of them at once."""
        wanted: dict[str, tuple[float, float, str]] = {
            "epochs": (1e-9, 1e4, "more than 0, at most 10000"),
            "steps": (1, math.inf, "at least 1"),
            "batch_tokens": (1, math.inf, "at least 1"),
            "learning_rate": (1e-12, math.inf, "more than 0, such as 3e-5"),
            "warmup": (0, 1, "0 to 1"),
            "weight_decay": (0, math.inf, "at least 0"),
            "clip": (1e-9, math.inf, "more than 0"),
            "seed": (0, 2**31 - 1, "0 to 2147483647"),
            "distillation": (0, 1, "0 to 1"),
            "temperature": (1e-3, math.inf, "more than 0, such as 2"),
            "hidden_weight": (0, math.inf, "at least 0"),
            "attention_weight": (0, math.inf, "at least 0"),
            "evaluations": (1, math.inf, "at least 1"),
            "ratio": (1e-9, 1 - 1e-9, "a share between 0 and 1, such as 0.5"),
            "speedup": (1 + 1e-9, math.inf, "more than 1, such as 1.6"),
            "samples": (1, math.inf, "at least 1"),
            "schedule": (1e-3, 1, "above 0, at most 1"),
            "refresh": (1, math.inf, "at least 1"),
            "no_answer": (0, math.inf, "at least 0"),
            "shortest": (1e-3, 1, "above 0, at most 1"),
        }
        problems = []
        for name, (least, most, words) in wanted.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and least <= value <= most):
                problems.append(f"{name}: got {value:g}, wanted {words}")
        if self.recipe not in RECIPES:
            problems.append(f"recipe: got {self.recipe!r}, wanted one of {', '.join(RECIPES)}")
        if self.steps is not None and self.epochs != 1.0:
            problems.append("steps, epochs: give one of them")
        if self.recipe == "magnitude" and self.mode != "regularization" and "schedule" in self.told():
            problems.append(f"schedule: mode {self.mode} does not use it, only regularization; leave it out")
        if self.recipe == "prune-gain" and (self.ratio is None) == (self.speedup is None):
            problems.append("prune-gain: give either ratio or speedup")
        given = self.told()
        problems += [
            f"{name}: {self.recipe} does not use it, only {', '.join(recipes)}; leave it out"
            for name, recipes in _READ_BY.items()
            if name in given and self.recipe not in recipes
        ]
        if problems:
            raise InputError("; ".join(problems))

    def told(self) -> dict[str, Any]:
        """The values that are not the default, for a model card and a report."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
