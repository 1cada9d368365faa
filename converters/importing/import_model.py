"""Existing OpenVINO IR or ONNX -> bundle: read, find the roles, free the axes, survey, verify, write."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.bundle_writer import BundleParts, made_by, read_back, write_parts
from converters.importing.choose_shape import Shaped, choose_shape
from converters.importing.compare import Inputs, Limits, Logits, check, largest_difference, pad
from converters.importing.contract import adapt
from converters.importing.longest_input import count_positions
from converters.importing.model_file import Source, one_line, read_source
from converters.importing.roles import Roles, describe_port, find_roles
from converters.importing.survey import Survey, survey
from converters.ir.counting import count
from converters.tokenization.tokenizer import CheckpointTokenizer, read_tokenizer_file, read_vocabulary
from converters.verification.tokenizer import verify_tokenizer
from converters.verification.verify import TOLERANCE
from edge_qa.bundle.bundle import new_bundle
from edge_qa.bundle.manifest import Defaults, Manifest, ModelRecord
from edge_qa.errors import CheckpointError, InputError
from edge_qa.files import check_destination
from edge_qa.inference.engine import Engine
from edge_qa.progress import Progress, no_progress

# For a model that shows no position table: what BERT and nearly every model after it was trained for.
_ASSUMED_POSITIONS = 512


@dataclass(frozen=True)
class Found:
    """A tensor of the model as it came, and what told its role."""

    role: str
    tensor: str
    how: str


@dataclass(frozen=True)
class Import:
    """A bundle that was written.

    format: of the model as it came. difference: between the bundle's logits and the model's own,
    relative to max(1, largest |logit|); of an INT8 model whose shape was freed, without its rounding.
    """

    path: Path
    manifest: Manifest
    format: str
    found: tuple[Found, ...]
    notes: tuple[str, ...]
    difference: float


def import_model(
    model: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    tokenizer: str | os.PathLike[str] | None = None,
    vocab: str | os.PathLike[str] | None = None,
    lower_case: bool | None = None,
    static: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
) -> Import:
    """Make a bundle of a question-answering model in OpenVINO IR (MODEL.xml beside MODEL.bin) or ONNX.

    The weights stay as they are. Inputs and outputs keep their names and integer types; the
    manifest says which plays which role. A fixed length is freed where the graph computes the same.
    tokenizer: its tokenizer.json; vocab: its vocab.txt, one WordPiece token a line. One of the two.
    lower_case: with `vocab`, whether the model was trained on lower-cased text; None for yes, with a note where
    the vocabulary looks otherwise.
    static: keep a fixed length. force: replace an existing destination, at the very end.
    Raises CheckpointError for what cannot be read or is no such model, VerificationError if the
    bundle does not compute what the model computes; then nothing is written.
    """
    target = Path(os.path.abspath(destination))
    path = Path(model)
    sources = [file for file in (model, tokenizer, vocab) if file is not None]
    check_destination(target, force=force, sources=sources)
    read = _read_tokenizer(tokenizer, vocab, lower_case)
    progress("read")
    source = read_source(path, target)
    roles = find_roles(source.model, str(path))
    limits, notes = _find_limits(source, roles)
    notes = (*roles.notes, *notes, *read.notes, *_check_tokenizer(read.content, limits, path))
    progress("compare")
    adapted, io = adapt(source.model, roles)
    shaped = choose_shape(source.model, adapted, roles, limits, keep=static, where=str(path))
    about = survey(shaped.model)
    with new_bundle(target, force=force) as draft:
        progress("write")
        parts = BundleParts(
            tokenizer=read.content,
            card=_card(source),
            model=_describe(shaped, about, limits, str(path)),
            defaults=Defaults.for_length(shaped.longest),
            lineage=(made_by("import", _options(source, shaped), source.sha256),),
            io=replace(io, batch=shaped.batch, tokens=shaped.tokens),
            precision=about.precision,
            target=about.target,
        )
        manifest = write_parts(draft, shaped.model, parts)
        progress("verify")
        engine = Engine(read_back(draft, target))
        difference = max(shaped.difference, _compare(engine, shaped))
        check(difference, TOLERANCE, str(target))
    return Import(target, manifest, source.format, _list_found(source, roles), (*notes, *shaped.notes), difference)


def _read_tokenizer(
    tokenizer: str | os.PathLike[str] | None, vocab: str | os.PathLike[str] | None, lower_case: bool | None
) -> CheckpointTokenizer:
    if (tokenizer is None) == (vocab is None):
        raise InputError(
            "got both or neither", where="tokenizer, vocab", remedy="give the model's tokenizer.json or its vocab.txt"
        )
    if vocab is not None:
        return read_vocabulary(Path(vocab), lower_case=lower_case)
    assert tokenizer is not None
    return read_tokenizer_file(Path(tokenizer))


def _check_tokenizer(tokenizer_json: str, limits: Limits, where: Path) -> tuple[str, ...]:
    rows = limits.vocabulary
    found = verify_tokenizer(tokenizer_json, vocabulary=rows, token_types=limits.token_types, where=where)
    if found.ids == rows:
        return found.notes
    return (
        *found.notes,
        f"the tokenizer has {found.ids} ids, the word embeddings {rows} rows: is it this model's own?",
    )


def _find_limits(source: Source, roles: Roles) -> tuple[Limits, tuple[str, ...]]:
    """Read what the model takes off its tables. Raises CheckpointError."""
    words = roles.inputs["input_ids"].table
    assert words is not None  # find_roles refuses a model without
    notes: list[str] = []
    types = roles.inputs.get("token_type_ids")
    token_types = 0
    if types is not None and types.table is not None:
        token_types = types.table.rows
    elif types is not None and source.model.inputs[types.index].get_target_inputs():
        token_types = 2
        notes.append("no table of token types was found; two types are assumed, as in BERT")
    try:
        positions = count_positions(source.model, roles)
    except RuntimeError as error:
        raise CheckpointError(
            f"its position embeddings cannot be computed ({one_line(error)})", where=source.path
        ) from None
    axis = source.model.inputs[roles.inputs["input_ids"].index].get_partial_shape()[1]
    length = int(axis.get_length()) if axis.is_static else None
    if positions is None or positions < (length or 1):  # no table, or one of something else
        positions = length
    if positions is None:
        notes.append(f"no position table was found; inputs of up to {_ASSUMED_POSITIONS} tokens are assumed")
    return Limits(words.rows, token_types, positions or _ASSUMED_POSITIONS), tuple(notes)


def _compare(engine: Engine, shaped: Shaped) -> float:
    """Run the bundle on the seeded inputs, at its fixed shape if it has one."""

    def run(inputs: Inputs) -> Logits:
        rows, tokens = inputs["input_ids"].shape
        filled = pad(inputs, shaped.tokens or tokens)
        step = shaped.batch or rows
        parts = [
            engine.run({role: array[i : i + step] for role, array in filled.items()}) for i in range(0, rows, step)
        ]
        start, end = (np.concatenate(side)[:, :tokens] for side in zip(*parts, strict=True))
        return start, end

    return largest_difference(run, shaped.inputs, shaped.expected)


def _describe(shaped: Shaped, about: Survey, limits: Limits, where: str) -> ModelRecord:
    try:
        cost = count(shaped.model, 384, longest=shaped.longest)
    except RuntimeError as error:
        raise CheckpointError(
            f"holds shapes that depend on more than the shape of its inputs ({one_line(error)})",
            where=where,
            remedy="export it with one fixed length",
        ) from None
    return ModelRecord(
        family="imported",
        layers=about.layers,
        hidden=about.hidden,
        heads=about.heads,
        ffn_widths=about.ffn_widths,
        vocabulary=limits.vocabulary,
        token_types=limits.token_types,
        longest_input=shaped.longest,
        parameters=cost.parameters,
        multiply_adds_384=cost.multiply_adds,
        sparsity=cost.sparsity,
        licence=None,
    )


def _options(source: Source, shaped: Shaped) -> dict[str, str]:
    shape = f"{shaped.batch or 'any'} x {shaped.tokens or 'any'}"
    return {"model": source.path.name, "format": source.format, "shape": shape}


def _card(source: Source) -> str:
    return (
        f"# {source.path.stem}\n\nImported from {source.path.name} ({source.format}). "
        "No model card came with it; its licence is not known.\n"
    )


def _list_found(source: Source, roles: Roles) -> tuple[Found, ...]:
    inputs = [
        Found(role, describe_port(source.model.inputs[entry.index]), entry.how) for role, entry in roles.inputs.items()
    ]
    outputs = [
        Found(role, describe_port(source.model.outputs[entry.index]), entry.how)
        for role, entry in roles.outputs.items()
    ]
    return tuple(inputs + outputs)
