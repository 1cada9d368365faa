"""Invented values for invented documents: people, firms, sums, dates, terms."""

from collections.abc import Callable

import numpy as np

Random = np.random.Generator
Value = Callable[[Random], str]


def listed(text: str, between: str | None = None) -> list[str]:
    """Return the parts of a text: words, or what stands between marks."""
    return text.split(between)


_FIRST = listed(
    "Ada Bruno Carla Dimitri Elif Farid Greta Hugo Ines Jonas Katya Liam Mira Nadim Olga Pavel Quentin Rosa Sven Tara "
    "Umar Vera Wanda Xenia Yusuf Zoe Aldo Birgit Cem Dana Emeka Freya Goran Hilde Ivo Jana Kofi Lotte Mateo Noor"
)
_LAST = listed(
    "Abel Brandt Costa Demir Eklund Fischer Garcia Horvat Ivanov Jensen Keller Lund Moreau Novak Okafor Peeters Quist "
    "Rossi Schmid Tanaka Ueda Vogel Weber Xu Yilmaz Zeman Ashdown Bellamy Carter Dunmore Ellery Frost Gray Holloway"
)
_STEMS = listed(
    "Alder Beacon Cedar Delta Ember Falcon Granit Harbor Iris Juniper Krona Lumen Meridian Nord Orbit Pinnacle Quarry "
    "River Summit Tide Umbra Vector Willow Zenith Arvo Brio Corvin Dorado Elbe Fjord"
)
_TRADES = listed("Logistics Cleaning Systems Foods Energy Textiles Software Motors Printing Gardens Tools Medical")
_SERIES = listed("S X Pro Mini HD L XL T")
_LETTERS = list("ABCDEFGHKLMNPRSTVWX")
_FORMS = listed("GmbH|Ltd|AG|Inc.|S.A.|& Sons|BV|Cooperative|Group|AB", "|")
_TOWNS = listed(
    "Aachen Bergen Cork Dresden Exeter Faro Ghent Halle Izola Jena Kiel Leeds Malmo Namur Oulu Porto Quimper Riga "
    "Siena Tours Ulm Varna Weimar York Zadar Basel Krems Linz Turku Utrecht"
)
_STREETS = listed(
    "Mill Lane|Harbour Road|Station Street|Church Hill|Garden Row|Canal Street|Market Square|Oak Avenue", "|"
)
_MONTHS = listed("January February March April May June July August September October November December")
_DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
_SMALL = listed("one two three four five six seven eight nine ten twelve fifteen twenty thirty")


def pick(random: Random, items: "list[str] | tuple[str, ...]") -> str:
    """Return one of them."""
    return items[int(random.integers(len(items)))]


def person(random: Random) -> str:
    name = f"{pick(random, _FIRST)} {pick(random, _LAST)}"
    if random.random() < 0.3:
        return f"{pick(random, ['Ms', 'Mr', 'Dr'])} {name if random.random() < 0.4 else name.split()[1]}"
    return name


def firm(random: Random) -> str:
    return f"{pick(random, _STEMS)} {pick(random, _TRADES)} {pick(random, _FORMS)}"


def product(random: Random) -> str:
    return f"{pick(random, _STEMS)} {pick(random, _SERIES)}{random.integers(1, 99)}"


def town(random: Random) -> str:
    return pick(random, _TOWNS)


def address(random: Random) -> str:
    return f"{random.integers(1, 120)} {pick(random, _STREETS)}, {random.integers(10000, 99999)} {town(random)}"


def money(random: Random) -> str:
    amount = int(random.integers(2, 1000)) * int(10 ** random.integers(0, 4)) // int(random.integers(1, 4))
    text = f"{amount:,}" if random.random() < 0.6 else f"{amount:,}.{random.integers(0, 20) * 5:02d}"
    sign = pick(random, ["EUR", "USD", "CHF", "GBP", "€", "$", "£", "euros", "dollars"])
    if sign in ("$", "£"):
        return sign + text
    return f"{sign} {text}" if sign.isupper() and random.random() < 0.8 else f"{text} {sign}"


def date(random: Random) -> str:
    day, month, year = random.integers(1, 29), pick(random, _MONTHS), random.integers(2019, 2031)
    form = random.integers(5)
    if form == 0:
        return f"{month} {day}, {year}"
    if form == 1:
        return f"{year}-{_MONTHS.index(month) + 1:02d}-{day:02d}"
    if form == 2:
        return f"{pick(random, _DAYS)}, {day} {month}"
    return f"{day} {month} {year}" if form == 3 else f"{day} {month}"


def day(random: Random) -> str:
    return f"2026-{random.integers(1, 13):02d}-{random.integers(1, 29):02d}"


def clock(random: Random) -> str:
    return f"{random.integers(6, 23)}:{pick(random, ['00', '15', '30', '45', '10'])}"


def hours(random: Random) -> str:
    begin = int(random.integers(6, 12))
    return (
        f"{begin}:{pick(random, ['00', '30'])} {pick(random, ['to', '-', 'until'])} {begin + random.integers(4, 11)}:00"
    )


def number(random: Random) -> str:
    return pick(random, _SMALL) if random.random() < 0.4 else str(random.integers(2, 400))


def term(random: Random) -> str:
    unit = pick(random, ["days", "weeks", "months", "years", "hours", "working days", "minutes", "calendar days"])
    return f"{number(random)} {unit}"


def percent(random: Random) -> str:
    amount = (
        f"{random.integers(1, 60)}" if random.random() < 0.6 else f"{random.integers(1, 15)}.{random.integers(1, 10)}"
    )
    return amount + pick(random, [" %", "%", " per cent", " percent"])


def measure(*units: str, low: int = 1, high: int = 500) -> Value:
    """A number with one of some units."""

    def value(random: Random) -> str:
        amount = str(random.integers(low, high))
        if random.random() < 0.3:
            amount += f".{random.integers(1, 10)}"
        return f"{amount} {pick(random, units)}"

    return value


def choice(*items: str) -> Value:
    """One of some texts."""
    return lambda random: pick(random, items)


def email(random: Random) -> str:
    return f"{pick(random, _LAST).lower()}@{pick(random, _STEMS).lower()}.example"


def phone(random: Random) -> str:
    return f"555-{random.integers(1000, 9999)}"


def code(random: Random) -> str:
    return f"{pick(random, _LETTERS)}{pick(random, _LETTERS)}-{random.integers(10, 9999)}"
