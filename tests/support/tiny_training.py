"""A tiny checkpoint with its own answers as data, and runs over them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration.training.options import RecipeName, make_recipe
from calibration.training.train import train
from tests.support.checkpoints import bert_config, bert_tensors, write_checkpoint
from tests.support.small_data import examples

if TYPE_CHECKING:
    from calibration.training.result import Training

POSITIONS = 96


def tiny_checkpoint(
    folder: Path, *, seed: int = 0, hidden: int = 64, ffn: int = 96, layers: int = 2, dtype: Any = np.float32
) -> Path:
    shape: dict[str, Any] = {"hidden": hidden, "ffn": ffn, "layers": layers, "positions": POSITIONS}
    tensors = {name: tensor.astype(dtype) for name, tensor in bert_tensors(seed=seed, **shape).items()}
    return write_checkpoint(folder, tensors=tensors, config=bert_config(**shape))


def tiny_squad(path: Path) -> Path:
    """SQuAD 1.1 with the subject as the answer to some questions and the place to the others."""
    articles: dict[str, list[dict[str, Any]]] = {}
    for number, (question, context) in enumerate(examples()):
        subject = context.split(" was built ")[0]
        place = context[len(subject) + len(" was built ") :].split(", and ")[0]
        answer = subject if question.startswith(("who", "what")) else place
        row = {"id": str(number), "question": question}
        row["answers"] = [{"text": answer, "answer_start": context.index(answer)}]
        articles.setdefault(subject, []).append({"context": context, "qas": [row]})
    data = [{"title": title, "paragraphs": paragraphs} for title, paragraphs in articles.items()]
    path.write_text(json.dumps({"version": "1.1", "data": data}))
    return path


# Products in float32, so that the same run is the same on every machine with or without bfloat16.
BASE: dict[str, Any] = {"steps": 30, "batch_tokens": 400, "learning_rate": 3e-3, "compute": "f32"}


def run(
    folder: Path,
    recipe: RecipeName,
    *,
    name: str = "out",
    source: Path | None = None,
    resume: bool = False,
    **given: Any,
) -> "Training":
    """Train the tiny checkpoint of the folder; what `train` takes by itself goes there, the rest are options."""
    names = ("teacher", "state", "report", "progress", "evaluation", "limit")
    own = {key: given.pop(key) for key in names if key in given}
    changes: dict[str, Any] = {"refresh": 3} if recipe == "sparse-1x4" else {}
    options = make_recipe(recipe, BASE | changes | given)
    return train(
        source or folder / "checkpoint",
        folder / name,
        options,
        data=folder / "data.json",
        device="cpu",
        resume=resume,
        force=True,
        **own,
    )
