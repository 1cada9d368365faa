"""Who takes part: each way to answer questions, how it is started, and what it is called in the tables."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.side_by_side.artefacts import Artefacts

# The one that all ratios are against.
REFERENCE = "edge-qa-int8"
_GIGABYTE = 10**9

Job = Callable[[Artefacts, int], dict[str, Any]]


@dataclass(frozen=True)
class Contender:
    """job: what its script is told, from the models and the number of threads.

    needs_bytes: memory that it is expected to take at most; decides only how many run side by side.
    answers: False for what times inference alone: it has no score and no cold start.
    """

    name: str
    label: str
    environment: str
    script: str
    job: Job
    needs_bytes: int
    answers: bool = True

    @property
    def ours(self) -> bool:
        """Whether it is Edge QA."""
        return self.name.startswith("edge-qa")


def _ours(
    name: str,
    label: str,
    bundle: str,
    precision: str = "f32",
    budget: str | None = None,
    *,
    cache: bool = False,
    engine: str = "openvino",
) -> Contender:
    def job(artefacts: Artefacts, threads: int) -> dict[str, Any]:
        folder = str(artefacts.compiled()) if cache else None
        options = {"precision": precision, "budget": budget, "cache": folder, "engine": engine}
        return {"bundle": str(artefacts.path(bundle)), "threads": threads} | options

    environment = "edge-qa-native" if engine == "native" else "edge-qa"
    return Contender(name, label, environment, "edge_qa_bundle.py", job, 4 * _GIGABYTE // 10)


def _raw(name: str, label: str, bundle: str) -> Contender:
    def job(artefacts: Artefacts, threads: int) -> dict[str, Any]:
        return {"bundle": str(artefacts.path(bundle)), "threads": threads}

    return Contender(name, label, "edge-qa", "openvino_raw.py", job, _GIGABYTE, answers=False)


def _transformers(name: str, label: str, dtype: str) -> Contender:
    def job(artefacts: Artefacts, threads: int) -> dict[str, Any]:
        return {"checkpoint": str(artefacts.checkpoint), "threads": threads, "dtype": dtype}

    return Contender(name, label, "transformers", "transformers_pipeline.py", job, 3 * _GIGABYTE // 2)


def _optimum(name: str, label: str, model: str, hint: str | None = None) -> Contender:
    def job(artefacts: Artefacts, threads: int) -> dict[str, Any]:
        return {"model": str(artefacts.path(model)), "threads": threads, "hint": hint}

    return Contender(name, label, "optimum-intel", "optimum_openvino.py", job, 2 * _GIGABYTE)


def _onnx(name: str, label: str, file: str) -> Contender:
    def job(artefacts: Artefacts, threads: int) -> dict[str, Any]:
        model = artefacts.path("onnx") / file
        return {"model": str(model), "tokenizer": str(artefacts.tokenizer), "threads": threads}

    return Contender(name, label, "onnxruntime", "onnx_runtime.py", job, _GIGABYTE)


# In the order of the tables.
CONTENDERS = {
    contender.name: contender
    for contender in (
        _ours("edge-qa-int8", "Edge QA INT8", "int8"),
        _ours("edge-qa-int8-cache", "Edge QA INT8, compiled model kept", "int8", cache=True),
        _ours("edge-qa-int8-bf16", "Edge QA INT8, the rest in bf16", "int8", precision="bf16"),
        _ours("edge-qa-int8-budget", "Edge QA INT8 + budget fast", "budget", budget="fast"),
        _ours("edge-qa-compacted", "Edge QA INT8, compacted", "compacted"),
        _ours("edge-qa-native", "Edge QA native engine", "native", engine="native"),
        _ours("edge-qa-native-small", "Edge QA native engine, compacted", "native-small", engine="native"),
        _ours("edge-qa-fp16", "Edge QA FP16, run in f32", "fp16"),
        _ours("edge-qa-bf16", "Edge QA FP16, run in bf16", "fp16", precision="bf16"),
        _optimum("optimum-int8", "optimum-intel INT8 (its own quantizer)", "optimum-int8"),
        _optimum("optimum-default", "optimum-intel, its default precision", "optimum-fp32"),
        _optimum("optimum-fp32", "optimum-intel FP32", "optimum-fp32", hint="f32"),
        _onnx("onnxruntime-int8-static", "ONNX Runtime INT8, static", "int8-static.onnx"),
        _onnx("onnxruntime-int8-dynamic", "ONNX Runtime INT8, dynamic", "int8-dynamic.onnx"),
        _onnx("onnxruntime-fp32", "ONNX Runtime FP32", "fp32.onnx"),
        _transformers("transformers-fp32", "transformers 4.57 pipeline, torch FP32", "float32"),
        _transformers("transformers-bf16", "transformers 4.57 pipeline, torch bf16", "bfloat16"),
        _raw("openvino-int8", "OpenVINO alone, our INT8 (inference only)", "int8"),
        _raw("openvino-fp16", "OpenVINO alone, our FP16 (inference only)", "fp16"),
    )
}


def groups_that_fit(chosen: list[Contender], available_bytes: int | None) -> list[list[Contender]]:
    """Split the contenders into groups that fit into memory together; each has the reference, if it takes part.

    available_bytes: None where unknown: then all run side by side. A contender too large for itself gets a group.
    """
    reference = [contender for contender in chosen if contender.name == REFERENCE]
    groups: list[list[Contender]] = [list(reference)]
    for contender in chosen:
        if contender.name == REFERENCE:
            continue
        needed = sum(other.needs_bytes for other in groups[-1]) + contender.needs_bytes
        if available_bytes is not None and needed > available_bytes and len(groups[-1]) > len(reference):
            groups.append(list(reference))
        groups[-1].append(contender)
    return [group for group in groups if group]
