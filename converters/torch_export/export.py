"""A checkpoint of an architecture with no module of its own -> model: trace it, and verify against torch."""

from pathlib import Path

import numpy as np

from converters.bundle_writer import Built, languages_of, licence_of, made_by, read_back
from converters.checkpoints.checkpoint import Checkpoint
from converters.ir.counting import count
from converters.torch_export.transformers_model import LONGEST, Inputs, TorchModel, torch_versions
from converters.verification.tokenizer import verify_tokenizer
from converters.verification.verify import TOLERANCE, Verification, relative_difference
from edge_qa._openvino import ov
from edge_qa.bundle.bundle import Draft
from edge_qa.bundle.manifest import ModelRecord
from edge_qa.errors import BundleError, InferenceError
from edge_qa.inference.engine import Engine
from edge_qa.progress import Progress, no_progress
from edge_qa.text.tokenizer import PairTemplate, TextTokenizer

# Tokens of each row. Nothing that is verified has the batch or the length that is traced.
_TRACED = (21, 15)
_ROUNDED = (48, 31, 17)
_VERIFIED = ((9,), _ROUNDED, (177,), (LONGEST,))


def export(source: Checkpoint, *, progress: Progress = no_progress) -> Built:
    """Trace a checkpoint that transformers can load. `converters.conversion.convert` writes what comes of it.

    Raises CheckpointError if transformers cannot load it or if it cannot be traced; the result's `verify`
    does if the trace computes anything else than torch does.
    """
    template = TextTokenizer(source.tokenizer, f"{source.path}: tokenizer").template
    network = TorchModel(source, template)
    tokenizer = verify_tokenizer(
        source.tokenizer, vocabulary=network.vocabulary, token_types=network.token_types, where=source.path
    )
    progress("build")
    sample = sample_pairs(network, template, _ROUNDED)
    original = network.logits(sample)
    network.round_to_storage()
    rounding = relative_difference(network.logits(sample), original, sample["attention_mask"].astype(bool))
    model = network.trace(sample_pairs(network, template, _TRACED))

    def verified(draft: Draft, destination: Path) -> Verification:
        return Verification(_difference(draft, destination, network, template), rounding, len(_VERIFIED))

    step = made_by("convert", {"through": "torch"}, source.sha256, **torch_versions())
    return Built(model, _describe(network, model), step, verified, (*source.notes, *tokenizer.notes))


def sample_pairs(network: TorchModel, template: PairTemplate, lengths: tuple[int, ...]) -> Inputs:
    """Inputs of the contract from a fixed seed: one pair of question and context a row, padded to the longest.

    The special tokens stand where the tokenizer puts them, and only there, and no padding among the
    words: some architectures look for them.
    """
    random = np.random.default_rng(0)
    special = {*template.before, *template.between, *template.after, network.padding_id}
    words = np.array([i for i in range(network.vocabulary) if i not in special])
    lengths = tuple(min(length, network.longest_input) for length in lengths)
    shape = (len(lengths), max(lengths))
    inputs = {role: np.zeros(shape, np.int64) for role in ("input_ids", "token_type_ids")}
    for row, length in enumerate(lengths):
        room = length - template.special_tokens
        asked, told = np.split(random.choice(words, room), [max(1, room // 3)])
        kinds = (
            *template.before_types,
            *len(asked) * [template.question_type],
            *template.between_types,
            *len(told) * [template.context_type],
            *template.after_types,
        )
        inputs["input_ids"][row, :length] = (*template.before, *asked, *template.between, *told, *template.after)
        inputs["token_type_ids"][row, :length] = kinds if network.token_types > 1 else 0
    positions = np.broadcast_to(np.arange(max(lengths)), shape)
    real = positions < np.array(lengths)[:, None]
    return inputs | {"attention_mask": real.astype(np.int64), "position_ids": positions}


def _describe(network: TorchModel, model: "ov.Model") -> ModelRecord:
    try:
        cost = count(model, min(384, network.longest_input))
    except RuntimeError:  # a shape that is not known even where the input's is
        raise network.refusal("its trace holds shapes that depend on more than the length of the input") from None
    return ModelRecord(
        family=network.family,
        layers=network.layers,
        hidden=network.hidden,
        heads=None,
        ffn_widths=None,
        vocabulary=network.vocabulary,
        token_types=network.token_types,
        longest_input=network.longest_input,
        parameters=cost.parameters,
        multiply_adds_384=cost.multiply_adds,
        sparsity=cost.sparsity,
        licence=licence_of(network.source.card),
        languages=languages_of(network.source.card),
    )


def _difference(draft: Draft, destination: Path, network: TorchModel, template: PairTemplate) -> float:
    """The largest difference between the bundle and torch, relative to max(1, largest |logit|).

    A trace holds the branches that its one example took: where an architecture decides by the length
    or the values of an input, other inputs give other logits, or none. Raises CheckpointError then.
    """
    differences = {}
    try:
        engine = Engine(read_back(draft, destination))
        for lengths in _VERIFIED:
            inputs = sample_pairs(network, template, lengths)
            real = inputs["attention_mask"].astype(bool)
            tokens = inputs["input_ids"].shape[1]
            differences[tokens] = relative_difference(engine.run(inputs), network.logits(inputs), real)
    except (BundleError, InferenceError) as error:
        raise network.refusal(error) from None
    tokens, worst = max(differences.items(), key=lambda item: item[1])
    if not worst <= TOLERANCE:
        raise network.refusal(
            f"at {tokens} tokens the logits of its trace differ from torch's by {worst:.2e}, "
            f"wanted at most {TOLERANCE:.0e}"
        )
    return worst
