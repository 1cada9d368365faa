"""Damage to text and bytes: blind, and such as keeps the form and changes the meaning."""

import copy
import json
import random
import re
from typing import Any

from edge_qa.bundle.ir_check import _INPUTS

# Operations that no bundle holds, beside those that one can.
_OPERATIONS = (
    *_INPUTS,
    "Loop",
    "If",
    "TensorIterator",
    "ReadValue",
    "Assign",
    "RandomUniform",
    "LSTMSequence",
    "Custom",
)
_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 2**31, 2**63, -(2**70), 0.5, -0.0, 1e308, float("inf"), float("nan")),
    *("", " ", "\0", "\ud800", "a" * 5000, "../../etc/passwd", "model.bin", "[SEP]", "é", [], {}, [[]], [None], [-1]),
)
_NUMBERS = (
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "255",
    "65536",
    "4294967296",
    "9223372036854775807",
    "1e9",
    "nan",
    "",
    "?",
    "x",
)
_TOKENS = (
    b"\0",
    b"\xff",
    b'"',
    b"{",
    b"[",
    b"<",
    b">",
    b"&",
    b"\n",
    b"9" * 400,
    b"[" * 3000,
    b"<a>" * 300,
    b"-1",
    b"null",
)


def damage_bytes(content: bytes, random: random.Random) -> bytes:
    """Flip, replace, cut, double or insert in one to three places."""
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        place = random.randrange(len(damaged) + 1)
        end = min(len(damaged), place + random.choice((1, 2, 8, 64, 4096)))
        match random.randrange(6):
            case 0 if place < len(damaged):
                damaged[place] ^= 1 << random.randrange(8)
            case 1 if place < len(damaged):
                damaged[place] = random.randrange(256)
            case 2:
                del damaged[place:end]
            case 3:
                damaged[place:place] = damaged[place:end]
            case 4:
                damaged[place:place] = random.choice(_TOKENS)
            case _ if random.randrange(4) == 0:
                del damaged[place:]
    return bytes(damaged)


def damage_json(content: bytes, random: random.Random) -> bytes:
    """Replace, remove, double or move a value somewhere in a document; the result is JSON mostly."""
    document = json.loads(content)
    for _ in range(random.choice((1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            break
        holder, key = random.choice(places)
        match random.randrange(6):
            case 0:
                del holder[key]
            case 1:
                other, place = random.choice(places)
                holder[key] = copy.deepcopy(other[place]) if place in other or isinstance(other, list) else None
            case 2 if isinstance(holder, dict):
                holder[random.choice(("", "x", "type", "id", "model", "__class__"))] = holder[key]
            case 3 if isinstance(holder, list):
                holder.insert(key, copy.deepcopy(holder[key]))
            case 4 if isinstance(holder[key], int | float):
                holder[key] = random.choice((holder[key] + 1, holder[key] - 1, -holder[key], holder[key] * 1000))
            case _:
                holder[key] = random.choice(_VALUES)
    try:
        return json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return content


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting and len(found) < 20_000:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys]
    return found


_ATTRIBUTE = re.compile(rb'([a-z_-]+)="([^"]*)"')
_ELEMENT = re.compile(
    rb"<layer .*?</layer>|<edge [^>]*>|<port [^>]*/>|<port .*?</port>|<data [^>]*>|<dim>[^<]*</dim>", re.S
)
_TYPE = re.compile(rb'(?<= type=")[A-Za-z]+(?=")')


def damage_xml(content: bytes, random: random.Random) -> bytes:
    """Change operations, attributes, ports and edges of an IR, which stays XML."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        match random.randrange(7):
            case 0 | 1:
                content = _replace(content, _TYPE, random.choice(_OPERATIONS).encode(), random)
            case 2 | 3:
                found = random.choice(list(_ATTRIBUTE.finditer(content)))
                others = [match[2] for match in _ATTRIBUTE.finditer(content) if match[1] == found[1]]
                value = random.choice((random.choice(others), random.choice(_NUMBERS).encode()))
                content = content[: found.start(2)] + value + content[found.end(2) :]
            case 4:
                content = _replace(content, _ELEMENT, b"", random)
            case 5:
                found = random.choice(list(_ELEMENT.finditer(content)))
                content = content[: found.end()] + found[0] + content[found.end() :]
            case _:
                first, second = sorted(
                    random.sample(list(_ELEMENT.finditer(content)), 2), key=lambda match: match.start()
                )
                if first.end() <= second.start():
                    middle = content[first.end() : second.start()]
                    content = content[: first.start()] + second[0] + middle + first[0] + content[second.end() :]
    return content


def _replace(content: bytes, pattern: re.Pattern[bytes], value: bytes, random: random.Random) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return content
    chosen = random.choice(found)
    return content[: chosen.start()] + value + content[chosen.end() :]
