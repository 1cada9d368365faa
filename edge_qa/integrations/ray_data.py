"""Ray Data: answers as columns of a dataset (the extra `ray`)."""

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_qa.answerer import QuestionAnswerer
from edge_qa.errors import InputError, ResourceError, missing_extra
from edge_qa.evaluation.answered_rows import AnswerOptions, answers_of_rows
from edge_qa.evaluation.rows import row_of
from edge_qa.integrations.ray_batch.cluster import plan_here
from edge_qa.integrations.ray_batch.worker import ModelOptions

try:
    import ray
    from ray.data import ActorPoolStrategy, Dataset
except ModuleNotFoundError as error:
    raise missing_extra(error, "ray") from None

Batch = dict[str, NDArray[Any]]


class AnswerBatch:
    """What `Dataset.map_batches` calls: a model, and columns `answer`, `score`, `start`, `end` and `error`.

    `error` is None where there is an answer; the others are None, nan, -1 and -1 where there is none.
    `confidence` is there where the bundle has one.
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str],
        *,
        question: str = "question",
        context: str = "context",
        threads: int | None = None,
        options: AnswerOptions | None = None,
        model: ModelOptions | None = None,
    ) -> None:
        """Load a bundle, which must be at this path on every node; called once by each worker.

        question, context: the columns that are read. threads: cores of one model; the CPUs that Ray gave the worker
        where None. Raises BundleError.
        """
        self._columns, self._options = (question, context), options or AnswerOptions()
        model = model or ModelOptions()
        self._answerer = QuestionAnswerer.load(
            bundle,
            threads=threads or _assigned_threads(),
            precision=model.precision,
            budget=model.budget,
            engine=model.engine,
        )
        self._answerer.check_confidence(self._options.min_confidence)

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with the columns of the answers. Raises InputError for a batch without the columns."""
        if missing := [name for name in self._columns if name not in batch]:
            raise InputError(f"has no column {' and '.join(missing)}", where="batch", wanted=", ".join(self._columns))
        questions, contexts = (batch[name].tolist() for name in self._columns)
        rows = [
            row_of({"question": question, "context": context}, number)
            for number, (question, context) in enumerate(zip(questions, contexts, strict=True), 1)
        ]
        found = [answers for _, answers in answers_of_rows(self._answerer, rows, self._options)]
        best = [None if isinstance(answers, InputError) else answers[0] for answers in found]
        columns: Batch = {
            "answer": _objects([None if answer is None else answer.text for answer in best]),
            "score": np.array([math.nan if answer is None else answer.score for answer in best], np.float64),
            "start": np.array([-1 if answer is None else answer.start for answer in best], np.int64),
            "end": np.array([-1 if answer is None else answer.end for answer in best], np.int64),
            "error": _objects([str(answers) if isinstance(answers, InputError) else None for answers in found]),
        }
        if self._answerer.manifest.confidence is not None:
            columns["confidence"] = np.array(
                [math.nan if answer is None else answer.confidence for answer in best], np.float64
            )
        return {**batch, **columns}


def answer_dataset(
    dataset: Dataset,
    bundle: str | os.PathLike[str],
    *,
    workers: int | None = None,
    threads: int = 1,
    batch_size: int = 256,
    question: str = "question",
    context: str = "context",
    options: AnswerOptions | None = None,
    model: ModelOptions | None = None,
) -> Dataset:
    """Return a dataset with the columns of AnswerBatch; nothing is answered before it is read.

    workers: how many models run at once; as many as there is room for where None. threads: cores of each.
    batch_size: rows that a worker takes at once. The rest as in AnswerBatch.
    Raises ResourceError for a plan that leaves no CPU for the tasks that read: Ray Data would wait for ever.
    """
    if not ray.is_initialized():
        raise ResourceError("is not connected", where="Ray", remedy="call ray.init() first")
    plan = plan_here(workers, threads, spare=1)
    return dataset.map_batches(
        AnswerBatch,
        fn_constructor_args=(os.path.abspath(bundle),),
        fn_constructor_kwargs={
            "question": question,
            "context": context,
            "threads": threads,
            "options": options,
            "model": model,
        },
        compute=ActorPoolStrategy(size=plan.workers),
        num_cpus=plan.threads,
        batch_size=batch_size,
    )


def _assigned_threads() -> int | None:
    """The CPUs that Ray gave this worker; None outside of one, or where it gave none."""
    context = ray.get_runtime_context() if ray.is_initialized() else None
    if context is None or context.get_actor_id() is None:
        return None
    assigned: Mapping[str, float] = context.get_assigned_resources()
    return int(assigned.get("CPU", 0)) or None


def _objects(values: list[Any]) -> NDArray[Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column
