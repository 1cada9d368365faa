"""The manifest of a bundle, bundle.json: what the model is, what it takes, how it was made, what it scores."""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from edge_qa.bundle.json_dataclass import decode
from edge_qa.errors import BundleError, InputError

# 2 added `languages` to the model, 3 `confidence`, 4 `documents`; all earlier ones are still read.
FORMAT = 4
MANIFEST_NAME = "bundle.json"
MODEL_XML, MODEL_BIN, TOKENIZER, CARD = "model.xml", "model.bin", "tokenizer.json", "README.md"
# What `edge-qa pack-native` adds: the model for the native engine.
PACKED_MODEL = "model.native"
REQUIRED_FILES = (MODEL_XML, MODEL_BIN, TOKENIZER, CARD)
# The name of model.xml among the budgets: every token is kept.
FULL_BUDGET = "full"

# The four-input contract, in order; `position_ids` is the one that an imported model may lack.
INPUT_ROLES = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
OUTPUT_ROLES = ("output_s", "output_e")

# A bundle is one flat folder: no separators, no "..", nothing hidden.
_BUDGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")

IntegerType = Literal["i64", "i32"]
WeightPrecision = Literal["fp32", "fp16", "int8"]
Target = Literal["any", "avx2", "vnni"]
# The terms of the two logistic functions of a confidence; see `edge_qa/inference/confidence.py`.
CONFIDENCE_TERMS = ("constant", "margin", "lead", "length")
# The same of an answer from documents; see `edge_qa/documents/ranking.py`.
DOCUMENT_TERMS = (*CONFIDENCE_TERMS, "closeness", "missing", "gap")
TokenRule = Literal["attention", "probe"]  # what ranks the tokens of a token budget


@dataclass(frozen=True)
class FileRecord:
    """Size in bytes and sha256 of one file of the bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelRecord:
    """What the model is. Per-layer values are None where an imported IR does not tell."""

    family: str
    layers: int | None
    hidden: int | None
    heads: tuple[int, ...] | None
    ffn_widths: tuple[tuple[int, ...], ...] | None  # one tuple a layer: MobileBERT has several blocks in each
    vocabulary: int
    token_types: int  # how many token types the model tells apart; 0 if it ignores them
    longest_input: int  # tokens
    parameters: int
    multiply_adds_384: int  # of all matrix products for one input of 384 tokens
    sparsity: float  # share of zeros in the weights of the encoder's matrix products, 0..1
    licence: str | None
    languages: tuple[str, ...] | None = None  # as the model card names them: en, de, multilingual


@dataclass(frozen=True)
class InputRecord:
    """The IR tensor that plays one input role."""

    name: str
    type: IntegerType


@dataclass(frozen=True)
class IORecord:
    """Which IR tensor plays which role; batch and tokens are None where the axis is dynamic."""

    inputs: dict[str, InputRecord]
    outputs: dict[str, str]
    batch: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Defaults:
    """Settings that an answer uses unless told otherwise; lengths in tokens."""

    max_seq_len: int = 384
    doc_stride: int = 128
    max_question_len: int = 64
    max_answer_len: int = 30
    no_answer_threshold: float | None = None

    @classmethod
    def for_length(cls, longest: int) -> "Defaults":
        """The usual settings; for a model that takes less than 384 tokens, stride and question shrink with it."""
        window = min(384, longest)
        part = max(1, window // 3)
        return cls(max_seq_len=window, doc_stride=min(128, part), max_question_len=min(64, part))


@dataclass(frozen=True)
class Budget:
    """One token budget: its IR over the one weights file, and the share of tokens each layer keeps.

    rule: how tokens are ranked; step: what their number is rounded up to a multiple of.
    f1, relative_latency: measured where the budget was made, the latter against all tokens kept.
    """

    model: str
    keep: tuple[float, ...]
    rule: TokenRule
    step: int
    f1: float | None = None
    relative_latency: float | None = None


@dataclass(frozen=True)
class Step:
    """One step of the lineage: the recipe, what it was applied to, and with which tools. No dates, no timings."""

    recipe: str
    options: dict[str, str]
    source: str  # sha256 of the source: a bundle's digest, or a checkpoint's hash
    tools: dict[str, str]


@dataclass(frozen=True)
class ScoreRecord:
    """Official scores on one data set, and the settings that produced them."""

    dataset: str
    dataset_sha256: str
    metric: Literal["v1.1", "v2.0"]
    questions: int
    exact_match: float
    f1: float
    settings: dict[str, str]


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of like confidence: the bounds, how many, what they said on average, and how many were right (0..1)."""

    low: float
    high: float
    answers: int
    confidence: float
    right: float


@dataclass(frozen=True)
class ConfidenceLevel:
    """What comes of answering at this confidence or more; shares, 0..1.

    answered: of all questions. wrong: of what is answered. kept: of the right answers.
    false_answers: of the questions without an answer, those that are answered.
    """

    min_confidence: float
    answered: float
    wrong: float
    kept: float
    false_answers: float


@dataclass(frozen=True)
class RiskLimit:
    """The least confidence at which no more than a share of the questions without an answer is answered.

    By conformal risk control: holds on average over questions exchangeable with the `questions` it was found on.
    kept: the share of right answers that still come, 0..1.
    """

    false_answers: float
    min_confidence: float
    questions: int
    kept: float


@dataclass(frozen=True)
class ConfidenceRecord:
    """How sure an answer is: two logistic functions and how they did on questions that did not fit them.

    answer: weights of the probability that an answer is right, which is an F1 of 0.5 or more against the best given
    one. none: of the probability that there is no answer. dataset, dataset_sha256, seed: what they were fitted on.
    questions: read to fit and to check, with and without an answer in what was read.
    """

    answer: dict[str, float]
    none: dict[str, float]
    dataset: str
    dataset_sha256: str
    seed: int
    questions: int
    expected_calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    levels: tuple[ConfidenceLevel, ...]
    limit: RiskLimit | None


@dataclass(frozen=True)
class DocumentsRecord:
    """How answers from an index of documents are ranked, and how sure they are.

    passages: how many were read for each question when this was fitted. closeness: what the closeness of a passage
    counts beside the model's margin. confidence: its terms are DOCUMENT_TERMS.
    """

    passages: int
    closeness: float
    confidence: ConfidenceRecord


@dataclass(frozen=True)
class Manifest:
    """Everything that bundle.json says; see design of the bundle in the README."""

    format: int
    digest: str
    files: dict[str, FileRecord]
    model: ModelRecord
    io: IORecord
    precision: WeightPrecision
    target: Target | None
    defaults: Defaults
    lineage: tuple[Step, ...]
    budgets: dict[str, Budget] | None = None
    scores: tuple[ScoreRecord, ...] = field(default=())
    confidence: ConfidenceRecord | None = None
    documents: DocumentsRecord | None = None

    def budget_model(self, budget: str, where: str | os.PathLike[str]) -> str:
        """Return the file of a budget's model. Raises InputError for one that the bundle, at `where`, does not have."""
        if budget == FULL_BUDGET:
            return MODEL_XML
        if budget not in (self.budgets or {}):
            known = ", ".join((*(self.budgets or {}), FULL_BUDGET))
            hint = "" if self.budgets else "; edge-qa search-budgets makes faster ones"
            raise InputError(f"budget: got {budget!r}, this bundle has {known}{hint}", where=os.fspath(where))
        assert self.budgets is not None
        return self.budgets[budget].model

    def compute_digest(self) -> str:
        """Return the sha256 of the canonical JSON of everything but the digest."""
        content = {key: value for key, value in self._content().items() if key != "digest"}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _content(self) -> dict[str, Any]:
        """What bundle.json holds, without the keys that its format lacks."""
        content = asdict(self)
        if self.format < 2:
            del content["model"]["languages"]
        if self.format < 3:
            del content["confidence"]
        if self.format < 4:
            del content["documents"]
        return content

    def to_bytes(self) -> bytes:
        """Return bundle.json; the same manifest always gives the same bytes."""
        return (json.dumps(self._content(), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_manifest(content: bytes, where: str) -> Manifest:
    """Read bundle.json strictly. Raises BundleError for anything that this release would not have written."""
    remedy = "restore the bundle or make it again"
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"not JSON ({error})", where=where, remedy=remedy) from None
    if not isinstance(raw, dict) or not isinstance(raw.get("format"), int):
        raise BundleError("not a bundle manifest (no integer `format`)", where=where, remedy=remedy)
    if not 1 <= raw["format"] <= FORMAT:
        newer = raw["format"] > FORMAT
        hint = "install a newer edge-qa" if newer else "make the bundle again"
        raise BundleError(
            f"bundle format {raw['format']}, this release reads formats 1 to {FORMAT}", where=where, remedy=hint
        )
    problems: list[str] = []
    manifest = decode(Manifest, raw, "manifest", problems)
    if manifest is not None:
        problems += _inconsistencies(manifest)
    if manifest is None or problems:
        raise BundleError("; ".join(problems), where=where, remedy=remedy)
    try:
        altered = manifest.digest != manifest.compute_digest() or manifest.to_bytes() != content
    except (ValueError, OverflowError):  # numbers without a value, half a character
        altered = True
    if altered:
        raise BundleError("altered after it was written (its digest does not match)", where=where, remedy=remedy)
    return manifest


def _inconsistencies(manifest: Manifest) -> list[str]:
    problems = []
    for name, record in manifest.files.items():
        if not _FILE_NAME.fullmatch(name) or name == MANIFEST_NAME:
            problems.append(f"manifest.files: {name!r} is not a plain file name inside the bundle")
        if not _SHA256.fullmatch(record.sha256) or record.bytes < 0:
            problems.append(f"manifest.files.{name}: got a size or sha256 that no file has")
    problems += [f"manifest.files: {name!r} is missing" for name in REQUIRED_FILES if name not in manifest.files]
    unknown = manifest.io.inputs.keys() - set(INPUT_ROLES)
    problems += [f"manifest.io.inputs: unknown role {role!r}" for role in sorted(unknown)]
    missing = set(INPUT_ROLES[:2]) - manifest.io.inputs.keys()
    problems += [f"manifest.io.inputs: role {role!r} is missing" for role in sorted(missing)]
    if set(manifest.io.outputs) != set(OUTPUT_ROLES):
        problems.append(f"manifest.io.outputs: got {sorted(manifest.io.outputs)}, wanted {sorted(OUTPUT_ROLES)}")
    for name, budget in (manifest.budgets or {}).items():
        if budget.model not in manifest.files:
            problems.append(f"manifest.budgets.{name}: {budget.model!r} is not among the files")
        if name == FULL_BUDGET:
            problems.append(f"manifest.budgets: {FULL_BUDGET!r} is the model that drops nothing")
        if not _BUDGET_NAME.fullmatch(name) or budget.model != f"model.{name}.xml":
            problems.append(f"manifest.budgets: {name!r} with model {budget.model!r} is no name and model of a budget")
        falling = all(later <= earlier for earlier, later in zip(budget.keep, budget.keep[1:], strict=False))
        layers = manifest.model.layers
        if not (falling and all(0 < share <= 1 for share in budget.keep)) or len(budget.keep) != layers:
            problems.append(f"manifest.budgets.{name}: got {list(budget.keep)}, wanted {layers} shares, none rising")
        if budget.step < 1:
            problems.append(f"manifest.budgets.{name}.step: got {budget.step}, wanted at least 1")
    documents = None if manifest.documents is None else manifest.documents.confidence
    for key, fitted, terms in (
        ("confidence", manifest.confidence, CONFIDENCE_TERMS),
        ("documents.confidence", documents, DOCUMENT_TERMS),
    ):
        problems += [
            f"manifest.{key}.{name}: wanted the terms {', '.join(terms)}"
            for name in ("answer", "none")
            if fitted is not None and set(getattr(fitted, name)) != set(terms)
        ]
    if manifest.documents is not None and manifest.documents.passages < 1:
        problems.append(f"manifest.documents.passages: got {manifest.documents.passages}, wanted at least 1")
    model, io = manifest.model, manifest.io
    sizes = {
        f"defaults.{f.name}": getattr(manifest.defaults, f.name)
        for f in fields(Defaults)
        if f.name != "no_answer_threshold"
    }
    sizes |= {"model.vocabulary": model.vocabulary, "model.longest_input": model.longest_input}
    sizes |= {f"io.{name}": size for name, size in (("batch", io.batch), ("tokens", io.tokens)) if size is not None}
    problems += [f"manifest.{name}: got {size}, wanted at least 1" for name, size in sizes.items() if size < 1]
    if model.token_types < 0:
        problems.append(f"manifest.model.token_types: got {model.token_types}, wanted at least 0")
    if io.tokens is not None and io.tokens > model.longest_input:
        problems.append(f"manifest.io.tokens: got {io.tokens}, wanted at most longest_input ({model.longest_input})")
    return problems
