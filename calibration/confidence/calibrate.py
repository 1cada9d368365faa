"""Bundle -> bundle whose answers say how sure they are."""

import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibration.confidence.documents import fit_documents
from calibration.confidence.logistic import fit_monotone
from calibration.confidence.options import ConfidenceOptions
from calibration.confidence.reads import Read, halves, questions_of, read
from calibration.confidence.reliability import expected_calibration_error, levels, reliability, risk_limit
from converters.bundle_writer import made_by, parts_of_successor, read_back, write_parts
from edge_qa.answerer import QuestionAnswerer
from edge_qa.bundle.bundle import Bundle, new_bundle
from edge_qa.bundle.manifest import CARD, TOKENIZER, ConfidenceRecord, Manifest
from edge_qa.evaluation.dataset import Dataset, read_dataset
from edge_qa.files import check_destination, scratch_folder
from edge_qa.inference.confidence import SIGNS, probabilities
from edge_qa.progress import Progress, no_progress


@dataclass(frozen=True)
class ConfidenceFit:
    """A bundle with a confidence, and what is known of it."""

    path: Path
    manifest: Manifest

    @property
    def record(self) -> ConfidenceRecord:
        """What the manifest says of the confidence."""
        assert self.manifest.confidence is not None
        return self.manifest.confidence

    def as_json(self) -> dict[str, Any]:
        """Return the record and where the bundle lies, as JSON values."""
        documents = self.manifest.documents
        return {
            "bundle": str(self.path),
            **asdict(self.record),
            "documents": None if documents is None else asdict(documents),
        }


def calibrate_confidence(
    bundle: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    *,
    data: str | os.PathLike[str],
    options: ConfidenceOptions = ConfidenceOptions(),
    force: bool = False,
    progress: Progress = no_progress,
) -> ConfidenceFit:
    """Fit how sure the answers of a bundle are, and write it with that.

    data: questions with answers, as a SQuAD file or JSON lines, of the kind that will be asked. Where none of them is
    without an answer, partners without one are made by retrieval over all passages of the file.
    The model is the same, and so are answers and scores. Half of the passages fit the confidence; its reliability and
    the limit for false answers come from the other half.
    Raises InputError if the data gives too few right answers, or too few questions without one.
    """
    output = Path(os.path.abspath(destination))
    check_destination(output, force=force, sources=[bundle, data])
    progress("prepare")
    source = Bundle.load(bundle)
    questions = read_dataset(data)
    answerer = QuestionAnswerer(source)
    record = fitted_confidence(answerer, questions, options, progress)
    documents = source.manifest.documents
    if options.documents:
        with scratch_folder(output) as folder:
            documents = fit_documents(
                answerer,
                questions,
                folder,
                questions=options.documents,
                false_answers=options.false_answers,
                seed=options.seed,
                progress=progress,
            )
    progress("write")
    step = made_by(
        "calibrate-confidence",
        {
            "data": questions.name,
            "data_sha256": questions.sha256,
            "questions": str(record.questions),
            "false_answers": f"{options.false_answers:g}",
            "seed": str(options.seed),
            "documents": str(options.documents),
        },
        source.manifest.digest,
    )
    with new_bundle(output, force=force) as draft:
        files = {name: source.read(name).tobytes() for name in source.manifest.files if name not in (TOKENIZER, CARD)}
        manifest = write_parts(
            draft,
            files,
            replace(
                parts_of_successor(source, step),
                budgets=source.manifest.budgets,
                scores=source.manifest.scores,
                confidence=record,
                documents=documents,
            ),
        )
        read_back(draft, output)
    return ConfidenceFit(output, manifest)


def fitted_confidence(
    answerer: QuestionAnswerer, data: Dataset, options: ConfidenceOptions, progress: Progress
) -> ConfidenceRecord:
    """Read questions of the data, and fit a confidence on what came of them. Raises InputError for too few."""
    drawn = questions_of(data, options.questions, seed=options.seed)
    return fit_confidence(read(answerer, drawn, progress), data, options)


def fit_confidence(reads: list[Read], data: Dataset, options: ConfidenceOptions) -> ConfidenceRecord:
    """Return what a manifest says of a confidence. Raises InputError for too few reads."""
    fitting, checking = halves(reads, seed=options.seed, where=data.where)
    terms = [one.terms for one in fitting]
    answer = fit_monotone(terms, np.array([one.right for one in fitting]), SIGNS)
    none = fit_monotone(
        terms, np.array([not one.answerable for one in fitting]), {name: -sign for name, sign in SIGNS.items()}
    )
    confidence = probabilities(
        np.array([answer["constant"] + sum(answer[name] * one.terms[name] for name in SIGNS) for one in checking])
    )
    right = np.array([one.right for one in checking])
    answerable = np.array([one.answerable for one in checking])
    bins = reliability(confidence, right)
    return ConfidenceRecord(
        answer=answer,
        none=none,
        dataset=data.name,
        dataset_sha256=data.sha256,
        seed=options.seed,
        questions=len(reads),
        expected_calibration_error=expected_calibration_error(bins),
        reliability=bins,
        levels=levels(confidence, right, answerable),
        limit=risk_limit(confidence, right, answerable, options.false_answers),
    )
