"""Would a bundle run right on this machine? Cheap looks first; then, in fresh processes, real answers."""

from collections.abc import Iterator
from pathlib import Path

from edge_qa.bench.fresh_process import run_fresh_process
from edge_qa.bundle.bundle import Bundle
from edge_qa.bundle.manifest import FULL_BUDGET, MODEL_BIN, PACKED_MODEL, TOKENIZER, Manifest
from edge_qa.diagnosis.expected_gains import int8_speed
from edge_qa.diagnosis.finding import Finding
from edge_qa.errors import EdgeQAError
from edge_qa.system.cpu import CPU
from edge_qa.system.machine import Machine
from edge_qa.system.memory import Memory
from edge_qa.text.tokenizer import TextTokenizer

# Peak memory is estimated as a base and this many times the weights in the file, from fresh processes that saw every
# input length: MiniLM (45 MB in FP16: 347 MB, 23 MB in INT8: 355 MB) and BERT-base (218: 1430, 110: 763).
_BASE_BYTES = 200 * 10**6
_TIMES = {"fp32": 3, "fp16": 6, "int8": 6}
# Zeros that a dense model has by chance are far fewer.
_SPARSE = 0.3


def bundle_needs(manifest: Manifest) -> int:
    """Return an estimate of the bytes of memory that a process with this bundle peaks at."""
    return _BASE_BYTES + _TIMES[manifest.precision] * manifest.files[MODEL_BIN].bytes


def check_bundle(path: Path, machine: Machine, memory: Memory) -> Iterator[Finding]:
    """Yield what there is to say of the bundle on this machine."""
    try:
        bundle = Bundle.load(path)
    except EdgeQAError as error:
        yield _problem(error)
        return
    manifest = bundle.manifest
    size = sum(record.bytes for record in manifest.files.values()) / 1e6
    made_for = "" if manifest.target is None else f", made for CPUs: {manifest.target}"
    yield _fact(f"whole, every byte as written; {manifest.precision}{made_for}, {size:.1f} MB")
    obstacles = [
        *_look_at_target(manifest, machine),
        *_look_at_memory(manifest, memory),
        *_look_at_tokenizer(path, bundle),
    ]
    yield from obstacles
    if not any(finding.level == "problem" for finding in obstacles):
        for budget in (FULL_BUDGET, *(manifest.budgets or {})):
            yield _try(path, budget)


def _look_at_target(manifest: Manifest, machine: Machine) -> Iterator[Finding]:
    cpu = CPU(machine.cpu, machine.instruction_set, machine.threads)
    if manifest.target == "vnni" and not cpu.has_int8_dot_product:
        yield Finding(
            "bundle",
            "problem",
            f"made for CPUs with VNNI, this one has {machine.instruction_set}: its 8-bit sums would overflow",
            "this machine",
            "quantize the FP16 bundle again for the target 'any'",
        )
    speed = int8_speed(machine.instruction_set)
    if manifest.precision == "int8" and speed is not None and speed < 1:
        yield Finding(
            "bundle",
            "note",
            "INT8 is no faster than FP16 on this CPU",
            "measured elsewhere",
            "keep it for its size, or use the FP16 bundle that it was made from",
        )
    if manifest.precision != "int8" and speed is not None and speed > 1:
        yield Finding(
            "bundle",
            "note",
            f"{manifest.precision} runs in f32; INT8 was {speed:.1f}x as fast on such a CPU",
            "measured elsewhere",
            "edge-qa quantize",
        )
    # A packed bundle is answered by the native engine, which skips blocks of zeros.
    if manifest.model.sparsity > _SPARSE and machine.instruction_set != "amx" and PACKED_MODEL not in manifest.files:
        yield Finding(
            "bundle",
            "note",
            f"{manifest.model.sparsity:.0%} of the weights are zero, which gains no speed with OpenVINO without AMX",
            "documented",
            "edge-qa pack-native, if they are 4x1 blocks; else remove whole heads and neurons for speed",
        )


def _look_at_memory(manifest: Manifest, memory: Memory) -> Iterator[Finding]:
    needs, usable = bundle_needs(manifest), memory.usable_bytes
    if usable is not None and needs > usable:
        yield Finding(
            "bundle",
            "problem",
            f"takes about {needs / 1e6:.0f} MB of memory by its size, {usable / 1e6:.0f} MB are left",
            "expected",
            "free memory, raise the container's limit, or use an INT8 or a smaller model",
        )


def _look_at_tokenizer(path: Path, bundle: Bundle) -> Iterator[Finding]:
    """The tokenizer, and the lengths that follow from it and the model."""
    try:
        tokenizer = TextTokenizer(bundle.tokenizer_json, f"{path}/{TOKENIZER}")
    except EdgeQAError as error:
        yield _problem(error)
        return
    manifest, defaults = bundle.manifest, bundle.manifest.defaults
    window = min(defaults.max_seq_len, manifest.io.tokens or manifest.model.longest_input)
    yield _fact(
        f"longest input {manifest.model.longest_input} tokens, read in windows of {window}; longer texts take several"
    )
    if manifest.io.tokens is not None:
        yield Finding(
            "bundle",
            "note",
            f"every question costs as much as one of {manifest.io.tokens} tokens: the model takes no other length",
            "this machine",
            "make the bundle from a model with dynamic shapes",
        )
    # Neighbouring windows share doc_stride tokens, so a question must leave more than that.
    longest_question = window - tokenizer.template.special_tokens - defaults.doc_stride - 1
    if longest_question < 1:
        yield Finding(
            "bundle",
            "problem",
            f"no text longer than one window can be read: windows of {window} tokens overlap by {defaults.doc_stride}",
            "this machine",
            "use a model with longer inputs",
        )
    elif longest_question < defaults.max_question_len:
        yield Finding(
            "bundle",
            "note",
            f"questions of more than {longest_question} tokens about texts of several windows are refused",
            "this machine",
            "keep such questions short",
        )


def _try(path: Path, budget: str) -> Finding:
    is_full = budget == FULL_BUDGET
    question, context = "Who wrote it?", "Ada Lovelace wrote it in 1843."
    try:
        # What the full model needs at its peak, the others need less of.
        run = run_fresh_process(path, question, context, budget=budget, every_length=is_full)
    except EdgeQAError as error:
        where = ": ".join(filter(None, ["" if is_full else f"budget {budget}", error.where])) or None
        return _problem(EdgeQAError(error.got, where=where, wanted=error.wanted, remedy=error.remedy))
    peak = (
        ""
        if run.every_length_peak_bytes is None
        else f"; {run.every_length_peak_bytes / 1e6:.0f} MB once every length was seen"
    )
    text = f"a fresh process gave its first answer after {run.start.total_ms:.0f} ms{peak}"
    return Finding("bundle", "fact", f"runs{'' if is_full else f' with budget {budget}'}: {text}", "measured here")


def _fact(text: str) -> Finding:
    return Finding("bundle", "fact", text, "this machine")


def _problem(error: EdgeQAError) -> Finding:
    text = str(EdgeQAError(error.got, where=error.where, wanted=error.wanted))
    return Finding("bundle", "problem", text, "this machine", error.remedy)
