"""The blocks of code in a page of the documentation, and what is said about them."""

import re
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted((ROOT / "docs" / "guide").glob("*.md"))
PAGES = [ROOT / "README.md", *GUIDES]
# What a fence may hold: code that is run, output that is compared with it, and files that are only shown.
RUN = frozenset({"sh", "python"})
SHOWN = frozenset({"text", "json", "ini", "dockerfile"})

_FENCE = re.compile(
    r"^(?P<marks>(?:<!-- [^\n]* -->\n)*)```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- (?P<name>not run|slow|exit|output varies|block needs)(?:: (?P<value>.+?))? -->")


@dataclass(frozen=True)
class Block:
    """One block that is run, with the output that the page shows below it, None if it shows none.

    not_run: why it is not. slow: run by `make docs` only. exit: the exit code that is right.
    varies: the output differs from run to run, so that only its success is checked.
    needs: a module that an extra brings; where it is not installed the block is not run.
    """

    language: str
    code: str
    line: int
    output: str | None
    not_run: str | None = None
    slow: bool = False
    exit: int = 0
    varies: bool = False
    needs: str | None = None


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page that are run, or say why they are not. Raises ValueError for an unknown fence."""
    text = path.read_text(encoding="utf-8")
    found: list[Block] = []
    fences = list(_FENCE.finditer(text))
    for number, fence in enumerate(fences):
        language = fence["language"]
        line = text.count("\n", 0, fence.start("code"))
        if language not in RUN | SHOWN:
            raise ValueError(f"{path}:{line}: a fence of {language!r}, wanted one of {sorted(RUN | SHOWN)}")
        if language not in RUN:
            continue
        marks = {mark["name"]: mark["value"] for mark in _MARK.finditer(fence["marks"])}
        following = fences[number + 1] if number + 1 < len(fences) else None
        output = None
        if (
            following
            and following["language"] in ("text", "json")
            and not text[fence.end() : following.start()].strip()
        ):
            output = following["code"]
        found.append(
            Block(
                language,
                fence["code"],
                line,
                output,
                not_run=marks.get("not run"),
                slow="slow" in marks,
                exit=int(marks.get("exit") or 0),
                varies="output varies" in marks,
                needs=marks.get("block needs"),
            )
        )
    return found


def needs(path: Path) -> list[str]:
    """Return the bundles that a page begins with, as `<!-- begins with: bundles/fp16 -->` says."""
    found = re.search(r"<!-- begins with: (.+?) -->", path.read_text(encoding="utf-8"))
    return found[1].split() if found else []


def lacks(path: Path) -> list[str]:
    """Return the modules and programs that a page needs (`<!-- needs: ... -->`) and that are not here."""
    found = re.search(r"<!-- needs: (.+?) -->", path.read_text(encoding="utf-8"))
    names = found[1].split() if found else []
    return [name for name in names if find_spec(name) is None and shutil.which(name) is None]


# A log gets a line a minute that something still goes on; how many depends on the machine.
_PROGRESS = re.compile(r"^[\w .-]+: \d+/\d+  \d+%$", re.MULTILINE)
_FIGURE = re.compile(r"\d[\d,]*\.\d+(?:e[+-]?\d+)?|\d+e[+-]?\d+|\d+(?= ?(?:ms|s|MB|GB|%|x)\b)")


def normal(output: str) -> str:
    """Return output without progress, with measured figures as # and white space as single blanks."""
    return " ".join(_FIGURE.sub("#", _PROGRESS.sub("", output)).split())


def matches(shown: str, got: str) -> bool:
    """Return whether the output that a page shows is what came; `...` stands for anything."""
    parts = [re.escape(normal(part)) for part in shown.split("...")]
    return re.fullmatch(r"\s*.*?\s*".join(parts), normal(got)) is not None
