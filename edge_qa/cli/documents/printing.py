"""Lines about files whose names may hold anything, as a terminal can show them."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def printable(line: str) -> str:
    """Return a line with control characters, line breaks among them, and what is no character spelled out.

    A file name that is not UTF-8 holds lone surrogates, which a terminal does not take; one with a line break could
    forge a line.
    """
    shown = _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), line)
    return shown.encode("utf-8", "backslashreplace").decode()
