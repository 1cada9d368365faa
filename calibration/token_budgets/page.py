"""The page of a budget search: the front as a picture, every budget measured, and which were stored."""

import math
from collections.abc import Sequence

from calibration.token_budgets.report import BudgetSearch, Finalist, budget_names
from calibration.token_budgets.trials import Shares, Trial
from edge_qa.reporting import html
from edge_qa.reporting.html import Markup, Section
from edge_qa.system.machine import measured_here

_WIDTH, _HEIGHT = 860, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 32, 16, 44
_BAR, _BAR_HEIGHT = 11, 26


def budgets_page(result: BudgetSearch) -> bytes:
    """Return the page, UTF-8."""
    sections = [Section("Budgets", _budgets(result))]
    if any(trial.drop is not None for trial in result.trials):
        sections.append(Section("Latency and F1 of every budget measured", _picture(result)))
        sections.append(Section("The front", _front(result)))
    sections.append(Section("How it was searched", (_story(result),)))
    return html.page(
        f"{result.path.name}: fewer tokens, less time",
        sections,
        lead=f"from {result.source_name}, by measuring {len(result.trials)} token budgets",
        footer=f"edge-qa search-budgets: bundle {result.manifest.digest}; {measured_here()}",
    )


def _budgets(result: BudgetSearch) -> tuple[Markup, ...]:
    full = result.full
    headers = (
        "budget",
        "F1",
        "lost",
        "95 % interval",
        "relative latency",
        "speed",
        "tokens left, by layer",
    )
    everything = (1.0,) * (result.manifest.model.layers or 0)
    rows: list[tuple[str | Markup, ...]] = [
        ("full", f"{full.scores.f1:.2f}", "", "", "1.00", "1.00x", _bars(everything))
    ]
    rows += [_finalist(one, budget_names(result.budgets, place)) for place, one in enumerate(result.finalists)]
    texts = [
        f"{full.scores.questions} questions of {full.dataset}, end to end, one at a time, all in turn; latency is the "
        f"median of a question, {full.latency.p50_ms:.2f} ms with every token.",
        f"fast is the fastest that loses at most {result.max_drop:g} F1 there, balanced the fastest that loses at most "
        "a third of that; the others were scored as well and are not stored.",
    ]
    failure = [f"Nothing was written: {result.failure}."] if result.failure else []
    notes = html.paragraphs([*failure, *(f"Note: {note}." for note in result.notes)])
    return html.table(headers, rows, align="lrrrrr"), notes, html.paragraphs(texts, note=True)


def _finalist(one: Finalist, name: str) -> tuple[str | Markup, ...]:
    return (
        name or "-",
        f"{one.f1:.2f}",
        f"{one.drop.points:+.2f}",
        f"{one.drop.low:+.2f} to {one.drop.high:+.2f}",
        f"{one.relative_latency:.2f}",
        f"{1 / one.relative_latency:.2f}x",
        _bars(one.trial.shares),
    )


def _picture(result: BudgetSearch) -> tuple[Markup, ...]:
    """A dot for each budget that was asked anything, a line through the front."""
    # By what was lost: those that stopped early were asked only some of the questions behind the full model's score.
    asked = [(trial.latency, result.full_f1 - trial.drop) for trial in result.trials if trial.drop is not None]
    best = [(trial.latency, result.full_f1 - (trial.drop or 0.0)) for trial in result.front]
    lowest = result.full_f1 - max(1.5, min(10.0, max(result.full_f1 - f1 for _, f1 in asked)))
    highest = max([result.full_f1, *(f1 for _, f1 in best)]) + 0.5
    # Room for a name left of the fastest.
    left = max(0.0, math.floor(10 * min(latency for latency, _ in asked) - 0.8) / 10)

    def x(latency: float) -> float:
        return _LEFT + (latency - left) / (1.02 - left) * (_WIDTH - _LEFT - _RIGHT)

    def y(f1: float) -> float:
        inside = min(highest, max(lowest, f1))
        return _TOP + (highest - inside) / (highest - lowest) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for tick in range(round(left * 10), 11):
        parts.append(_line([(x(tick / 10), y(lowest)), (x(tick / 10), y(highest))], "var(--line)", 1))
        parts.append(html.text(x(tick / 10), y(lowest) + 16, f"{tick / 10:.1f}", class_="soft middle"))
    for f1 in range(math.ceil(lowest), math.floor(highest) + 1):
        parts.append(_line([(_LEFT, y(f1)), (_WIDTH - _RIGHT, y(f1))], "var(--line)", 1))
        parts.append(html.text(_LEFT - 8, y(f1) + 4, f1, class_="soft end"))
    middle = (_LEFT + _WIDTH) / 2
    parts.append(html.text(middle, _HEIGHT - 8, "latency relative to the full model", class_="soft middle"))
    parts.append(html.text(_LEFT + 6, _TOP + 12, "F1", class_="soft"))
    full = x(1.0), y(result.full_f1)
    line = [*((x(latency), y(f1)) for latency, f1 in best), full]
    parts += [_dot(x(latency), y(f1), 2.5, "var(--second)") for latency, f1 in asked]
    parts.append(_line(line, "var(--accent)", 2))
    parts += [_dot(*point, 3.5, "var(--accent)") for point in line]
    parts.append(html.text(full[0] + 8, full[1] + 4, "full", class_="strong"))
    # Nothing is faster and better than the front, so that names have room left of it. "fast" stands no higher there
    # than "balanced".
    above = {"fast": -4, "balanced": 8}
    for name, place in result.budgets.items():
        trial = result.finalists[place].trial
        at = x(trial.latency), y(result.full_f1 - (trial.drop or 0.0))
        parts += [_dot(*at, 5.5, "var(--warn)"), html.text(at[0] - 9, at[1] - above[name], name, class_="strong end")]
    label = "F1 against relative latency: a dot for each budget, a line through the front, the stored ones by name"
    note = (
        f"On {result.questions} questions of {result.calibration}. Small dots: every budget that was asked "
        "anything; those that stopped early are where their first questions put them, and what lost more than "
        "the picture shows stands at its lower edge. Line: the front. A stored budget is where the search "
        "measured it; the table above says what the evaluation file made of it."
    )
    return (html.figure(html.svg(_WIDTH, _HEIGHT, *parts, label=label), html.paragraphs([note], note=True)),)


def _front(result: BudgetSearch) -> tuple[Markup, ...]:
    headers = ("relative latency", "F1", "lost", "standard error", "tokens left, by layer", "budget")
    rows = [
        (
            f"{trial.latency:.3f}",
            f"{trial.f1:.2f}",
            f"{trial.drop:+.2f}",
            f"{trial.error:.2f}",
            _bars(trial.shares),
            _named(result, trial),
        )
        for trial in result.front
    ]
    note = f"Within {result.allowance:g} F1 of the full model, on the questions that searched."
    return html.table(headers, rows, align="rrrr"), html.paragraphs([note], note=True)


def _named(result: BudgetSearch, trial: Trial) -> str:
    places = [place for place, one in enumerate(result.finalists) if one.trial == trial]
    return budget_names(result.budgets, places[0]) if places else ""


def _story(result: BudgetSearch) -> Markup:
    count = dict.fromkeys(("complete", "beyond the drop", "dominated", "not faster"), 0)
    for trial in result.trials:
        count[trial.verdict] += 1
    against = "the answers of the file" if result.labelled else "the full model's own answers"
    rows: list[tuple[str, str]] = [
        ("tokens ranked by", "a fitted probe" if result.rule == "probe" else "the attention they are paid"),
        ("counts rounded up to a multiple of", str(result.step)),
        ("probes fitted on", f"{result.samples} questions of {result.calibration}"),
        ("searched with", f"{result.questions} other questions, against {against}"),
        ("seed", str(result.seed)),
        ("budgets measured", ", ".join(f"{number} {verdict}" for verdict, number in count.items() if number)),
        ("generations", str(1 + max((trial.generation for trial in result.trials), default=0))),
        ("search", f"{result.search_seconds:.0f} s" + (", stopped by the time limit" if result.stopped_early else "")),
        ("everything", f"{result.seconds:.0f} s"),
        ("sha256 of the calibration file", result.calibration_sha256),
        ("sha256 of the evaluation file", result.full.dataset_sha256),
    ]
    return html.table(("", ""), rows)


def _bars(shares: Shares) -> Markup:
    """A small bar for each layer, as high as the share that is left in it."""
    parts = []
    for place, share in enumerate(shares):
        height = share * _BAR_HEIGHT
        parts.append(
            html.element("rect", x=place * _BAR, y=_BAR_HEIGHT - height, width=_BAR - 2, height=height, class_="accent")
        )
    words = " ".join(f"{share:g}" for share in shares)
    return html.svg(_BAR * len(shares), _BAR_HEIGHT, html.element("title", words), *parts, label=words)


def _dot(x: float, y: float, radius: float, colour: str) -> Markup:
    return html.element("circle", cx=x, cy=y, r=radius, style=f"fill: {colour}")


def _line(points: Sequence[tuple[float, float]], colour: str, width: int) -> Markup:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return html.element("path", d=path, style=f"fill: none; stroke: {colour}; stroke-width: {width}")
