"""What a reader takes for one character: a letter with its accents, a flag, an emoji with its modifiers.

These are the extended grapheme clusters of Unicode (UAX #29) with four differences, each on the safe
side or harmless for where an answer may be cut:

* a mark after white space stands alone, because no answer begins with white space;
* whatever follows a zero-width joiner belongs to what stands before it, emoji or not;
* every mark belongs to the character before it, the few that UAX #29 sets apart in Burmese and Tai scripts, too;
* a prepended mark (the Arabic number sign, say) and a consonant after a virama are characters of their own.
"""

import unicodedata

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint32]

_FIRST_MARK = 0x300
_ZERO_WIDTH_JOINER = 0x200D
# Extenders that are no marks by category: the zero-width non-joiner, the vowels am of Thai and Lao, the voicing
# marks of halfwidth katakana, skin tones, and the tags in the flags of England, Scotland and Wales.
_EXTENDERS = frozenset(
    (0x200C, _ZERO_WIDTH_JOINER, 0xE33, 0xEB3, 0xFF9E, 0xFF9F, *range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080))
)
_REGIONAL_INDICATORS = (0x1F1E6, 0x1F1FF)
_SYLLABLES = (0xAC00, 0xD7A3)
# Hangul jamo that begin a syllable (L), stand in its middle (V), and end it (T).
_JAMO = {"L": ((0x1100, 0x115F), (0xA960, 0xA97C)), "V": ((0x1160, 0x11A7), (0xD7B0, 0xD7C6))}
_JAMO["T"] = ((0x11A8, 0x11FF), (0xD7CB, 0xD7FB))


def continues(codes: Codes) -> NDArray[np.bool_] | None:
    """Where a code point belongs to the character before it, (code points,); None if none does.

    codes: of the text, (code points,), at least one.
    """
    # Nearly all text has nothing to join, and the scan for the largest code is all that it pays for.
    if codes.max() < _FIRST_MARK:
        return None
    # Not np.unique, which imports numpy.ma: a hundredth of a second of a first answer.
    kinds = np.array(sorted(set(codes[codes >= _FIRST_MARK].tolist())))
    extenders = [code for code in kinds.tolist() if code in _EXTENDERS or unicodedata.category(chr(code))[0] == "M"]
    flags, jamo = _any_in(kinds, _REGIONAL_INDICATORS), any(_any_in(kinds, *ranges) for ranges in _JAMO.values())
    if not (extenders or flags or jamo):
        return None
    joined = np.isin(codes, extenders)
    joined[1:] |= codes[:-1] == _ZERO_WIDTH_JOINER
    if flags:
        joined |= _second_halves(_within(codes, _REGIONAL_INDICATORS))
    if jamo:
        joined |= _inside_syllables(codes)
    joined[0] = False
    # Nothing joins white space or a control character, and neither joins anything.
    places = np.flatnonzero(joined)
    alone = [code for code in np.unique(codes[[places - 1, places]]).tolist() if _stands_alone(code)]
    joined[places] &= ~np.isin(codes[[places - 1, places]], alone).any(axis=0)
    return joined


def _stands_alone(code: int) -> bool:
    kind = unicodedata.category(chr(code))
    return chr(code).isspace() or kind in ("Cc", "Zl", "Zp") or (kind == "Cf" and code not in _EXTENDERS)


def _second_halves(indicators: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every second regional indicator of each run of them: two make a flag."""
    places = np.arange(len(indicators))
    before = np.maximum.accumulate(np.where(indicators, -1, places))  # the last place that is none, or -1
    second: NDArray[np.bool_] = indicators & ((places - before) % 2 == 0)
    return second


def _inside_syllables(codes: Codes) -> NDArray[np.bool_]:
    """Where a Hangul jamo or syllable continues a syllable (rules GB6 to GB8)."""
    first, middle, last = (_within(codes, *_JAMO[kind]) for kind in "LVT")
    syllable = _within(codes, _SYLLABLES)
    open_syllable = syllable & ((codes - _SYLLABLES[0]) % 28 == 0)  # without a last jamo
    joined = np.zeros(len(codes), bool)
    joined[1:] = (
        (first[:-1] & (first | middle | syllable)[1:])
        | ((middle | open_syllable)[:-1] & (middle | last)[1:])
        | ((last | syllable)[:-1] & last[1:])
    )
    return joined


def _within(codes: Codes, *ranges: tuple[int, int]) -> NDArray[np.bool_]:
    found = np.zeros(len(codes), bool)
    for low, high in ranges:
        found |= (codes >= low) & (codes <= high)
    return found


def _any_in(codes: Codes, *ranges: tuple[int, int]) -> bool:
    return bool(_within(codes, *ranges).any())
