"""The special tokens around a pair: what the tokenizer gives is compared with what the model was trained with.

A tokenizer.json may lack them, for pairs or altogether. The library then encodes a pair without a word, and the model
answers much worse.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer, processors

from converters.tokenization.settings import special_token
from edge_qa.errors import CheckpointError


@dataclass(frozen=True)
class _Style:
    """cls + question + separators * sep + context + sep; the context's type id is 1 where there are types."""

    cls: str
    sep: str
    separators: int
    types: int
    models: tuple[str, ...]  # the kinds of tokenizer that only models of this style have


_BERT = _Style("[CLS]", "[SEP]", 1, 1, ("WordPiece",))
_ALBERT = _Style("[CLS]", "[SEP]", 1, 1, ("Unigram", "BPE"))
_ROBERTA = _Style("<s>", "</s>", 2, 0, ("Unigram", "BPE"))

# Tokenizer class, without "Fast", and model_type of config.json -> what transformers puts around a pair.
_OF_CLASS = {
    "AlbertTokenizer": _ALBERT,
    "BertTokenizer": _BERT,
    "CamembertTokenizer": _ROBERTA,
    "DistilBertTokenizer": _BERT,
    "ElectraTokenizer": _BERT,
    "MobileBertTokenizer": _BERT,
    "RobertaTokenizer": _ROBERTA,
    "XLMRobertaTokenizer": _ROBERTA,
}
_OF_MODEL = {
    "albert": _ALBERT,
    "bert": _BERT,
    "camembert": _ROBERTA,
    "distilbert": _BERT,
    "electra": _BERT,
    "masked_bert": _BERT,
    "mobilebert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
}


def put_template_right(
    tokenizer: Tokenizer, settings: dict[str, Any], model_type: str | None, where: Path
) -> tuple[str, ...]:
    """Give a tokenizer, in place, the template that it lacks; return what was done, in sentences.

    settings: tokenizer_config.json. model_type: of config.json; None where nothing says what the model is.
    Raises CheckpointError if the template is wrong, and it is not certain what it should be.
    """
    kind = type(tokenizer.model).__name__
    style = _OF_CLASS.get(str(settings.get("tokenizer_class")).removesuffix("Fast"))
    if style is None:
        style = _OF_MODEL.get(model_type or "") if model_type else (_BERT if kind == "WordPiece" else _ROBERTA)
    problem = _problem(tokenizer, tokenizer.encode("a", "b"))
    if problem is None:
        return ()
    if style is None:  # an architecture that transformers exports may do without
        return (f"the tokenizer {problem}",)
    cls, sep = (special_token(settings, part, getattr(style, part)) for part in ("cls", "sep"))
    ids = [(token, tokenizer.token_to_id(token)) for token in dict.fromkeys((cls, sep))]
    if kind not in style.models or any(index is None for _, index in ids):
        raise CheckpointError(
            f"its tokenizer {problem}",
            where=where,
            wanted=f"{style.cls}, {style.sep} or their like around both",
            remedy="give the model's own tokenizer.json, with a post_processor for pairs",
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {f'{sep}:0 ' * style.separators}$B:{style.types} {sep}:{style.types}",
        special_tokens=ids,
    )
    return (f"the tokenizer {problem}; {cls} and {sep} were put there, as this kind of model needs them",)


def _problem(tokenizer: Tokenizer, pair: Encoding) -> str | None:
    """What is wrong with the special tokens around an encoded pair, or None."""
    sides, ids = pair.sequence_ids, pair.ids
    if 0 not in sides or 1 not in sides:
        return None  # it makes nothing of letters: refused by all who use it
    first, last = sides.index(0), len(sides) - 1 - sides[::-1].index(1)
    between = [index for index, side in zip(ids[first:last], sides[first:last], strict=True) if side is None]
    places = {"before the question": ids[:first], "between the two": between, "after the context": ids[last + 1 :]}
    empty = [name for name, found in places.items() if not found]
    if empty:
        return f"puts no special token {', '.join(empty)}"
    special = {index for index, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    names = {_BERT.cls, _BERT.sep, _ROBERTA.cls, _ROBERTA.sep}
    words = [
        token
        for index in itertools.chain(*places.values())
        if index not in special and (token := tokenizer.id_to_token(index)) not in names
    ]
    if words:
        return f"puts {', '.join(map(repr, dict.fromkeys(words)))} around a pair, which are no special tokens"
    return None
