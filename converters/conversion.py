"""Checkpoint -> bundle: read, recognise, compact, build, verify, write."""

import gc
import math
import os
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.families import FAMILIES, read_encoder
from converters.ir.counting import count
from converters.ir.graph import build_graph
from converters.ir.storage import round_to_storage, write_ir
from converters.model.compaction import CompactionReport, Compatibility, report_compaction
from converters.model.compaction import compact as compact_encoder
from converters.model.encoder import Encoder
from converters.pruned_checkpoints.fine_pruning import apply_pruning
from converters.pruned_checkpoints.pruning_settings import pruning_settings
from converters.verification.tokenizer import verify_tokenizer
from converters.verification.verify import Verification, expect, verify, verify_compaction
from edge_qa import __version__
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle, Draft, new_bundle
from edge_qa.bundle.manifest import (
    CARD,
    INPUT_ROLES,
    OUTPUT_ROLES,
    TOKENIZER,
    Defaults,
    InputRecord,
    IORecord,
    Manifest,
    ModelRecord,
    Step,
)
from edge_qa.errors import InputError
from edge_qa.files import check_destination
from edge_qa.inference.engine import Engine

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Conversion:
    """A bundle that was written, and how exactly it computes its checkpoint.

    compaction: what was removed from the checkpoint's model; None if that was not asked for.
    notes: what was not as it should be in the checkpoint, in sentences.
    """

    path: Path
    manifest: Manifest
    verification: Verification
    compaction: CompactionReport | None = None
    notes: tuple[str, ...] = ()


def convert(
    checkpoint: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    torch: bool = False,
    compact: Compatibility | None = "exact",
    mask_method: str | None = None,
    mask_threshold: float | None = None,
    mask_bias: bool | None = None,
    cased: bool | None = None,
    no_answer_threshold: float | None = None,
    force: bool = False,
    progress: Progress = lambda stage: None,
) -> Conversion:
    """Convert a checkpoint folder into a bundle with FP16 weights.

    torch: export an architecture that has no module of its own through transformers, which the
    `torch` extra brings; the others are read without it all the same.
    compact: "exact" removes heads and neurons that cannot change the logits; "nn_pruning" those that
    this library removes, although that changes them; None keeps everything.
    mask_method, mask_threshold, mask_bias: how the mask scores of a raw training checkpoint become
    masks where its sparse_args.json does not say it (see converters/pruned_checkpoints/mask_scores.py).
    cased: whether a WordPiece vocabulary tells upper from lower case; None for what the checkpoint says.
    no_answer_threshold: the bundle's default; None always answers.
    force: replace an existing destination, at the very end.
    progress: called with a word or two at the start of each stage.
    Raises CheckpointError for what cannot be read, VerificationError if the result does not compute
    what the checkpoint computes; then nothing is written.
    """
    if no_answer_threshold is not None and not math.isfinite(no_answer_threshold):
        raise InputError(f"got {no_answer_threshold}", where="no_answer_threshold", wanted="a number")
    target = Path(os.path.abspath(destination))
    check_destination(target, force=force, sources=[checkpoint])
    progress("read")
    source = read_checkpoint(checkpoint, cased=cased)
    if torch and str(source.config.get("model_type")) not in FAMILIES:
        # Imported here, because it brings torch.
        from converters.torch_export.export import export

        return export(source, target, no_answer_threshold=no_answer_threshold, force=force, progress=progress)
    settings = pruning_settings(source, mask_method=mask_method, mask_threshold=mask_threshold, mask_bias=mask_bias)
    encoder = read_encoder(source if settings is None else apply_pruning(source, settings))
    notes = (*source.notes, *check_tokenizer(source, encoder.vocabulary, encoder.token_types))
    options = {"compact": compact or "none"} | ({} if settings is None else settings.as_options())
    if cased is not None:
        options["cased"] = str(cased).lower()
    report = None
    if compact is not None:
        progress("compact")
        encoder, report = _compacted(encoder, compact)
    progress("build")
    stored = round_to_storage(encoder)
    expected = expect(stored, encoder)
    # From here on nothing needs the checkpoint's arrays: half of the memory of a conversion.
    source.tensors.clear()
    del encoder
    model = build_graph(stored)
    with new_bundle(target, force=force) as draft:
        progress("write")
        step = Step("convert", options, source.sha256, tool_versions())
        record = describe(stored, model, source.card)
        manifest = write_files(draft, source, model, record, step, no_answer_threshold)
        del model, stored
        gc.collect()  # graphs refer to themselves
        progress("verify")
        # What is verified is what lies on the disk, read as a device will read it.
        engine = Engine(replace(Bundle.load(draft.folder), path=target))
        verification = verify(engine, expected, str(target))
    return Conversion(target, manifest, verification, report, notes)


def _compacted(encoder: Encoder, compat: Compatibility) -> tuple[Encoder, CompactionReport]:
    """Compact an encoder, and measure on the reference what that did to the logits."""
    small = compact_encoder(encoder, compat=compat)
    difference = 0.0 if small is encoder else verify_compaction(encoder, small, exact=compat == "exact")
    return small, report_compaction(encoder, small, difference)


def write_files(
    draft: Draft,
    source: Checkpoint,
    model: "ov.Model",
    record: ModelRecord,
    step: Step,
    no_answer_threshold: float | None,
) -> Manifest:
    """Write every file of the bundle of a model that takes the inputs of the contract."""
    write_ir(model, draft.folder)
    draft.add(TOKENIZER, source.tokenizer.encode())
    draft.add(CARD, (source.card or _no_card(source)).encode())
    return draft.seal(
        model=record,
        io=IORecord({role: InputRecord(role, "i64") for role in INPUT_ROLES}, {role: role for role in OUTPUT_ROLES}),
        precision="fp16",
        target=None,
        defaults=replace(Defaults.for_length(record.longest_input), no_answer_threshold=no_answer_threshold),
        lineage=(step,),
    )


def describe(encoder: Encoder, model: "ov.Model", card: str | None) -> ModelRecord:
    """Describe a model for the manifest; sizes are counted on the IR."""
    cost = count(model)
    return ModelRecord(
        family=encoder.family,
        layers=len(encoder.layers),
        hidden=encoder.hidden,
        heads=tuple(layer.attention.heads for layer in encoder.layers),
        ffn_widths=tuple(tuple(block.width for block in layer.feed_forwards) for layer in encoder.layers),
        vocabulary=encoder.vocabulary,
        token_types=encoder.token_types,
        longest_input=encoder.longest_input,
        parameters=cost.parameters,
        multiply_adds_384=cost.multiply_adds,
        sparsity=cost.sparsity,
        licence=licence_of(card),
    )


def licence_of(card: str | None) -> str | None:
    """The `license:` of a model card's front matter; of a list the first."""
    front = re.match(r"\ufeff?---[ \t]*\n(.*?)\n---", card or "", re.DOTALL)
    found = re.search(r"^license:(?:[ \t]*\n[ \t]*-)?[ \t]*([^\n#]*)", front.group(1), re.MULTILINE) if front else None
    name = found.group(1).strip().strip("[]").split(",")[0].strip(" \t'\"") if found else ""
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", name) else None


def tool_versions() -> dict[str, str]:
    """The tools that decide a bundle's bytes."""
    return {"edge-qa": __version__, "openvino": ov.get_version().split("-")[0], "machine": platform.machine()}


def check_tokenizer(source: Checkpoint, rows: int, token_types: int) -> tuple[str, ...]:
    """Hold the tokenizer against the word embeddings, of so many rows, and the token types.

    Returns what is worth saying, in sentences. Raises CheckpointError if they do not fit.
    """
    return verify_tokenizer(source.tokenizer, vocabulary=rows, token_types=token_types, where=str(source.path))


def _no_card(source: Checkpoint) -> str:
    return f"# {source.path.name}\n\nNo model card came with this checkpoint; its licence is not known.\n"
