"""What a user would write with FastAPI and transformers: a pipeline behind a route."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.service.options import Options
from benchmarks.service.served import ROOT, Served, running, until_ready

_CHECKPOINT = ROOT / "examples" / "models" / "minilm-squad"


def application() -> Any:
    """Return the application; the checkpoint is named by the environment."""
    import torch
    from fastapi import FastAPI
    from transformers import pipeline

    answer_question = pipeline(
        "question-answering", model=os.environ["RIVAL_CHECKPOINT"], device="cpu", dtype=torch.float32
    )
    found = FastAPI()

    @found.get("/ready")
    def ready() -> dict[str, bool]:
        return {"ready": True}

    @found.post("/answer")
    def answer(pair: dict[str, str]) -> Any:
        return answer_question(question=pair["question"], context=pair["context"])

    return found


@contextmanager
def rival_served(options: Options) -> Iterator[Served]:
    """The loop, behind uvicorn, and ready."""
    os.environ["RIVAL_CHECKPOINT"] = str(options.checkpoint or _CHECKPOINT)
    command = [sys.executable, "-m", "uvicorn", "benchmarks.service.rival:application", "--factory", "--port", "0"]
    with running([*command, "--no-access-log"], "Uvicorn running on http://127.0.0.1:") as one:
        until_ready(one, "/ready")
        yield one
