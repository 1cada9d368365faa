"""What quantization tries, and in what order: from cheap to dear, each stage only if the last one did not do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

BiasCorrection = Literal["fast", "full"]


@dataclass(frozen=True)
class QuantizationRecipe:
    """How a model is quantized.

    balance: give the channels of attention equal ranges first (balance.py), which changes no logit.
    smooth_quant: how far SmoothQuant moves the range of activations into the weights, 0..1; None leaves it out.
    bias_correction: "full" corrects a bias by what the quantized layers before it give, and takes much longer.
    sample_factor: times the number of calibration samples asked for.
    float_products: matrix products that stay in float, by name.
    """

    name: str
    balance: bool = True
    smooth_quant: float | None = 0.95
    bias_correction: BiasCorrection = "fast"
    sample_factor: int = 1
    float_products: tuple[str, ...] = ()

    def as_options(self) -> dict[str, str]:
        """As a bundle's lineage keeps it."""
        return {
            "recipe": self.name,
            "balance": "yes" if self.balance else "no",
            "smooth_quant": "off" if self.smooth_quant is None else f"{self.smooth_quant:g}",
            "bias_correction": self.bias_correction,
            "float_products": " ".join(self.float_products),
        }


DEFAULT = QuantizationRecipe("default")
# NNCF as it comes, for comparisons.
NNCF_DEFAULT = QuantizationRecipe("nncf", balance=False)


class Knowledge(Protocol):
    """What the later stages ask for, and the earlier ones do not need."""

    def attention_products(self) -> Sequence[str]:
        """Products of two activations, by name."""

    def best(self) -> QuantizationRecipe:
        """The recipe so far whose logits are closest to the float model's."""

    def worst_products(self) -> Sequence[str]:
        """Every quantized product, the one that does most harm first."""


def stages(known: Knowledge) -> Iterator[tuple[QuantizationRecipe, ...]]:
    """Yield what to try together: recipes of a stage cost about the same to make, those of later ones more.

    First what costs only calibration, and last what costs speed: the products that harm the logits most stay
    in float, 1, 2, 4, 8 and so on. It ends at half of them: what is left would hardly be an INT8 model.
    """
    yield (DEFAULT,)
    smoother = [
        replace(DEFAULT, name="smooth 0.5", smooth_quant=0.5),
        replace(DEFAULT, name="smooth off", smooth_quant=None),
    ]
    attention = tuple(known.attention_products())
    if attention:
        smoother.append(replace(DEFAULT, name="float attention", float_products=attention))
    yield tuple(smoother)
    yield (
        replace(DEFAULT, name="full bias correction", bias_correction="full"),
        replace(DEFAULT, name="more samples", sample_factor=4),
    )
    base, worst = known.best(), known.worst_products()
    number = 1
    while 2 * number <= len(worst):
        names = tuple(dict.fromkeys((*base.float_products, *worst[:number])))
        yield (replace(base, name=f"{base.name}, {number} in float", float_products=names),)
        number *= 2
