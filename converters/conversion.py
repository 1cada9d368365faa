"""Checkpoint -> bundle: read, recognise, compact, build, verify, write."""

import gc
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

from converters.bundle_writer import (
    Built,
    languages_of,
    licence_of,
    made_by,
    parts_of_checkpoint,
    read_back,
    write_parts,
)
from converters.checkpoints.checkpoint import Checkpoint, read_checkpoint
from converters.families import FAMILIES, read_encoder
from converters.ir.counting import count
from converters.ir.graph import build_graph
from converters.ir.storage import round_to_storage
from converters.model.compaction import CompactionReport, Compatibility, report_compaction
from converters.model.compaction import compact as compact_encoder
from converters.model.encoder import Encoder
from converters.pruned_checkpoints.fine_pruning import apply_pruning
from converters.pruned_checkpoints.pruning_settings import PruningSettings, pruning_settings
from converters.verification.tokenizer import verify_tokenizer
from converters.verification.verify import Verification, expect, verify, verify_compaction
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Draft, new_bundle
from edge_qa.bundle.manifest import Manifest, ModelRecord
from edge_qa.errors import InputError
from edge_qa.files import check_destination
from edge_qa.inference.engine import Engine
from edge_qa.progress import Progress, no_progress


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
    progress: Progress = no_progress,
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
    progress: told the start of each stage.
    Raises CheckpointError for what cannot be read, VerificationError if the result does not compute
    what the checkpoint computes; then nothing is written.
    """
    if no_answer_threshold is not None and not math.isfinite(no_answer_threshold):
        raise InputError(f"got {no_answer_threshold}", where="no_answer_threshold", wanted="a number")
    target = Path(os.path.abspath(destination))
    check_destination(target, force=force, sources=[checkpoint])
    progress("read")
    source = read_checkpoint(checkpoint, cased=cased)
    report = None
    if torch and str(source.config.get("model_type")) not in FAMILIES:
        # Imported here, because it brings torch.
        from converters.torch_export.export import export

        built = export(source, progress=progress)
    else:
        settings = pruning_settings(source, mask_method=mask_method, mask_threshold=mask_threshold, mask_bias=mask_bias)
        built, report = _build(source, settings, compact, progress)
        if torch:
            note = f"{source.config['model_type']} is read natively: `torch` was not needed, and not used"
            built = replace(built, notes=(*built.notes, note))
    if cased is not None:
        options = built.step.options | {"cased": str(cased).lower()}
        built = replace(built, step=replace(built.step, options=options))
    with new_bundle(target, force=force) as draft:
        progress("write")
        manifest = write_parts(draft, built.model, parts_of_checkpoint(source, built, no_answer_threshold))
        verify_written, notes = built.verify, built.notes
        del built
        gc.collect()  # graphs refer to themselves
        progress("verify")
        verification = verify_written(draft, target)
    return Conversion(target, manifest, verification, report, notes)


def _build(
    source: Checkpoint, settings: PruningSettings | None, compact: Compatibility | None, progress: Progress
) -> tuple[Built, CompactionReport | None]:
    """Build the graph of a checkpoint whose family has a module; its arrays are gone afterwards."""
    encoder = read_encoder(source if settings is None else apply_pruning(source, settings))
    tokenizer = verify_tokenizer(
        source.tokenizer, vocabulary=encoder.vocabulary, token_types=encoder.token_types, where=source.path
    )
    options = {"compact": compact or "none"} | ({} if settings is None else settings.as_options())
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

    def verified(draft: Draft, destination: Path) -> Verification:
        return verify(Engine(read_back(draft, destination)), expected, str(destination))

    step = made_by("convert", options, source.sha256)
    record = _describe(stored, model, source.card)
    return Built(model, record, step, verified, (*source.notes, *tokenizer.notes)), report


def _compacted(encoder: Encoder, compat: Compatibility) -> tuple[Encoder, CompactionReport]:
    """Compact an encoder, and measure on the reference what that did to the logits."""
    small = compact_encoder(encoder, compat=compat)
    difference = 0.0 if small is encoder else verify_compaction(encoder, small, exact=compat == "exact")
    return small, report_compaction(encoder, small, difference)


def _describe(encoder: Encoder, model: "ov.Model", card: str | None) -> ModelRecord:
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
        languages=languages_of(card),
    )
