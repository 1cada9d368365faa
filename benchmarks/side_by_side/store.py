"""What was measured, on the disk as it comes: an interrupted benchmark goes on where it was."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_qa.errors import InputError
from edge_qa.files import check_file, write_file

FORMAT = 2
RESULTS, ANSWERS = "results.json", "answers.json"
PAGE, PICTURE = "index.html", "side_by_side.svg"


class Store:
    """The folder of a benchmark: blocks of figures in results.json, every single answer in answers.json.

    Both are replaced whole, never written into, so that they are valid at every moment.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], *, fresh: bool = False) -> None:
        """Take up what an earlier run with the same settings left; `fresh`: remove it and begin anew.

        Raises InputError if the folder holds a run with other settings.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: cannot be made a folder ({error.strerror}); give another --output") from None
        self.results: dict[str, Any] = {"format": FORMAT, "settings": settings, "blocks": {}}
        self.answers: dict[str, Any] = {}
        self.resumed = False
        check_file(folder / RESULTS, force=True)
        if not fresh and (folder / RESULTS).exists():
            self.results, self.resumed = read_results(folder / RESULTS), True
            # Through JSON, as the earlier ones went: a tuple comes back as a list.
            _check_same(folder, self.results.get("settings", {}), json.loads(json.dumps(settings)))
            if (folder / ANSWERS).exists():
                self.answers = _read_answers(folder / ANSWERS)
        else:
            # The answers first: without results nobody takes them up.
            for name in (RESULTS, ANSWERS, PAGE, PICTURE):
                (folder / name).unlink(missing_ok=True)

    def block(self, key: str, make: Callable[[], Any]) -> Any:
        """Return a block of figures; it is measured only if it is not there yet."""
        if key not in self.results["blocks"]:
            self.results["blocks"][key] = make()
            self.save()
        return self.results["blocks"][key]

    def set_answers(self, key: str, value: Any) -> None:
        """Keep a chunk of answers."""
        self.answers[key] = value
        write_file(self.folder / ANSWERS, json.dumps(self.answers, ensure_ascii=False).encode())

    def save(self) -> None:
        """Write results.json."""
        write_file(self.folder / RESULTS, (json.dumps(self.results, indent=1, ensure_ascii=False) + "\n").encode())


def read_results(path: Path) -> dict[str, Any]:
    """Read a results.json. Raises InputError if it is none."""
    results = _read(path)
    if results.get("format") != FORMAT or not isinstance(results.get("blocks"), dict):
        raise InputError(f"{path}: format {results.get('format')}, wanted {FORMAT}; measure again with --fresh")
    return results


def _check_same(folder: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """A run of hours is not overwritten because an option is missing."""
    changed = [name for name in wanted if stored.get(name) != wanted[name]]
    if changed:
        plain = [
            f"{name} {stored.get(name)} there, {wanted[name]} now"
            if isinstance(wanted[name], (int, bool, str)) and name not in ("code", "files")
            else name
            for name in changed
        ]
        raise InputError(
            f"{folder}: holds a run with other settings ({'; '.join(plain)}); give another --output, or --fresh to "
            "replace it"
        )


def _read_answers(path: Path) -> dict[str, Any]:
    answers = _read(path)
    chunks = answers.values()
    good = all(isinstance(chunk, dict) for chunk in chunks) and all(
        isinstance(one, dict) and {"ms", "texts"} <= one.keys() for chunk in chunks for one in chunk.values()
    )
    if not good:
        raise InputError(f"{path}: not what python -m benchmarks writes; measure again with --fresh")
    return answers


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); run python -m benchmarks first") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); measure again with --fresh") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: got {type(value).__name__}, wanted the object that python -m benchmarks writes")
    return value
