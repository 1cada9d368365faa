"""Float model -> INT8 model in memory: NNCF post-training quantization, and what it leaves to do."""

import contextlib
import io
import logging
from collections.abc import Mapping, Sequence
from typing import TextIO

from calibration.data.samples import Inputs
from calibration.quantization.balance import balance_channels
from calibration.quantization.embeddings import quantize_tables, table_lookups
from calibration.quantization.overflow import fit_model
from calibration.quantization.recipes import DEFAULT, QuantizationRecipe
from edge_qa._openvino import ov, without_telemetry
from edge_qa.bundle.manifest import INPUT_ROLES, Target
from edge_qa.errors import missing_extra

without_telemetry()
try:
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedSmoothQuantParameters
except ModuleNotFoundError as error:
    raise missing_extra(error, "calibrate") from None

# NNCF prints its log on stdout; it goes where the rest of the process logs.
_log = logging.getLogger("nncf")
_log.handlers.clear()
_log.propagate = True
_log.setLevel(logging.WARNING)

NNCF_VERSION: str = nncf.__version__


def quantize_model(
    model: "ov.Model",
    samples: Sequence[Inputs],
    recipe: QuantizationRecipe = DEFAULT,
    target: Target = "any",
    *,
    names: Mapping[str, str] | None = None,
    bars: TextIO | None = None,
) -> "ov.Model":
    """Return the INT8 model of a float one, which is left as it is.

    samples: model inputs by role, batch 1, at their true length.
    target: the CPUs it will run on; "any" is right everywhere, "vnni" uses the full weight range.
    names: the IR's own name of each input role where it is not the role.
    bars: where NNCF draws its progress bars; nowhere by default.
    Nodes keep their friendly names; what NNCF and `quantize_tables` add has names made of them.
    """
    result = quantize_products(prepare(model, samples, recipe, names=names), samples, recipe, names=names, bars=bars)
    finish(result, target)
    return result


def prepare(
    model: "ov.Model", samples: Sequence[Inputs], recipe: QuantizationRecipe, *, names: Mapping[str, str] | None = None
) -> "ov.Model":
    """Return the float model that the recipe quantizes: a copy with balanced channels, or the model itself."""
    if not recipe.balance:
        return model
    copy = model.clone()
    balance_channels(copy, [by_name(sample, names) for sample in samples])
    return copy


def quantize_products(
    model: "ov.Model",
    samples: Sequence[Inputs],
    recipe: QuantizationRecipe,
    *,
    names: Mapping[str, str] | None = None,
    bars: TextIO | None = None,
) -> "ov.Model":
    """Quantize the matrix products, but for the recipe's `float_products` and the heads; tables stay as they are."""
    alpha = -1.0 if recipe.smooth_quant is None else recipe.smooth_quant
    tables = [lookup.get_friendly_name() for lookup in table_lookups(model)]
    # NNCF draws its progress bars on stdout, where a command's data goes.
    with contextlib.redirect_stdout(bars or io.StringIO()):
        return nncf.quantize(
            model,
            nncf.Dataset(list(samples), lambda sample: by_name(sample, names)),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(samples),
            fast_bias_correction=recipe.bias_correction == "fast",
            ignored_scope=nncf.IgnoredScope(names=[*tables, *heads(model), *recipe.float_products]),
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                # Weights in full 8 bits; overflow.py makes them safe where the target asks for it.
                overflow_fix=nncf.OverflowFix.DISABLE,
                smooth_quant_alphas=AdvancedSmoothQuantParameters(matmul=alpha),
            ),
        )


def finish(model: "ov.Model", target: Target) -> None:
    """Quantize the embedding tables of a model whose products are quantized, and fit its weights to the target."""
    quantize_tables(model)
    if target != "vnni":
        fit_model(model)


def heads(model: "ov.Model") -> list[str]:
    """The products that give the logits: two rows of weights are no work, and every answer hangs on them."""
    names = []
    for result in model.get_results():
        node = result.input_value(0).get_node()
        while node.get_type_name() != "MatMul" and node.get_input_size():
            node = node.input_value(0).get_node()
        if node.get_type_name() == "MatMul" and node.get_friendly_name() not in names:
            names.append(node.get_friendly_name())
    return names


def attention_products(model: "ov.Model") -> list[str]:
    """The products of two activations, which have no weights."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul" and not any(_is_weight(node.input_value(index)) for index in (0, 1))
    ]


def by_name(sample: Inputs, names: Mapping[str, str] | None = None) -> Inputs:
    """Return a sample, given by role, by the names that the IR has for the roles."""
    wanted = {role: role for role in INPUT_ROLES} if names is None else names
    return {name: sample[role] for role, name in wanted.items()}


def _is_weight(output: "ov.Output") -> bool:
    node = output.get_node()
    while node.get_type_name() in ("Convert", "Multiply", "Subtract", "FakeQuantize"):
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")
