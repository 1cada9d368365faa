"""What is lost when a share of the encoder goes, by three methods: python -m benchmarks.experiments.shrink_curve --help

Shrinks one checkpoint by 10 to 50 % of the multiply-adds of its layers with each method of
`edge-qa shrink`, scores every result with the official metric (FP16 bundle, float32 inference) and at the
end times all of them in turn. Each finished point is kept in a state file, and the next run goes on from there.
Needs the torch extra for the gradients, which are kept beside the state file.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import describe_machine
from calibration.data.answered_windows import AnsweredWindow, draw_answered
from calibration.shrinking.latency_model import compiled_run, lower_quartile_ms
from calibration.shrinking.mask_gradients import MaskGradients
from calibration.shrinking.mask_search import Masks
from calibration.shrinking.shrinker import METHODS, Material, Method, cut, shrink_encoder
from calibration.shrinking.structure_costs import StructureCosts, multiply_add_costs
from converters.checkpoint_writer import write_checkpoint
from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.conversion import convert
from converters.families import read_encoder
from converters.model.compaction import compact
from converters.model.encoder import Encoder
from edge_qa.answerer import QuestionAnswerer
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.evaluation.evaluate import evaluate
from edge_qa.files import write_file

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
_ROUNDS = 40
TARGET_SHARE = 0.3  # where the full method is to keep half of what magnitude loses


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--calibration", type=Path, required=True, help="SQuAD file with answers")
    parser.add_argument("--evaluation", type=Path, required=True, help="SQuAD file")
    parser.add_argument("--state", type=Path, required=True, help="JSON file of the points that are done")
    parser.add_argument("--limit", type=int, default=500, help="evaluate on so many questions")
    parser.add_argument("--samples", type=int, default=2000, help="calibration windows")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    source, test = read_checkpoint(options.checkpoint), read_dataset(options.evaluation)
    data = read_dataset(options.calibration)
    encoder = compact(read_encoder(source))
    settings = {
        "checkpoint": source.sha256,
        "calibration": data.sha256,
        "evaluation": test.sha256,
        "limit": options.limit,
        "samples": options.samples,
        "seed": options.seed,
    }
    state = _read_state(options.state, settings)
    missing = [
        (method, share)
        for share in sorted(SHARES, key=lambda share: share != TARGET_SHARE)
        for method in METHODS
        if f"{method} {share}" not in state["points"]
    ]
    if missing or "dense" not in state["points"]:
        with tempfile.TemporaryDirectory() as folder:
            dense = QuestionAnswerer.load(convert(options.checkpoint, Path(folder) / "dense").path)
        answered = draw_answered(dense, data.examples, options.samples, seed=options.seed, where=data.where)
        tokens = dense.engine.padded_length(round(float(np.mean([item.window.tokens for item in answered]))))
        state["tokens"] = tokens
        state.pop("ms", None)
        if "dense" not in state["points"]:
            state["points"]["dense"] = {"f1": _f1(dense, test, options.limit)}
            _write_state(options.state, state)
        gradients = _gradients(encoder, answered, options.state.with_suffix(".npz"), settings)
        windows = [dense.engine.batch([item.window], pad=False) for item in answered]
        material, costs = Material(encoder, windows, gradients), multiply_add_costs(encoder, tokens)
        for method, share in missing:
            state["points"][f"{method} {share}"] = _measure(source, material, costs, method, share, test, options.limit)
            _write_state(options.state, state)
            print(f"{method} {share:.0%}: {state['points'][f'{method} {share}']}", flush=True)
    if "ms" not in state:
        tokens = state["tokens"]
        state["machine"], state["ms"] = describe_machine(), _times(encoder, state["points"], tokens)
        _write_state(options.state, state)
    print(table(state))


def _measure(
    source: Checkpoint,
    material: Material,
    costs: StructureCosts,
    method: Method,
    share: float,
    test: Dataset,
    limit: int,
) -> dict[str, Any]:
    shrunk = shrink_encoder(material, costs, (1 - share) * costs.dense, method)
    with tempfile.TemporaryDirectory() as folder:
        small = write_checkpoint(shrunk.encoder, Path(folder) / "small", source=source)
        score = _f1(QuestionAnswerer.load(convert(small, Path(folder) / "bundle").path, threads=1), test, limit)
    return {
        "f1": score,
        "removed": 1 - costs.of(shrunk.masks.head_counts, shrunk.masks.widths) / costs.dense,
        "heads": shrunk.masks.head_counts,
        "widths": shrunk.masks.widths,
    }


def _times(encoder: Encoder, points: dict[str, Any], tokens: int) -> dict[str, float]:
    """Milliseconds of every point, all taking turns; which heads and neurons stay makes no difference to them."""
    shapes = {"dense": encoder}
    for name, point in points.items():
        if name != "dense":
            layers = zip(encoder.layers, point["heads"], point["widths"], strict=True)
            kept = [
                (np.arange(layer.attention.heads) < heads, np.arange(layer.feed_forwards[0].width) < width)
                for layer, heads, width in layers
            ]
            shapes[name] = cut(encoder, Masks(*zip(*kept, strict=True)))
    return {
        str(name): ms
        for name, ms in lower_quartile_ms(
            {name: compiled_run(part, tokens) for name, part in shapes.items()}, rounds=_ROUNDS
        ).items()
    }


def _f1(answerer: QuestionAnswerer, test: Dataset, limit: int) -> float:
    return evaluate([("", answerer)], test, limit=limit, warm_up=False)[0].scores.f1


def _gradients(encoder: Encoder, answered: list[AnsweredWindow], path: Path, settings: dict[str, Any]) -> MaskGradients:
    layers = range(len(encoder.layers))
    key = json.dumps(settings | {"limit": None, "evaluation": None}, sort_keys=True)
    if path.is_file():
        with np.load(path) as file:
            if str(file["key"]) == key:
                return MaskGradients(*(tuple(file[f"{part}{i}"] for i in layers) for part in ("heads", "neurons")))
    # Imported here, because it brings torch.
    from calibration.shrinking.fisher import mask_gradients

    found = mask_gradients(encoder, answered)
    arrays = {f"heads{i}": found.heads[i] for i in layers} | {f"neurons{i}": found.neurons[i] for i in layers}
    np.savez(path, key=np.array(key), **arrays)
    return found


def _read_state(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    if path.is_file():
        state: dict[str, Any] = json.loads(path.read_text())
        if state["settings"] != settings:
            raise SystemExit(f"{path}: was made with other settings ({state['settings']}); give another --state")
        return state
    return {"settings": settings, "points": {}}


def _write_state(path: Path, state: dict[str, Any]) -> None:
    write_file(path, json.dumps(state, indent=1).encode())


def table(state: dict[str, Any]) -> str:
    """The points as a markdown table, and whether the full method keeps half of what magnitude loses."""
    points = state["points"]
    dense = points["dense"]["f1"]
    lines = [
        f"{state['machine']}; {state['settings']['limit']} questions, {state['settings']['samples']} calibration "
        f"windows; milliseconds at {state['tokens']} tokens, float32, batch 1. F1 of the dense model: {dense:.2f}.",
        "",
        "| multiply-adds removed | " + " | ".join(f"{method}: F1 | faster" for method in METHODS) + " |",
        "|---" * (1 + 2 * len(METHODS)) + "|",
    ]
    for share in SHARES:
        cells = []
        for method in METHODS:
            name = f"{method} {share}"
            cells += [f"{points[name]['f1']:.2f}", f"{state['ms']['dense'] / state['ms'][name]:.2f}x"]
        lines.append(f"| {share:.0%} | " + " | ".join(cells) + " |")
    lost, kept = (dense - points[f"{method} {TARGET_SHARE}"]["f1"] for method in ("magnitude", "full"))
    verdict = "met" if kept <= lost / 2 else "MISSED"
    lines += [
        "",
        f"At {TARGET_SHARE:.0%} magnitude loses {lost:.2f} F1, full {kept:.2f}; target half of it: {verdict}.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
