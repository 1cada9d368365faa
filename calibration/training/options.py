"""What can be asked of a training run: one dataclass for each recipe, with the fields that it has; no torch here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, get_args

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
Ranking = Literal["gain", "fisher", "full"]
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
TOKEN_RULES: tuple[TokenRule, ...] = get_args(TokenRule)
Mode = Literal["local", "global", "regularization"]
MODES: tuple[Mode, ...] = get_args(Mode)
Negatives = Literal["article", "retrieved"]
NEGATIVES: tuple[Negatives, ...] = get_args(Negatives)
Device = Literal["auto", "cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)
Compute = Literal["auto", "bf16", "f32"]
COMPUTES: tuple[Compute, ...] = get_args(Compute)

# What a value must be: the least, the most, and in words.
_WANTED: dict[str, tuple[float, float, str]] = {
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
    "trained_share": (1e-3, 1, "above 0, at most 1"),
    "shortest": (1e-3, 1, "above 0, at most 1"),
}


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """What every recipe can be asked for. Where None stands, the recipe or the device has its own default.

    epochs: times through the data, 0.5 is half of it. steps: instead of epochs. batch_tokens: the most tokens
    of a step, padding counted. learning_rate: reached after the first 5 % of the steps, then falls to 0.
    distillation: the share of the teacher's logits in the loss, 0..1, softened by `temperature`.
    hidden_weight, attention_weight: of TinyBERT's losses beside it. train_words: the table of word
    embeddings learns, too. compute: what products are computed in; weights are float32 always.
    evaluations: how many times the model is scored on the way, the last time at the end.
    no_answer: so many questions with no answer, as a share of the others; of SQuAD 2.0 all of its own.
    negatives: which passages they are asked of: others of the article at random, or those that retrieval finds.
    """

    name: ClassVar[RecipeName]
    # Whether it teaches a changed model to answer like another, which is the checkpoint itself where none is given.
    taught: ClassVar[bool] = True
    usual_rate: ClassVar[float] = 1e-4

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
    no_answer: float = 0.0
    negatives: Negatives = "article"

    def __post_init__(self) -> None:
        """Raise InputError for values that cannot be used, all of them at once."""
        problems = self._problems()
        if problems:
            raise InputError("; ".join(problems))

    @property
    def teacher_share(self) -> float:
        """The share of the teacher's logits in the loss."""
        if self.distillation is not None:
            return self.distillation
        return 0.9 if self.taught else 0.0

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return self.usual_rate if self.learning_rate is None else self.learning_rate

    @property
    def learns_from_teacher(self) -> bool:
        """Whether anything in the loss comes from a teacher."""
        return bool(self.teacher_share or self.hidden_weight or self.attention_weight)

    def told(self) -> dict[str, Any]:
        """Return the recipe and the values that are not the default, for a model card and a report."""
        values = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {"recipe": self.name} | {name: value for name, (value, usual) in values.items() if value != usual}

    def _problems(self) -> list[str]:
        problems = []
        for name, (least, most, words) in _WANTED.items():
            value = getattr(self, name, None)
            if value is not None and not (math.isfinite(value) and least <= value <= most):
                problems.append(f"{name}: got {value:g}, wanted {words}")
        if self.steps is not None and self.epochs != 1.0:
            problems.append("steps, epochs: give one of them")
        if self.negatives not in NEGATIVES:
            problems.append(f"negatives: got {self.negatives!r}, wanted one of {', '.join(NEGATIVES)}")
        elif self.negatives != "article" and not self.no_answer:
            problems.append("negatives: there are none without no_answer; give no_answer 0.8, or leave it out")
        return problems


@dataclass(frozen=True, kw_only=True)
class Finetune(TrainingRecipe):
    """Learn from the answers of the data alone, or from a teacher's as well where `distillation` says so.

    trained_share: of the trained weights in the mean that is written; the rest comes from the source's. 1: no mean.
    """

    name: ClassVar[RecipeName] = "finetune"
    taught: ClassVar[bool] = False
    usual_rate: ClassVar[float] = 3e-5
    trained_share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Distil(TrainingRecipe):
    """Learn to answer like a teacher, which must be given."""

    name: ClassVar[RecipeName] = "distil"


@dataclass(frozen=True, kw_only=True)
class PruneGain(TrainingRecipe):
    """Remove the heads and neurons that matter least, then learn from the whole model.

    Either ratio: of the multiply-adds in heads and neurons that goes; or speedup: measured, in INT8.
    ranking: what is unimportant. samples: windows that it is measured on.
    """

    name: ClassVar[RecipeName] = "prune-gain"
    ratio: float | None = None
    speedup: float | None = None
    ranking: Ranking = "gain"
    samples: int = 1000

    def _problems(self) -> list[str]:
        missing = (self.ratio is None) == (self.speedup is None)
        return super()._problems() + missing * ["prune-gain: give either ratio or speedup"]


@dataclass(frozen=True, kw_only=True)
class PruneGates(TrainingRecipe):
    """Close gates of heads and neurons while the model learns.

    ratio: the share of heads, and of neurons, that goes. schedule: the share of the steps in which gates close.
    """

    name: ClassVar[RecipeName] = "prune-gates"
    ratio: float = 0.5
    schedule: float = 0.6


@dataclass(frozen=True, kw_only=True)
class BlockMovement(TrainingRecipe):
    """Remove what training moves towards zero, in blocks of attention and in neurons, then fill up the rest.

    ratio: the share of attention blocks, and of neurons, that goes. schedule: the share of the steps in which it grows.
    """

    name: ClassVar[RecipeName] = "block-movement"
    ratio: float = 0.5
    schedule: float = 0.6


@dataclass(frozen=True, kw_only=True)
class SparseBlocks(TrainingRecipe):
    """Set blocks of 4 outputs x 1 input to zero, the smallest first.

    ratio: the share of weights that goes. schedule: the share of the steps in which it grows.
    refresh: steps between two choices of what is zero.
    """

    name: ClassVar[RecipeName] = "sparse-1x4"
    ratio: float = 0.8
    schedule: float = 0.6
    refresh: int = 50


@dataclass(frozen=True, kw_only=True)
class Lock(TrainingRecipe):
    """Learn on with every weight that is zero kept at zero."""

    name: ClassVar[RecipeName] = "lock"


@dataclass(frozen=True, kw_only=True)
class Magnitude(TrainingRecipe):
    """Let NNCF choose single weights that become zero.

    ratio: the share of weights that goes. mode: of NNCF's pruning.
    schedule: the share of the steps in which the ratio grows, in mode "regularization".
    """

    name: ClassVar[RecipeName] = "magnitude"
    ratio: float = 0.5
    schedule: float = 0.6
    mode: Mode = "local"

    def _problems(self) -> list[str]:
        unused = self.mode != "regularization" and "schedule" in self.told()
        said = f"schedule: mode {self.mode} does not use it, only regularization; leave it out"
        return super()._problems() + unused * [said]


@dataclass(frozen=True, kw_only=True)
class LengthDrop(TrainingRecipe):
    """Drop tokens at random while the model learns, so that it answers at any token budget.

    shortest: the least share of tokens that a layer keeps. rule: how tokens are ranked then, as `search_budgets` will.
    """

    name: ClassVar[RecipeName] = "lengthdrop"
    taught: ClassVar[bool] = False
    usual_rate: ClassVar[float] = 3e-5
    shortest: float = 0.2
    rule: TokenRule = "probe"


RECIPES: dict[RecipeName, type[TrainingRecipe]] = {
    kind.name: kind
    for kind in (
        Finetune,
        Distil,
        PruneGain,
        PruneGates,
        BlockMovement,
        SparseBlocks,
        Lock,
        Magnitude,
        LengthDrop,
    )
}


def make_recipe(name: RecipeName, values: Mapping[str, Any]) -> TrainingRecipe:
    """Return a recipe from values of any recipe, as a command line has them.

    What the recipe lacks may stand at None, or at the default that all others have. Raises InputError for all
    that cannot be, at once.
    """
    if name not in RECIPES:
        raise InputError(f"recipe: got {name!r}, wanted one of {', '.join(RECIPES)}")
    kind = RECIPES[name]
    own = {field.name for field in fields(kind)}
    problems = []
    for option, value in values.items():
        readers = [(other, field) for other in RECIPES.values() for field in fields(other) if field.name == option]
        defaults = {field.default for _, field in readers}
        unset = defaults.pop() if len(defaults) == 1 else None
        if option not in own and value not in (None, unset):
            others = ", ".join(other.name for other, _ in readers)
            problems.append(f"{option}: {name} does not use it, only {others}; leave it out")
    given = {option: value for option, value in values.items() if option in own and value is not None}
    try:
        made = kind(**given)
    except InputError as error:
        raise InputError("; ".join([error.got, *problems])) from None
    if problems:
        raise InputError("; ".join(problems))
    return made
