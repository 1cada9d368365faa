"""How many calibration samples INT8 needs: F1 against their number, and NNCF beside it.

"nncf" is ours without balanced channels; "nncf alone" is one call of nncf.quantize with `model_type` set, which
quantizes the head and whole embedding tables, too.

    python -m benchmarks.experiments.calibration_samples BUNDLE --calibration FILE --evaluation FILE
        --results FILE.jsonl [--counts 10 30 60 100 300] [--limit 1000] [--target vnni]

Every row is written to --results as soon as it is measured; a run that was stopped goes on from there.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.timing import describe_machine
from calibration.data.samples import draw_samples
from calibration.quantization.int8_model import by_name, nncf
from calibration.quantization.options import QuantizationOptions
from calibration.quantization.quantize import quantize
from calibration.quantization.recipes import DEFAULT, NNCF_DEFAULT, QuantizationRecipe
from calibration.statistics.bootstrap import paired_drop
from converters.ir.storage import write_ir
from edge_qa import QuestionAnswerer
from edge_qa._openvino import ov, this_core
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import CARD, TOKENIZER
from edge_qa.evaluation.dataset import read_dataset
from edge_qa.evaluation.evaluate import evaluate
from edge_qa.evaluation.squad_metric import per_question

Row = dict[str, Any]
ALONE = QuantizationRecipe("nncf alone")


def main() -> None:
    """Measure what --results lacks, then print all of it as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle")
    parser.add_argument("--calibration", required=True)
    parser.add_argument("--evaluation", required=True)
    parser.add_argument("--results", required=True, type=Path)
    parser.add_argument("--counts", type=int, nargs="*", default=[60, 300, 30, 100, 10])
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--target", choices=["any", "avx2", "vnni"], default="any")
    options = parser.parse_args()

    lines = options.results.read_text().splitlines() if options.results.exists() else []
    rows = {(row["recipe"], row["samples"]): row for row in map(json.loads, lines)}
    wanted = [(None, 0), *((DEFAULT, count) for count in options.counts)]
    wanted += [(recipe, max(options.counts)) for recipe in (ALONE, NNCF_DEFAULT)]
    for recipe, count in wanted:
        if (_name(recipe), count) not in rows:
            row = {"recipe": _name(recipe), "samples": count, **_measure(recipe, count, options)}
            rows[row["recipe"], count] = row
            with options.results.open("a") as file:
                file.write(json.dumps(row) + "\n")
    print(f"{describe_machine()}; {options.limit} questions, target {options.target}\n")
    print(_table(rows))


def _name(recipe: QuantizationRecipe | None) -> str:
    return "float" if recipe is None else recipe.name


def _measure(recipe: QuantizationRecipe | None, count: int, options: argparse.Namespace) -> Row:
    """Score the bundle itself, or what the recipe makes of it with so many samples: a score for each question."""
    data = read_dataset(options.evaluation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.bundle)
        if recipe is ALONE:
            path = _nncf_alone(path, Path(folder) / "int8", count, options)
        elif recipe is not None:
            made = Path(folder) / "int8"
            quantized = quantize(
                path,
                made,
                calibration=options.calibration,
                options=QuantizationOptions(samples=count, recipe=recipe, target=options.target),
            )
            path = quantized.path
        (result,) = evaluate([(path.name, QuestionAnswerer.load(path))], data, limit=options.limit, warm_up=False)
    asked = [example for example in data if example.id in result.predictions]
    each = per_question(asked, result.predictions, version=data.version).values()
    return {"f1": [one.f1 for one in each], "exact_match": [one.exact_match for one in each]}


def _nncf_alone(path: Path, destination: Path, count: int, options: argparse.Namespace) -> Path:
    """Write the bundle of what NNCF makes by itself of the very samples that ours are made from."""
    source = Bundle.load(path)
    examples = read_dataset(options.calibration).examples
    samples = draw_samples(QuestionAnswerer(source), examples, count)
    model = this_core().read_model(source.model_xml, ov.Tensor(source.model_bin))
    quantized = nncf.quantize(
        model,
        nncf.Dataset(samples, by_name),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=count,
    )
    manifest = source.manifest
    with new_bundle(destination) as draft:
        write_ir(quantized, draft.folder)
        for name in (TOKENIZER, CARD):
            draft.add(name, source.contents[name].tobytes())
        fields = ("model", "io", "target", "defaults", "lineage")
        draft.seal(precision="int8", **{name: getattr(manifest, name) for name in fields})
    return destination


def _table(rows: dict[tuple[str, int], Row]) -> str:
    float_ = rows["float", 0]
    lines = ["| recipe | samples | EM | F1 | drop of F1 (95 % interval) |", "|---|---:|---:|---:|---:|"]
    for name, count in sorted(rows, key=lambda key: (key[0] != "float", key)):
        row = rows[name, count]
        scores = [f"{100 * sum(row[metric]) / len(row[metric]):.2f}" for metric in ("exact_match", "f1")]
        drop = "" if row is float_ else str(paired_drop(float_["f1"], row["f1"]))
        lines.append(f"| {name} | {count or '-'} | {' | '.join(scores)} | {drop} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
