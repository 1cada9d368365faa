"""Check every link of the built pages without a network: python -m docs.generate.check_links build/docs

A link inside the pages must lead to a file and an anchor that are there; one to elsewhere must be a whole address.
Exits with 1 and a line for each link that is wrong.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The links of a page and the anchors that it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [found[name] or "" for name in ("href", "src") if name in found and tag != "link"]
        self.anchors |= {found[name] or "" for name in ("id", "name") if name in found}


def wrong_links(folder: Path) -> list[str]:
    """Return a line for each wrong link of the pages in a folder."""
    pages = {path.resolve(): _Page(path) for path in sorted(folder.rglob("*.html"))}
    return [
        f"{path.relative_to(folder.resolve())}: {link}: {problem}"
        for path, page in pages.items()
        for link in page.links
        if (problem := _problem(link, path, pages))
    ]


def _problem(link: str, path: Path, pages: dict[Path, _Page]) -> str | None:
    parts = urlsplit(link)
    if parts.scheme in ("http", "https"):
        return None if "." in parts.netloc else "no address"
    if parts.scheme:
        return None if parts.scheme in ("data", "mailto") else f"scheme {parts.scheme}"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return "leads to no file"
    if parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
        return "leads to no anchor"
    return None


if __name__ == "__main__":
    wrong = wrong_links(Path(sys.argv[1]))
    print("\n".join(wrong) or "every link leads somewhere")
    sys.exit(1 if wrong else 0)
