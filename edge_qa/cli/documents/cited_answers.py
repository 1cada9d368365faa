"""How edge-qa ask prints answers from an index."""

from edge_qa.cli.documents.printing import printable
from edge_qa.documents.cited_answers import CitedAnswer


def cited_line(answer: CitedAnswer) -> str:
    """Return the answer, how sure it is, where it stands, and the sentence around."""
    source = answer.source
    sure = "" if answer.confidence is None else f"  confidence {answer.confidence:.0%}"
    if source is None:
        return f"(no answer){sure}"
    page = "" if source.page is None else f"  page {source.page}"
    text = " ".join(answer.text.split())
    sentence = " ".join(source.sentence.split())
    line = f"{text}  {answer.score:.1%}{sure}  {source.path}{page}  characters {source.start}-{source.end}: {sentence}"
    return printable(line)
