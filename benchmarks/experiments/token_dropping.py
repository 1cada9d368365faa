"""What token dropping saves at fixed true lengths: bundles' budgets or given configurations against the plain model.

    python -m benchmarks.experiments.token_dropping BUNDLE [--config 1,1,1,.5,.3,.2 ...] [--rule probe] [--nothing]
        [--lengths 64 128 178 256 384] [--rounds 30]

Without --config the budgets that the bundle has are timed. Configurations rank by the probes of the
bundle's budgets where those have one for every layer that drops, otherwise by seeded random ones: which
tokens go makes no difference to the time. --nothing times a second copy of the plain model, put through
the same steps: how far its ratio is from 1 is what the other ratios are not better than.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.timing import describe_machine, median_ms
from converters.token_budgets.budgets import read_keep, serialized, token_dropping_model
from converters.token_budgets.token_dropping import Keep
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import MODEL_BIN, MODEL_XML
from edge_qa.inference.engine import Engine

Inputs = dict[str, np.ndarray]
_QUESTION_TOKENS = 14


def configurations(bundle: Bundle, configs: list[str], rule: str) -> dict[str, Keep]:
    """What is timed besides the plain model, by name."""
    stored = {name: read_keep(bundle, budget) for name, budget in (bundle.manifest.budgets or {}).items()}
    if not configs:
        return stored
    fitted = {layer: probe for keep in stored.values() for layer, probe in keep.probes.items()}
    random = np.random.default_rng(0)
    found = {}
    for text in configs:
        keep = Keep(tuple(float(share) for share in text.split(",")))
        if rule == "probe":
            hidden = bundle.manifest.model.hidden
            guessed = {layer: random.normal(size=hidden).astype(np.float32) for layer in keep.dropping_layers}
            keep = replace(keep, probes={layer: fitted.get(layer, guess) for layer, guess in guessed.items()})
        found[text] = keep
    return found


def engine(bundle: Bundle, keep: Keep) -> Engine:
    """The bundle's model with token dropping, compiled as the runtime does."""
    xml, weights = serialized(token_dropping_model(bundle, keep))
    model = {MODEL_XML: np.frombuffer(xml, np.uint8), MODEL_BIN: np.frombuffer(weights, np.uint8)}
    return Engine(replace(bundle, contents=bundle.contents | model))


def inputs(bundle: Bundle, tokens: int) -> Inputs:
    """Seeded inputs of the contract, batch 1, no padding: a question and a text."""
    model = bundle.manifest.model
    types = (np.arange(tokens)[None] >= _QUESTION_TOKENS).astype(np.int64)
    return {
        "input_ids": np.random.default_rng(tokens).integers(0, model.vocabulary, (1, tokens)),
        "attention_mask": np.ones((1, tokens), np.int64),
        "token_type_ids": types if model.token_types > 1 else np.zeros_like(types),
        "position_ids": np.arange(tokens)[None],
    }


def main() -> None:
    """Measure and print a table in markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle")
    parser.add_argument("--config", action="append", default=[], metavar="SHARES", help="1,1,1,.5,.3,.2 and so on")
    parser.add_argument("--rule", choices=("probe", "attention"), default="probe")
    parser.add_argument("--nothing", action="store_true")
    parser.add_argument("--lengths", type=int, nargs="*", default=[64, 128, 178, 256, 384])
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    bundle = Bundle.load(options.bundle)
    keeps = configurations(bundle, options.config, options.rule)
    if options.nothing:
        keeps["drops nothing"] = Keep((1.0,) * len(bundle.manifest.model.heads or ()))
    if not keeps:
        parser.error(f"{options.bundle} has no budgets; give --config or --nothing")
    engines = {"plain": Engine(bundle)} | {name: engine(bundle, keep) for name, keep in keeps.items()}

    print(f"{describe_machine()}\n{bundle.manifest.precision}, medians of {options.rounds} alternating rounds\n")
    print("| tokens | plain ms | " + " | ".join(keeps) + " |")
    print("|--:|--:|" + "--:|" * len(keeps))
    for tokens in options.lengths:
        sample = inputs(bundle, tokens)

        def run(one: Engine, sample: Inputs = sample) -> Callable[[], object]:
            return lambda: one.run(sample)

        times = median_ms({name: run(one) for name, one in engines.items()}, rounds=options.rounds)
        ratios = " | ".join(f"{times[name] / times['plain']:.2f}" for name in keeps)
        print(f"| {tokens} | {times['plain']:.2f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
