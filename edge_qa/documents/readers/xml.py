"""XML as a stream of events, read within bounds: no entities, no external files, no tree that grows."""

from collections.abc import Callable, Mapping
from xml.parsers import expat

from edge_qa.errors import InputError

# Documents of the kinds that are read here nest a few dozen deep.
DEEPEST = 500

Start = Callable[[str, Mapping[str, str]], None]


def parse(data: bytes, *, start: Start, end: Callable[[str], None], text: Callable[[str], None]) -> None:
    """Call `start`, `end` and `text` in the order of the document; names are local, without their namespace.

    Raises InputError for XML that is not well-formed, too deep, or has a document type.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    depth = 0

    def opened(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise InputError(f"nests more than {DEEPEST} elements deep")
        # Of two with one local name the one with a namespace is meant: `r:id`, not `id`.
        ordered = sorted(attributes.items(), key=lambda item: " " in item[0])
        start(local(name), {local(key): value for key, value in ordered})

    def closed(name: str) -> None:
        nonlocal depth
        depth -= 1
        end(local(name))

    def refused(*_: object) -> None:
        # An entity that stands for ten others, ten times over, is the whole attack.
        raise InputError("has a document type definition, which no document of this kind needs")

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = opened, closed, text
    parser.StartDoctypeDeclHandler = refused
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InputError(f"holds XML that is not well-formed ({error})") from None


def local(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition(" ")[2]
