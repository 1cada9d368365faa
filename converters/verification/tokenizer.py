"""Prove that a tokenizer belongs to a model: no id and no token type that the model has no row for."""

from dataclasses import dataclass
from pathlib import Path

from edge_qa.errors import CheckpointError
from edge_qa.text.tokenizer import TextTokenizer

_SHOWN = 5


@dataclass(frozen=True)
class VerifiedTokenizer:
    """ids: how many a tokenizer gives. notes: what is worth saying about it, in sentences."""

    ids: int
    notes: tuple[str, ...]


def verify_tokenizer(tokenizer_json: str, *, vocabulary: int, token_types: int, where: Path) -> VerifiedTokenizer:
    """Hold a tokenizer against the tables of its model, of so many rows.

    token_types: how many types the model tells apart; 0 or 1 if it ignores them. `where` names the model in errors.
    Raises CheckpointError if they do not fit, BundleError if the tokenizer cannot be used at all.
    """
    tokenizer = TextTokenizer(tokenizer_json, f"{where}: tokenizer")
    beyond = tokenizer.tokens_from(vocabulary)
    ids = tokenizer.vocabulary
    if ids > vocabulary:
        reachable = [token for token, index in beyond if index < ids]
        raise CheckpointError(
            f"the tokenizer gives ids up to {ids - 1}, the word embeddings have {vocabulary} rows; "
            f"without a row: {_list(reachable)}",
            where=where,
            remedy="use the tokenizer that belongs to the model",
        )
    notes = []
    if beyond:
        tokens = _list([token for token, _ in beyond])
        notes.append(f"the word embeddings have no row for {tokens}, which no text becomes")
    template = tokenizer.template
    largest = max(
        (
            template.question_type,
            template.context_type,
            *template.before_types,
            *template.between_types,
            *template.after_types,
        )
    )
    if token_types > 1 and largest >= token_types:
        raise CheckpointError(
            f"the tokenizer gives token types up to {largest}, the model has {token_types}",
            where=where,
            remedy="use the tokenizer that belongs to the model",
        )
    if token_types > 1 and template.question_type == template.context_type:
        notes.append(
            f"the tokenizer gives question and context the same token type, {template.context_type}, "
            f"where the model tells {token_types} apart"
        )
    return VerifiedTokenizer(ids, tuple(notes))


def _list(tokens: list[str]) -> str:
    more = f" and {len(tokens) - _SHOWN} more" if len(tokens) > _SHOWN else ""
    return ", ".join(map(repr, tokens[:_SHOWN])) + more
