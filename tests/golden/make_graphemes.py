r"""Write graphemes.json: where characters begin in texts made of awkward code points.

Reference: `\X` of the PyPI package regex, 2026.11.15, which implements the extended grapheme clusters of UAX #29.
Run in an environment with that package, from the root of the repository:

    python tests/golden/make_graphemes.py

Left out is what edge_qa/text/graphemes.py treats otherwise on purpose: a mark after white space, anything but an
emoji after a zero-width joiner, prepended marks, and consonants after a virama.
"""

import json
import random
from importlib.metadata import version
from pathlib import Path

import regex

ALPHABET = (
    *"ab1 \n\r\t\0",
    *"\u00a0\u00ad\u200b\u200c\u200e\u2028\ufeff\u3000",  # white space, controls and other things of no width
    *"\u0301\u0323\u0345\u20e3\ufe0f\u0483\u05b0\u064b\u0e31\u0e33\u0eb3\u0903\u0bbf\u3099\uff9e",  # marks
    *"\u05d0\u0627\u0e01\u0b95\u304b\uff76\u4e2d",
    *"\u1100\ua960\u1161\ud7b0\u11a8\ud7cb\uac00\uac01\ud7a3",  # jamo and syllables
    *"\U0001f1eb\U0001f1f7\U0001f1e9",  # regional indicators
    *"\U0001f44d\U0001f3fb\U0001f3ff\U0001f468\U0001f3f4\U000e0067\U000e007f\u2764",
    "\u200d\U0001f680",
)
SPACE_THEN_MARK = regex.compile(r"\s[\p{M}\u200c\u200d\u0e33\u0eb3\uff9e\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]")
JOINED_TO_NO_EMOJI = regex.compile(r"(?<!\p{Extended_Pictographic}\p{GCB=Extend}*)\u200d")


def main() -> None:
    """Write the golden file beside this script."""
    draw = random.Random(7)
    rows = []
    while len(rows) < 400:
        text = "".join(draw.choice(ALPHABET) for _ in range(draw.randint(1, 10)))
        if not SPACE_THEN_MARK.search(text) and not JOINED_TO_NO_EMOJI.search(text):
            rows.append([text, [match.start() for match in regex.finditer(r"\X", text)]])
    lines = ",\n".join(json.dumps(row) for row in rows)  # ASCII, so that what the texts hold can be seen
    golden = f'{{"made_by":{json.dumps({"regex": version("regex")})},\n"texts":[\n{lines}\n]}}\n'
    Path(__file__).with_name("graphemes.json").write_text(golden, encoding="ascii")


if __name__ == "__main__":
    main()
