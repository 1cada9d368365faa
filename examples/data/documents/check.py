"""Check the questions on documents, and count them by kind and part.

python check.py           one line, exit status 1 if something is wrong
python check.py --table   the table of the README, in Markdown
"""

import json
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
KINDS = {
    "contract",
    "manual",
    "prices",
    "minutes",
    "email",
    "log",
    "markdown",
    "data",
    "recipe",
    "datasheet",
    "letter",
    "faq",
    "policy",
}
PARTS = {"tune", "judge"}
WORDS = range(100, 3001)  # a document
LEAST_UNANSWERABLE = 1 / 3  # of the questions
TUNE_SHARE = (0.20, 0.30)  # of the documents
OPEN_QUESTIONS = (75, 25)  # with an answer in some document, and without

# A line that begins like this starts a list item, clause, heading, table row or log record.
STARTS_BLOCK = re.compile(
    r"[>\s]*(?:[-*•+]\s|\||#|\(\w{1,3}\)\s|§|\d+(?:\.\d+)*[.)]?\s{2,}|\d+[.)]\s|\d+(?:\.\d+)+\s"
    r"|\w\)\s|[QA]:\s|\d{2}:\d{2}|\d{4}-\d{2}-\d{2})"
)
ONE_LINE_A_ROW = {".csv", ".tsv", ".log"}


@dataclass(frozen=True)
class Answer:
    text: str
    start: int  # code points from the beginning of the document


@dataclass(frozen=True)
class Question:
    id: str
    document: str | None
    kind: str | None
    question: str
    answers: list[Answer]
    part: str | None = None
    of: str | None = None  # the question that this one says in other words


def read_text(path: Path) -> str:
    return path.read_bytes().decode("utf-8")  # newlines untouched, unlike Path.read_text()


def read_questions(name: str, problems: list[str]) -> list[Question]:
    questions = []
    for number, line in enumerate(read_text(FOLDER / name).splitlines(), 1):
        try:
            fields = json.loads(line)
            answers = [Answer(**answer) for answer in fields.pop("answers")]
            questions.append(Question(answers=answers, **fields))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            problems.append(f"{name}:{number}: {error}")
    return questions


def crosses_border(span: str, path: str) -> bool:
    """True if the span runs over a blank line, or into another row, item, clause or heading."""
    lines = span.split("\n")
    if len(lines) > 1 and Path(path).suffix in ONE_LINE_A_ROW:
        return True
    return any(not line.strip("> \t") or STARTS_BLOCK.match(line) for line in lines[1:])


def check_answers(question: Question, text: str, problems: list[str]) -> None:
    for answer in question.answers:
        span, start = answer.text, answer.start
        if text[start : start + len(span)] != span:
            problems.append(f"{question.id}: {span!r} does not stand at {start}")
        if not span or span != span.strip():
            problems.append(f"{question.id}: {span!r} is empty or has outer space")
        if crosses_border(span, question.document or ""):
            problems.append(f"{question.id}: {span!r} crosses a border")
    if len(set(question.answers)) < len(question.answers):
        problems.append(f"{question.id}: an answer is listed twice")


def check_documents(texts: dict[str, str], problems: list[str]) -> None:
    for path, text in texts.items():
        if "\r" in text or "\0" in text or not text.endswith("\n"):
            problems.append(f"{path}: carriage return, NUL, or no newline at the end")
        if len(re.findall(r"\w+", text)) not in WORDS:
            problems.append(f"{path}: not between {WORDS[0]} and {WORDS[-1]} words")


def check_questions(questions: list[Question], texts: dict[str, str], problems: list[str]) -> None:
    homes = defaultdict(set)  # document: {(id without the question's number, kind, part)}
    for question in questions:
        if question.document not in texts:
            problems.append(f"{question.id}: no document {question.document}")
            continue
        if question.kind not in KINDS or question.part not in PARTS:
            problems.append(f"{question.id}: kind {question.kind}, part {question.part}")
        prefix = re.fullmatch(r"([a-z]+-\d\d)-q\d\d", question.id)
        home = prefix[1] if prefix else question.id
        homes[question.document].add((home, question.kind, question.part))
        check_answers(question, texts[question.document], problems)
    problems += [f"{path}: no questions" for path in texts if path not in homes]
    problems += [f"{path}: ids, kinds or parts differ" for path, home in homes.items() if len(home) > 1]
    unanswerable = sum(not question.answers for question in questions)
    if unanswerable < LEAST_UNANSWERABLE * len(questions):
        problems.append(f"{unanswerable} of {len(questions)} unanswerable, wanted a third")
    tune = sum(part == "tune" for home in homes.values() for _, _, part in home)
    if not TUNE_SHARE[0] <= tune / max(1, len(homes)) <= TUNE_SHARE[1]:
        problems.append(f"{tune} of {len(homes)} documents tune, wanted about a quarter")


def check_open(questions: list[Question], texts: dict[str, str], problems: list[str]) -> None:
    answerable = sum(question.document is not None for question in questions)
    if (answerable, len(questions) - answerable) != OPEN_QUESTIONS:
        problems.append(f"{answerable} open questions with an answer of {len(questions)}, wanted {OPEN_QUESTIONS}")
    for question in questions:
        if question.part is not None or (question.document is None) != (not question.answers):
            problems.append(f"{question.id}: has a part, or a document without an answer")
        if question.document is None:
            continue
        if question.document not in texts:
            problems.append(f"{question.id}: no document {question.document}")
            continue
        check_answers(question, texts[question.document], problems)


def check_paraphrases(questions: list[Question], originals: list[Question], problems: list[str]) -> None:
    known = {question.id: question for question in originals}
    for question in questions:
        original = known.get(question.of or "")
        if original is None or not original.answers:
            problems.append(f"{question.id}: {question.of} is no question with an answer")
        elif (question.answers, question.document) != (original.answers, original.document):
            problems.append(f"{question.id}: its answers are not those of {question.of}")
        elif question.question.lower() == original.question.lower():
            problems.append(f"{question.id}: says the same as {question.of}")


def table(questions: list[Question]) -> str:
    documents = {(question.document, question.kind, question.part) for question in questions}
    columns = {
        "documents": Counter((kind, part) for _, kind, part in documents),
        "answerable": Counter((q.kind, q.part) for q in questions if q.answers),
        "unanswerable": Counter((q.kind, q.part) for q in questions if not q.answers),
    }
    rows = [
        "| kind | " + " | ".join(f"{name}, tune / judge" for name in columns) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for name, kinds in [*((kind, [kind]) for kind in sorted(KINDS)), ("**all**", sorted(KINDS))]:
        cells = []
        for count in columns.values():
            tune, judge = (sum(count[kind, part] for kind in kinds) for part in ("tune", "judge"))
            cells.append(f"{tune} / {judge}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> int:
    problems: list[str] = []
    texts = {
        path.relative_to(FOLDER).as_posix(): read_text(path)
        for path in sorted((FOLDER / "texts").rglob("*"))
        if path.is_file()
    }
    questions = read_questions("questions.jsonl", problems)
    open_questions = read_questions("open_questions.jsonl", problems)
    paraphrases = read_questions("paraphrased_questions.jsonl", problems)
    if "--table" in sys.argv[1:]:
        print(table(questions))
        return 0

    ids = Counter(question.id for question in questions + open_questions + paraphrases)
    problems += [f"{name}: id used {times} times" for name, times in ids.items() if times > 1]
    wordings = Counter((question.document, question.question.lower()) for question in questions)
    problems += [f"{key}: asked {times} times" for key, times in wordings.items() if times > 1]
    check_documents(texts, problems)
    check_questions(questions, texts, problems)
    check_open(open_questions, texts, problems)
    check_paraphrases(paraphrases, questions + open_questions, problems)
    if table(questions) not in read_text(FOLDER / "README.md"):
        problems.append("README.md: its table is out of date, see --table")

    if problems:
        print("; ".join(problems))
        return 1
    unanswerable = sum(not question.answers for question in questions)
    print(
        f"ok: {len(texts)} documents, {len(questions)} questions ({unanswerable} unanswerable), "
        f"{len(open_questions)} open questions, {len(paraphrases)} paraphrases"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
