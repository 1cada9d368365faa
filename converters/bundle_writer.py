"""What every writer of a bundle does: seal the parts into a folder, and read back what lies on the disk."""

import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from converters.checkpoints.checkpoint import Checkpoint
from converters.ir.storage import write_ir
from converters.verification.verify import Verification
from edge_qa import __version__
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Bundle, Draft
from edge_qa.bundle.manifest import (
    CARD,
    INPUT_ROLES,
    OUTPUT_ROLES,
    TOKENIZER,
    Budget,
    ConfidenceRecord,
    Defaults,
    DocumentsRecord,
    InputRecord,
    IORecord,
    Manifest,
    ModelRecord,
    ScoreRecord,
    Step,
    Target,
    WeightPrecision,
)

# A model that takes the four inputs by their own names.
CONTRACT = IORecord({role: InputRecord(role, "i64") for role in INPUT_ROLES}, {role: role for role in OUTPUT_ROLES})


@dataclass(frozen=True, eq=False)
class BundleParts:
    """Everything that a bundle is made of besides its model's files.

    tokenizer: the content of tokenizer.json. card: of the README. The others are those of the Manifest.
    """

    tokenizer: str
    card: str
    model: ModelRecord
    defaults: Defaults
    lineage: tuple[Step, ...]
    io: IORecord = CONTRACT
    precision: WeightPrecision = "fp16"
    target: Target | None = None
    budgets: dict[str, Budget] | None = None
    scores: tuple[ScoreRecord, ...] = ()
    confidence: ConfidenceRecord | None = None
    documents: DocumentsRecord | None = None


@dataclass(frozen=True, eq=False)
class Built:
    """A model that a checkpoint became, not yet written.

    verify: reads the bundle back, as `read_back` does, and runs it beside what the checkpoint computes. Raises
    VerificationError or CheckpointError.
    notes: what was not as it should be in the checkpoint, in sentences.
    """

    model: "ov.Model"
    record: ModelRecord
    step: Step
    verify: Callable[[Draft, Path], Verification]
    notes: tuple[str, ...] = ()


def parts_of_checkpoint(source: Checkpoint, built: Built, no_answer_threshold: float | None) -> BundleParts:
    """Return the parts of the bundle of a checkpoint, its weights in FP16."""
    return BundleParts(
        tokenizer=source.tokenizer,
        card=source.card
        or f"# {source.path.name}\n\nNo model card came with this checkpoint; its licence is not known.\n",
        model=built.record,
        defaults=replace(Defaults.for_length(built.record.longest_input), no_answer_threshold=no_answer_threshold),
        lineage=(built.step,),
    )


def parts_of_successor(source: Bundle, step: Step) -> BundleParts:
    """Return the parts of a bundle made from another by one step; budgets, scores, confidence are not kept."""
    manifest = source.manifest
    return BundleParts(
        tokenizer=source.tokenizer_json,
        card=source.card,
        model=manifest.model,
        defaults=manifest.defaults,
        lineage=(*manifest.lineage, step),
        io=manifest.io,
        precision=manifest.precision,
        target=manifest.target,
    )


def write_parts(draft: Draft, model: "ov.Model | Mapping[str, bytes]", parts: BundleParts) -> Manifest:
    """Write every file of a bundle and seal it. model: as it is in memory, or its files by name."""
    if isinstance(model, Mapping):
        for name, content in model.items():
            draft.add(name, content)
    else:
        write_ir(model, draft.folder)
    draft.add(TOKENIZER, parts.tokenizer.encode())
    draft.add(CARD, parts.card.encode())
    beside = ("tokenizer", "card")
    return draft.seal(**{part.name: getattr(parts, part.name) for part in fields(parts) if part.name not in beside})


def read_back(draft: Draft, destination: Path) -> Bundle:
    """Return the bundle that lies in the draft's folder, as a device will read it, under the name it will have.

    This, and not what is in memory, is what a writer verifies.
    """
    return replace(Bundle.load(draft.folder), path=destination)


def made_by(recipe: str, options: dict[str, str], source: str, **tools: str) -> Step:
    """Return a step of the lineage. source: sha256 of what it was applied to; tools: besides `tool_versions`."""
    return Step(recipe, options, source, tool_versions() | tools)


def tool_versions() -> dict[str, str]:
    """Return the tools that decide a bundle's bytes."""
    return {"edge-qa": __version__, "openvino": ov.get_version().split("-")[0], "machine": platform.machine()}


def licence_of(card: str | None) -> str | None:
    """Return the `license:` of a model card's front matter; of a list the first."""
    names = [name for name in _front_matter(card, "license") if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+-]*", name)]
    return names[0] if names else None


def languages_of(card: str | None) -> tuple[str, ...] | None:
    """Return the `language:` of a model card's front matter, a name or a list; None if it does not say."""
    names = [name for name in _front_matter(card, "language") if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{1,34}", name)]
    return tuple(dict.fromkeys(names)) or None


def _front_matter(card: str | None, key: str) -> list[str]:
    """The values of a key in the YAML between the first two lines of dashes: one value, [a, b], or a line each."""
    front = re.match(r"\ufeff?---[ \t]*\n(.*?)\n---", card or "", re.DOTALL)
    line = r"[ \t]*-[ \t]+[^\n]*(?:\n|$)"
    pattern = rf"^{key}:[ \t]*(?:\n(?P<lines>(?:{line})+)|(?P<value>[^\n]*))"
    found = re.search(pattern, front.group(1), re.MULTILINE) if front else None
    if found is None:
        return []
    if found["lines"] is None:
        values = found["value"].partition("#")[0].strip().strip("[]").split(",")
    else:
        values = [item.partition("#")[0].strip().removeprefix("-") for item in found["lines"].splitlines()]
    return [value.strip(" \t'\"") for value in values]
