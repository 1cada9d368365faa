"""Invented documents in the layouts that users have, with questions that they answer and questions that they do not."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.experiments.doubt import values as v
from benchmarks.experiments.doubt.fields import KINDS
from benchmarks.experiments.doubt.kinds.field import Field
from benchmarks.experiments.doubt.kinds.tables import TABLES
from benchmarks.experiments.doubt.values import Random, listed, pick

Row = dict[str, Any]
_FILLERS = listed(
    "Please read this page carefully before you go on.|Changes have to be made in writing.|Both sides keep a copy.|"
    "All other points stay as they are.|This replaces the earlier version.|We thank everybody who helped.|"
    "Further details are found in the annex.|If you have doubts, ask first.|The list is not complete.|"
    "The weather was good and the mood as well.|Several members asked for more information.|"
    "Take care that nothing gets wet.|The order of the points was not changed.|It is meant for indoor use only.|"
    "Nobody objected.|The usual rules apply.|A short break followed.|Only trained persons may do this.|"
    "Everything else was discussed at length and put off.|Keep these pages in a safe place.|"
    "The figures were checked twice.|Some of this may change without further notice.|"
    "Where the two versions differ, this one prevails.|There was a long talk about the colour of the doors.|"
    "Parts that are worn have to be replaced.|The neighbours were told.|It was a quiet day with few calls.|"
    "Season with salt and pepper.|A second person has to be present.|The work is done in the usual quality.|"
    "Old versions are void.|We look forward to hearing from you.|Mind the arrows on the cover.|"
    "The parties know each other from earlier projects.|Children may not do this alone.|"
    "Questions about this were answered in the break.|The report was taken note of.",
    "|",
)
_ABSENT = listed(
    "in {year}|for students|in the second year|for the branch in {town}|last year|for the old model|at weekends|"
    "for {firm}|in winter|for companies|before {year}|in {town}|during the night|for the second building",
    "|",
)
_PRESENT = listed("according to this|in this text|please|here|now|as it stands here|by the way|in this case", "|")
_TITLES = {
    "contract": "Service agreement|CONTRACT|Agreement on services|Lease|Purchase contract|Framework agreement",
    "policy": "Staff rules|Policy no. 4|Guideline|House rules|Code of conduct",
    "manual": "Operating instructions|User manual|Quick guide|Installation and care",
    "minutes": "Minutes of the meeting|Minutes no. 12|Protocol|Notes of the committee",
    "email": "Re: our talk|Fwd: open points|Your order|News from us",
    "datasheet": "Technical data|Data sheet|Specification|Series overview",
    "recipe": "Plum cake|Bean stew|Dark bread|Lemon tart|Potato soup|Pancakes|Apple strudel",
    "faq": "Frequently asked questions|Questions and answers|Help|Good to know",
    "log": "incident log|console output|shift log|journal",
    "letter": "Your letter|Notice to tenants|Our decision|Information",
}


class _Text:
    """Text as it grows, and where values stand in it."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, text: str) -> int:
        """Write on, and return where that began."""
        place = len(self.text)
        self.text += text
        return place

    def sentence(self, template: str, value: str) -> int:
        """Write a sentence with the value in it, and return where the value stands."""
        before, after = template.split("{}")
        self.add(before)
        place = self.add(value)
        self.add(after)
        return place


def invented(random: Random, number: int, asked: tuple[int, int]) -> Iterator[Row]:
    """Yield the questions on one invented document: up to so many with an answer, and so many without."""
    found = _table_document(random) if random.random() < 0.35 else _field_document(random)
    text, answered, unanswered = found
    for place in random.permutation(len(answered))[: asked[0]].tolist():
        question, value, start = answered[place]
        answers = [{"text": value, "answer_start": start}]
        yield {
            "question": _worded(question, random),
            "context": text,
            "answers": answers,
            "title": f"document {number}",
        }
    for place in random.permutation(len(unanswered))[: asked[1]].tolist():
        yield {
            "question": _worded(unanswered[place], random),
            "context": text,
            "answers": [],
            "is_impossible": True,
            "title": f"document {number}",
        }


Found = tuple[str, list[tuple[str, str, int]], list[str]]


def _field_document(random: Random) -> Found:
    kind = pick(random, list(KINDS))
    fields = [KINDS[kind][place] for place in random.permutation(len(KINDS[kind])).tolist()]
    # Mostly short ones: a step of training costs what its tokens do.
    count = int(random.integers(3, 7 if random.random() < 0.75 else len(fields) - 1))
    stated, missing = fields[:count], fields[count:]
    doc = _Text()
    subject = _heading(doc, kind, random)
    layout = pick(random, [name for name in _LAYOUTS if name not in ("log", "faq") or random.random() < 0.2])
    if kind == "log" and random.random() < 0.8:
        layout = "log"
    if kind == "faq" and random.random() < 0.6:
        layout = "faq"
    places = []
    for number, field in enumerate(stated, 1):
        value = field.value(random)
        places.append((field, value, _LAYOUTS[layout](doc, field, value, number, random)))
        if random.random() < 0.35:
            _filler(doc, layout, random)
    if random.random() < 0.15:
        doc.add("\n")
        _rows(doc, random)
    answered = [
        (_with(pick(random, list(field.questions)), subject, random), value, start) for field, value, start in places
    ]
    unanswered = [pick(random, list(field.questions)) for field in missing]
    # The thing is there, but not of this year, place or kind.
    unanswered += [
        _ended(pick(random, list(field.questions)), _absent(doc.text, random))
        for field, _, _ in places
        if random.random() < 0.4
    ]
    return doc.text, answered, unanswered


def _heading(doc: _Text, kind: str, random: Random) -> str:
    """Write a title and what stands below it; return a phrase for a question that names it, or nothing."""
    title = pick(random, _TITLES[kind].split("|"))
    firm, place, year = v.firm(random), v.town(random), str(random.integers(2019, 2031))
    mark = pick(random, ["", "# ", "", "**"])
    doc.add(f"{mark}{title}{'**' if mark == '**' else ''}")
    style = random.integers(5)
    if kind == "email" or style == 0:
        doc.add(f"\nFrom: {v.person(random)} <{v.email(random)}>\nTo: {v.person(random)}\nDate: {v.date(random)}\n\n")
        return ""
    if style == 1:
        doc.add(f"\n{firm}, {place}\n\n")
        return f"at {firm}"
    if style == 2:
        doc.add(f" {year}\n\n")
        return f"in {year}"
    if style == 3:
        doc.add(f"\n\nBetween {firm}, {v.address(random)}, and {v.person(random)}\n\n")
        return f"with {firm}"
    doc.add("\n\n")
    return ""


def _with(question: str, subject: str, random: Random) -> str:
    chance = random.random()
    if chance < 0.15:
        return _ended(question, pick(random, _PRESENT))
    return _ended(question, subject) if subject and chance < 0.45 else question


def _ended(question: str, phrase: str) -> str:
    return f"{question.removesuffix('?')} {phrase}?"


def _absent(text: str, random: Random) -> str:
    while True:
        phrase = pick(random, _ABSENT).format(
            year=random.integers(2012, 2034), town=v.town(random), firm=v.firm(random)
        )
        if phrase.split()[-1] not in text:
            return phrase


def _worded(question: str, random: Random) -> str:
    chance = random.random()
    if chance < 0.08:
        return question.lower()
    return question.removesuffix("?") if chance < 0.14 else question


def _sentence(field: Field, random: Random) -> str:
    return pick(random, list(field.sentences))


def _numbered(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    label = f" {field.labels[0]}." if random.random() < 0.5 else ""
    doc.add(f"{number}.{label} ")
    place = doc.sentence(_sentence(field, random), value)
    doc.add("\n")
    return place


def _bullet(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    doc.add("- ")
    place = doc.sentence(_sentence(field, random), value)
    doc.add("\n")
    return place


def _keyed(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    label = pick(random, list(field.labels))
    doc.add(f"{label}: " if number % 2 else f"{label + ':':<22}")
    place = doc.add(value)
    doc.add("\n")
    return place


def _bar(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    doc.add(f"| {pick(random, list(field.labels))} | ")
    place = doc.add(value)
    doc.add(" |\n")
    return place


def _prose(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    place = doc.sentence(_sentence(field, random), value)
    doc.add("\n\n" if number % 4 == 0 else "\n" if random.random() < 0.15 else " ")
    return place


def _section(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    doc.add(f"\n## {number}. {field.labels[0]}\n\n" if number % 3 == 1 else f"\n{field.labels[0].upper()}\n")
    place = doc.sentence(_sentence(field, random), value)
    doc.add("\n")
    return place


def _logged(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    level = pick(random, ["info", "warn", "note", "error", "ok"])
    doc.add(f"{v.day(random)} {v.clock(random)}:{random.integers(10, 60)} {level}  ")
    place = doc.sentence(_sentence(field, random).rstrip("."), value)
    doc.add("\n")
    return place


def _asked(doc: _Text, field: Field, value: str, number: int, random: Random) -> int:
    label = field.labels[0]
    doc.add(f"Q: {label if label.endswith('?') else pick(random, list(field.questions))}\nA: ")
    place = doc.sentence(_sentence(field, random), value)
    doc.add("\n\n")
    return place


_LAYOUTS: dict[str, Callable[[_Text, Field, str, int, Random], int]] = {
    "numbered": _numbered,
    "bullet": _bullet,
    "keyed": _keyed,
    "bar": _bar,
    "prose": _prose,
    "prose again": _prose,
    "section": _section,
    "log": _logged,
    "faq": _asked,
}


def _filler(doc: _Text, layout: str, random: Random) -> None:
    text = pick(random, _FILLERS)
    if layout.startswith("prose"):
        doc.add(f"{text} ")
    elif layout in ("bar", "keyed"):
        return
    elif layout == "bullet":
        doc.add(f"- {text}\n")
    elif layout == "log":
        doc.add(f"{v.day(random)} {v.clock(random)}:00 info  {text.lower()}\n")
    else:
        doc.add(f"   {text}\n" if layout == "numbered" else f"{text}\n")


def _table_document(random: Random) -> Found:
    doc = _Text()
    if random.random() < 0.6:
        doc.add(
            f"{pick(random, ['', '# '])}{v.firm(random)}: {pick(random, ['list', 'overview', 'table'])} "
            f"{random.integers(2020, 2030)}\n\n"
        )
    for _ in range(int(random.integers(0, 3))):
        doc.add(f"{pick(random, _FILLERS)} ")
    doc.add("\n\n" if doc.text else "")
    answered, unanswered = _rows(doc, random)
    for _ in range(int(random.integers(0, 3))):
        doc.add(f"\n{pick(random, _FILLERS)}")
    return doc.text, answered, unanswered


def _rows(doc: _Text, random: Random) -> tuple[list[tuple[str, str, int]], list[str]]:
    """Write a table, and return what it answers and what it does not."""
    name = pick(random, list(TABLES))
    row_value, head, columns = TABLES[name]
    order = random.permutation(len(columns)).tolist()
    shown = order[: int(random.integers(2, len(columns)))]
    names = list(dict.fromkeys(row_value(random) for _ in range(40)))
    count = min(int(random.integers(3, 6 if random.random() < 0.75 else 11)), len(names) - 2)
    rows, others = names[:count], names[count:]
    cells = [[_cell(columns[column][2], random) for column in shown] for _ in rows]
    headers = [head.split()[0] if random.random() < 0.3 else "Name", *(columns[column][0] for column in shown)]
    form = pick(random, ["markdown", "aligned", "csv", "tab", "lines"])
    answered: list[tuple[str, str, int]] = []
    unanswered: list[str] = []
    widths = [
        max(len(str(x)) for x in each) + 2
        for each in zip(headers, *([r, *c] for r, c in zip(rows, cells, strict=True)), strict=True)
    ]
    if form == "markdown":
        doc.add("| " + " | ".join(headers) + " |\n|" + "---|" * len(headers) + "\n")
    elif form == "aligned":
        doc.add(
            "".join(h.ljust(w) for h, w in zip(headers, widths, strict=True)).rstrip() + "\n" + "-" * sum(widths) + "\n"
        )
    elif form in ("csv", "tab"):
        doc.add(("," if form == "csv" else "\t").join(headers) + "\n")
    for row, values in zip(rows, cells, strict=True):
        doc.add({"markdown": "| ", "lines": "- "}.get(form, ""))
        doc.add(row if form not in ("aligned",) else row.ljust(widths[0]))
        for place, (column, value) in enumerate(zip(shown, values, strict=True)):
            doc.add(
                {
                    "markdown": " | ",
                    "aligned": "",
                    "csv": ",",
                    "tab": "\t",
                    "lines": f"{', ' if place else ': '}{columns[column][0].lower()} ",
                }[form]
            )
            quoted = form == "csv" and "," in value
            doc.add('"' if quoted else "")
            start = doc.add(value)
            doc.add('"' if quoted else "")
            if form == "aligned":
                doc.add(" " * (widths[place + 1] - len(value)))
            question = pick(random, list(columns[column][1])).format(row=_named(row, random))
            if value in ("-", "", "n/a"):
                unanswered.append(question)
            else:
                answered.append((question, value, start))
        doc.add({"markdown": " |\n"}.get(form, "\n"))
    hidden = [column for column in order if column not in shown]
    # As many of rows and columns that are not there as of cells that are empty.
    for _ in range(3):
        if hidden:
            column = columns[hidden[int(random.integers(len(hidden)))]]
            unanswered.append(pick(random, list(column[1])).format(row=_named(pick(random, rows), random)))
        column = columns[shown[int(random.integers(len(shown)))]]
        question = pick(random, list(column[1]))
        unanswered.append(question.format(row=_named(pick(random, others), random)))
        unanswered.append(_ended(question.format(row=_named(pick(random, rows), random)), _absent(doc.text, random)))
    return answered, list(dict.fromkeys(unanswered))


def _cell(value: v.Value, random: Random) -> str:
    return pick(random, ["-", "n/a", "-"]) if random.random() < 0.06 else value(random)


def _named(row: str, random: Random) -> str:
    return row.lower() if random.random() < 0.3 else row


def documents(random: Random, count: int, asked: tuple[int, int]) -> Iterator[Row]:
    """Yield the questions on so many documents."""
    for number in range(count):
        yield from invented(np.random.default_rng((int(random.integers(2**31)), number)), number, asked)
