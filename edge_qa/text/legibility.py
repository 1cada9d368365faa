"""Whether a tokenizer knows the language of a text: most of it unknown, or shredded into single letters, says no."""

from edge_qa.text.tokenizer import TextTokenizer, Tokens

# Characters that are looked at, and the fewest letters that tell anything.
_SAMPLE, _FEWEST = 2000, 20
# Words of the languages that a vocabulary was made for have more than two letters a token, those of others about one.
_FEWEST_LETTERS_A_TOKEN = 1.25
_UNKNOWN_SHARE = 0.5
# Scripts that many models read character by character: kana, bopomofo, Han, and their compatible forms.
_CHARACTERS = ((0x3040, 0x31FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))


def reading_problem(tokenizer: TextTokenizer, tokens: Tokens, text: str) -> str | None:
    """Say how `text` reads, if its beginning is mostly unknown to the tokenizer or shredded; else return None.

    tokens: of the text, or of its first part.
    """
    if not len(tokens.ids):
        return None
    looked_at = tokens.offsets[:, 1] <= _SAMPLE
    ids, offsets = tokens.ids[looked_at], tokens.offsets[looked_at]
    lengths = offsets[:, 1] - offsets[:, 0]
    covered = int(lengths.sum())
    if tokenizer.unknown is not None and covered >= _FEWEST:
        unknown = int(lengths[ids == tokenizer.unknown].sum())
        if unknown > _UNKNOWN_SHARE * covered:
            return f"{unknown / covered:.0%} of its characters are unknown to the tokenizer"
    # Most texts are told to be whole at once: spaces count as letters here.
    if not len(ids) or offsets[:, 1].max() > 2 * _FEWEST_LETTERS_A_TOKEN * len(ids):
        return None
    spelt = [(begin, end) for begin, end in offsets.tolist() if _is_word_part(text[begin:end])]
    letters = len({place for begin, end in spelt for place in range(begin, end)})
    if letters >= _FEWEST and letters < _FEWEST_LETTERS_A_TOKEN * len(spelt):
        return f"its words are shredded into pieces of {letters / len(spelt):.1f} letters"
    return None


def _is_word_part(piece: str) -> bool:
    return piece.isalpha() and not any(first <= ord(piece[0]) <= last for first, last in _CHARACTERS)
