"""Borders by hand: each text shows a bar where a block begins, and nowhere else."""

import time

import numpy as np
import pytest

from edge_qa.text.blocks import block_starts

BAR = "¦"
LAYOUTS = {
    "paragraphs, hard-wrapped": "The first paragraph is wrapped\nand goes on.\n\n¦The second one\nis wrapped, too.",
    "blank lines with spaces": "One.\n \t \n\n¦Two.",
    "carriage returns": "One line\r\nof two.\r\n\r\n¦Another.\r\n",
    "bullets": "To bring:\n¦- boots with a\n  good sole\n¦- a lamp\n¦* rope\n¦• soap",
    "numbered list": "Steps:\n¦1. Open V1\n¦2. Close V2 and\n   wait\n¦3. Go",
    "clauses": "¦1.1 The Customer pays\n    monthly.\n\n¦1.2 Late payment costs 2 %.\n¦2.1 Term.",
    "letters": "Not covered is what\n¦(a) was public, or became\n    so later;\n¦(b) was known.",
    "Markdown heading": "# Title\n¦Text below\nit.\n\n¦## Next\n¦More.",
    "underlined heading": "Summary\n¦-------\n¦On the weekend we move.",
    "Markdown table": "| a | b |\n¦|---|---|\n¦| 1 | 2 |\n¦| 3 | 4 |\n\n¦Text.",
    "CSV": "date;place;price\n¦2026-02-01;Ulm;12\n¦2026-02-02;Jena;14\n",
    "CSV with texts": 'id,name,note\n¦7,Pump,"small, blue"\n¦8,Valve,\n¦9,"Seal, flat",spare\n',
    "two columns of CSV": "name,price\n¦soap,2\n¦rope,14\n",
    "TSV": "place\tprice\n¦Ulm\t12\n¦Jena\t14\n",
    "aligned columns": "Adults            62      110\n¦Children          31       55\n¦Dogs (on leads)   20       40",
    "a cell of two lines": "Operator:     The clinic, through\n              Ms Pfister\n¦Contractor:   Lift Ltd",
    "log": "09:02:11 deploy done\n¦09:02:40 health checks are green,\n         latency is low\n¦09:31:05 metric",
    "dated log": "2026-03-11 22:00 start\n¦2026-03-11 22:05 stop\n",
    "questions and answers": "Q: Where is it?\n¦A: In Ulm, by the\nriver.\n¦Q: When?",
    "letter head": "From: Ada\n¦To: Bob\n¦Subject: the pump\n\n¦Dear Bob,\n",
    "quotation": "I agree.\n\n¦> You wrote this\n> and that.\n¦I still agree.",
    "a line ended on purpose": "HOTEL\n¦Three single rooms for four nights, free to cancel\nuntil 10 March.",
    "a clause in a line": "Tighten V1 to 9 Nm. ¦6. Open V2 and wait.",
    "a clause after a share": "Late payment costs 20 %. ¦5. Confidentiality. Both keep it. ¦5.1 Term.",
    "marks of direction": "Items\n¦\u200f- milk\n¦\u200f- eggs",
    "wide spaces": "Items\n¦\u2003- milk\n¦\u200b- eggs",
    "bullets of other kinds": "Items\n¦\u00b7 milk\n¦\uf0b7eggs\n¦\u25cb bread\n¦\u2192 salt\n¦\u2460 tea",
    "Chinese items": "需要\n¦一、牛奶\n¦二、鸡蛋\n¦（三）面包",
    "letters with a full stop": "We need:\n¦a. milk\n¦b. eggs\n¦c. bread",
    "Roman numbers": "We need:\n¦i. milk\n¦ii. eggs\n¦iii. bread",
    "syslog": "Nov 30 18:37:14 host backup: failed to copy\n¦Nov 30 18:37:15 host backup: the end",
    "dates of other kinds": "2024/01/30 12:00:01 start\n¦2024/01/30 12:00:02 stop",
    "German dates": "30.11.2026 18:37 start\n¦30.11.2026 18:38 stop",
    "a table without outer bars": "Ada Lovelace | 1843 | London\n¦Grace Hopper | 1952 | New York",
    "keys in lower case": "name: Ada\n¦place: London",
    "articles in capitals": "It ends then.\n¦ARTICLE 5\nThe customer pays.",
    "pages": "It was kept by Marta Lind\f¦2 Chapter Two",
    "bullets in a line": "Bring: ¦• boots ¦• a lamp",
}
NO_BORDERS = {
    "a wrapped figure": "The housing of the pump weighs\n3.5 kg with its lid.",
    "a wrapped number": "They met in the room with the number\n12. It was cold.",
    "a wrapped time": "The office is open between 08:00 and\n17:30 on weekdays.",
    "a wrapped date": "The lease, which was signed on the\n2026-03-01 by both, ends.",
    "grouped digits": "They kept 1,804,233 files and 3,220,907 mails in\n945,118 folders with 1,200,300 links.",
    "two spaces after a sentence": "It rained.  Nobody\ncame.  They left.",
    "an abbreviation": "See No. 5. The others follow.",
    "a day of a month": "It ends on 20. 5. May is then over.",
    "a decimal": "It grew by 3.5 Million and by 2. and so on.",
    "a wrapped initial": "The first program was written, as many say, by\nA. Lovelace in London.",
    "a wrapped colon": "He said to whoever was there that they should\nremember: nothing lasts.",
    "one line": "No border here, and 14 commas, here.",
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_blocks_begin_where_a_reader_sees_them(name):
    *parts, _ = LAYOUTS[name].split(BAR)
    wanted = np.cumsum([len(part) for part in parts])
    assert block_starts(LAYOUTS[name].replace(BAR, "")).tolist() == wanted[wanted > 0].tolist()


@pytest.mark.parametrize("name", NO_BORDERS)
def test_a_wrapped_line_begins_no_block(name):
    assert block_starts(NO_BORDERS[name]).tolist() == []


def test_a_part_has_the_blocks_of_the_whole():
    text = "".join(f"{layout.replace(BAR, '')}\n\n" for _ in range(60) for layout in LAYOUTS.values())
    whole = block_starts(text)
    for size in (997, 20_000):
        parts = [block_starts(text, begin, min(begin + size, len(text))) for begin in range(0, len(text), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("unit", ["word ", "a,b\n", "1. x\n", "> ", "   \n", "- \t", "| ", "\n", "9. A", "((((", "12:"])
def test_the_time_grows_with_the_length_and_no_faster(unit):
    def seconds(size: int) -> float:
        begin = time.process_time()
        block_starts((unit * size)[:size])
        return time.process_time() - begin

    small = min(seconds(20_000) for _ in range(3))
    assert min(seconds(160_000) for _ in range(2)) < 40 * small + 0.05  # eight times the text
