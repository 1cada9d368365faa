"""XLM-R's, CamemBERT's and ALBERT's tokenizers from a SentencePiece model file.

The file is one protocol buffer, `ModelProto` of sentencepiece_model.proto (Kudo and Richardson 2018,
arXiv 1808.06226); the few fields that matter are read here, so that neither the sentencepiece nor
the protobuf package is needed.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from converters.tokenization.protobuf import fields
from converters.tokenization.settings import mark_special, special_token
from edge_qa.errors import CheckpointError
from edge_qa.git_lfs import refuse_pointer

Scored = list[tuple[str, float]]

_UNIGRAM = 1
_SPACE = "▁"
_FAIRSEQ_SPECIAL = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
_ALBERT_SPECIAL = {"cls": "[CLS]", "pad": "<pad>", "sep": "[SEP]", "unk": "<unk>", "mask": "[MASK]"}


@dataclass(frozen=True)
class SentencePieceModel:
    """pieces: text and log probability, by id. charsmap: the compiled normalisation, or empty."""

    pieces: Scored
    algorithm: int
    unknown: int
    charsmap: bytes


def read_sentencepiece(path: Path) -> SentencePieceModel:
    """Read a SentencePiece model file. Raises CheckpointError."""
    pieces: Scored = []
    algorithm, unknown, charsmap = _UNIGRAM, 0, b""
    try:
        content = path.read_bytes()
        refuse_pointer(content, CheckpointError, path)
        for field, value in fields(content):
            if field == 1:  # SentencePiece: 1 piece, 2 score, 3 type
                piece = dict(fields(value))
                pieces.append((piece[1].decode(), struct.unpack("<f", piece.get(2, bytes(4)))[0]))
            elif field == 2:  # TrainerSpec: 3 model_type, 40 unk_id
                trainer = dict(fields(value))
                algorithm, unknown = trainer.get(3, _UNIGRAM), trainer.get(40, 0)
            elif field == 3:  # NormalizerSpec: 2 precompiled_charsmap
                charsmap = dict(fields(value)).get(2, b"")
        if not pieces or not 0 <= unknown < len(pieces):
            raise ValueError("it holds no vocabulary")
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, struct.error) as error:
        raise CheckpointError(
            f"cannot be read as a SentencePiece model ({error})", where=path, remedy="download the checkpoint again"
        ) from None
    if algorithm != _UNIGRAM:
        raise CheckpointError(
            f"got a SentencePiece model of type {algorithm}",
            where=path,
            wanted="1 (unigram)",
            remedy="make a tokenizer.json with transformers",
        )
    return SentencePieceModel(pieces, algorithm, unknown, charsmap)


def xlm_roberta(path: Path, settings: dict[str, Any]) -> Tokenizer:
    """XLM-R's tokenizer: fairseq put <s>, <pad>, </s>, <unk> first and <mask> last, so that ids are shifted by one."""
    model = read_sentencepiece(path)
    _require_first(path, model, ("<unk>", "<s>", "</s>"))
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *model.pieces[3:], ("<mask>", 0.0)]
    return _fairseq(vocab, model, settings, path)


def camembert(path: Path, settings: dict[str, Any]) -> Tokenizer:
    """CamemBERT's tokenizer: four ids of fairseq's stand unused before SentencePiece's own."""
    model = read_sentencepiece(path)
    _require_first(path, model, ("<unk>",))
    unused = [("<s>NOTUSED", 0.0), ("<pad>", 0.0), ("</s>NOTUSED", 0.0), ("<unk>", 0.0), ("<unk>NOTUSED", -100.0)]
    tokenizer = _fairseq([*unused, *model.pieces[1:], ("<mask>", 0.0)], model, settings, path)
    mark_special(tokenizer, [piece for piece, _ in unused], mask="")
    return tokenizer


def albert(path: Path, settings: dict[str, Any]) -> Tokenizer:
    """ALBERT's tokenizer: ids as in the file, lower-cased without accents unless the settings say otherwise."""
    model = read_sentencepiece(path)
    steps = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not settings.get("keep_accents", False):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if settings.get("do_lower_case", True):
        steps.append(normalizers.Lowercase())
    steps += [*_charsmap(model, path), normalizers.Replace(Regex(" {2,}"), " ")]
    # "1990," splits into the number and the comma, as in SQuAD's answers (ALBERT's own rule).
    vocab = [
        (piece, score - 100 if piece[-1:] == "," and piece[-2:-1].isdigit() else score) for piece, score in model.pieces
    ]
    tokenizer = _unigram(vocab, model.unknown, steps, path)
    cls, sep = _finish(tokenizer, settings, _ALBERT_SPECIAL, path)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    return tokenizer


BUILDERS: dict[str, Callable[[Path, dict[str, Any]], Tokenizer]] = {
    "AlbertTokenizer": albert,
    "CamembertTokenizer": camembert,
    "XLMRobertaTokenizer": xlm_roberta,
}


def _fairseq(vocab: Scored, model: SentencePieceModel, settings: dict[str, Any], path: Path) -> Tokenizer:
    steps = [
        *_charsmap(model, path),
        normalizers.Strip(left=False, right=True),
        normalizers.Replace(Regex(" {2,}"), _SPACE),
    ]
    tokenizer = _unigram(vocab, 3, steps, path)
    cls, sep = _finish(tokenizer, settings, _FAIRSEQ_SPECIAL, path)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} {sep} $B {sep}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in (cls, sep)],
    )
    return tokenizer


def _unigram(vocab: Scored, unknown: int, steps: list[Any], path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer(models.Unigram(vocab, unknown, False))
    except Exception as error:
        raise CheckpointError(
            f"its vocabulary cannot be used ({error})", where=path, remedy="download it again"
        ) from None
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_SPACE, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=_SPACE, prepend_scheme="always")
    return tokenizer


def _finish(tokenizer: Tokenizer, settings: dict[str, Any], defaults: dict[str, str], path: Path) -> tuple[str, str]:
    """Mark the special tokens; return those that begin a pair and end its parts."""
    special = {kind: special_token(settings, kind, default) for kind, default in defaults.items()}
    mark_special(tokenizer, list(special.values()), mask=special["mask"])
    lost = [special[kind] for kind in ("cls", "sep") if tokenizer.token_to_id(special[kind]) is None]
    if lost:
        raise CheckpointError(f"holds no {', '.join(lost)}", where=path, remedy="wanted the model's own vocabulary")
    return special["cls"], special["sep"]


def _charsmap(model: SentencePieceModel, path: Path) -> list[Any]:
    if not model.charsmap:
        return []
    try:
        return [normalizers.Precompiled(model.charsmap)]
    except Exception as error:
        raise CheckpointError(
            f"its normalisation cannot be read ({error})", where=path, remedy="download it again"
        ) from None


def _require_first(path: Path, model: SentencePieceModel, wanted: tuple[str, ...]) -> None:
    got = tuple(piece for piece, _ in model.pieces[: len(wanted)])
    if got != wanted:
        raise CheckpointError(
            f"begins with {', '.join(got)}",
            where=path,
            wanted=", ".join(wanted),
            remedy="it belongs to another kind of model",
        )
