"""Answers laid out: parts of a report as tables of cells and pictures. A cell has a number behind it only where one is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.measures import measures
from analytics.release import Released, policy
from analytics.report.document import Block, Cell, Picture, Table, Text
from analytics.report.form import Column, Part
from analytics.report.look import Look, Unanswered

Row = Mapping[str, Any]
NATIVE = {"fall": "fall", "dumbbells": "bars", "bars": "bars", "lines": "lines"}
# Unit of a measure -> unit of a cell, where they are not of the same name.
_UNITS = {"per_100": "count"}


def blocks(look: Look, part: Part) -> list[Block]:
    """A part as picture and table. Raises Unanswered where the store holds nothing for it."""
    made = {"columns": _columns, "crossed": _crossed, "course": _course, "peers": _peers}[part.layout]
    table = made(look, part)
    numbers = [cell for line in table.rows for cell in line[table.left :]]
    if {cell.text for cell in numbers} <= {t("cell.hidden"), formats.NOTHING}:
        return [Text(t("report.all_protected", title=table.title, k=policy().k))]
    picture = _picture(look, part) if part.chart else None
    return [block for block in (picture, table) if block is not None]


def cell(row: Row | None, unit: str, missing: str, show: str = "value") -> Cell:
    """A number of a row as people read it, the number behind it, or the word that says why there is none."""
    if row is None:
        return Cell(missing)
    if row["status"] != "shown" or row[show] is None:
        return Cell(t("cell.undefined" if row["status"] == "shown" else f"cell.{row['status']}"))
    number = float(row[show])
    text = formats.value(_plain(number), unit, words.language(), words.money_unit())
    return Cell(text, number, _UNITS.get(unit, unit))


def difference(row: Row | None, unit: str) -> Cell:
    """A signed difference; empty of a number where either side is not shown."""
    if row is None or row.get("difference") is None:
        return Cell(formats.NOTHING)
    number = float(row["difference"])
    text = formats.difference(_plain(number), unit, words.language(), words.money_unit())
    between = tables.interval(row, unit, "difference_low", "difference_high")
    text = t("interval.cell", value=text, interval=between) if between else text
    return Cell(text, number, "points" if unit == "share" else _UNITS.get(unit, unit))


def _plain(number: float) -> float:
    """Without the last bits of a sum of fractions, which would be printed as decimals."""
    return round(number, 6)


def _heading(column: Column) -> str:
    return say(column.heading)


def _missing(dimensions: Sequence[str]) -> str:
    return t("cell.not_covered") if "tier" in dimensions else formats.NOTHING


def _answers(look: Look, part: Part, **more: Any) -> list[Released | None]:
    """One answer per column, None where the store does not hold what it needs. Raises Unanswered where none is there."""
    found: list[Released | None] = []
    for column in part.column:
        try:
            answer = look.ask(column.measure, part.by, part.of, {**part.where, **column.where}, **more)
            found.append(answer if answer.table.height else None)
        except Unanswered:
            found.append(None)
    if not any(found):
        raise Unanswered(t("report.not_held"))
    return found


def _rows(answer: Released | None, by: Sequence[str]) -> dict[tuple[str, ...], Row]:
    return {} if answer is None else {tuple(str(r[d]) for d in by): r for r in answer.table.to_dicts()}


def _columns(look: Look, part: Part) -> Table:
    answers = _answers(look, part)
    keyed = [_rows(a, part.by) for a in answers]
    orders = [
        list(dict.fromkeys(code for a in answers if a is not None for code in look.ordered(d, a)))
        for d in part.by
    ]
    orders = [_in_order(look, d, codes) for d, codes in zip(part.by, orders, strict=True)]
    keys = sorted(
        {key for rows in keyed for key in rows},
        key=lambda key: [order.index(code) for order, code in zip(orders, key, strict=True)],
    )
    lines = [
        (
            *(Cell(look.label(d, code)) for d, code in zip(part.by, key, strict=True)),
            *(
                cell(rows.get(key), c.measured, _absent(answer), c.show)
                for c, rows, answer in zip(part.column, keyed, answers, strict=True)
            ),
        )
        for key in keys
    ]
    heads = (*(names.dimension(d) for d in part.by), *map(_heading, part.column))
    return Table(say(part.title), heads, tuple(lines), _note(part, answers), len(part.by))


def _absent(answer: Released | None) -> str:
    return t("cell.no_data") if answer is None else formats.NOTHING


def _in_order(look: Look, dimension: str, codes: Sequence[str]) -> list[str]:
    known = ["none", *look.order] if dimension == "tier" else names.ordered(dimension, codes)
    return [code for code in known if code in codes]


def _crossed(look: Look, part: Part) -> Table:
    (answer,), (down, across), (column,) = _answers(look, part), part.by, part.column
    assert answer is not None  # or `_answers` would have raised
    rows = _rows(answer, part.by)
    columns = look.ordered(across, answer)
    lines = [
        (
            Cell(look.label(down, at)),
            *(cell(rows.get((at, to)), column.measured, _missing(part.by), column.show) for to in columns),
        )
        for at in look.ordered(down, answer)
    ]
    heads = (names.dimension(down), *(look.label(across, to) for to in columns))
    return Table(say(part.title), heads, tuple(lines), _note(part, [answer]))


def _course(look: Look, part: Part) -> Table:
    years = [str(year) for year in look.years]
    lines = []
    told: list[Released | None] = []
    for column in part.column:
        where = {**part.where, **column.where}
        tier = next(iter(where.get("tier", ())), "")
        by = ("plan_year", "tier") if tier else ("plan_year",)
        try:
            answer: Released | None = look.ask(column.measure, by, "course", where)
        except Unanswered:
            answer = None
        told.append(answer)
        rows = {str(r["plan_year"]): r for r in answer.table.to_dicts()} if answer else {}
        absent = t("cell.not_covered") if tier and answer else t("cell.no_data")
        line = [Cell(_heading(column) + (t("report.of_tier", tier=words.tier(tier)) if tier else ""))]
        line += [cell(rows.get(year), column.measured, absent, column.show) for year in years]
        if look.before is not None:
            change = look.change(column.measure, where) if column.show == "value" else None
            line.append(difference(change.row if change else None, column.measured))
        lines.append(tuple(line))
    if not any(told):
        raise Unanswered(t("report.not_held"))
    heads = (t("report.item"), *years, *([t("report.change")] if look.before is not None else []))
    return Table(say(part.title), tuple(heads), tuple(lines), _note(part, told))


def _peers(look: Look, part: Part) -> Table:
    if len(look.cities) < 2:
        raise Unanswered(t("report.no_peers"))
    (column,) = part.column
    where = {**part.where, **column.where}
    by = ("city", "tier") if "tier" in where else ("city",)
    answer = look.ask(column.measure, by, "peers", where)
    rows = {str(r["city"]): r for r in answer.table.to_dicts()}
    apart: dict[str, Row] = {}
    if rows.get(look.city, {}).get("status") == "shown":
        apart = _apart(look, column.measure, by, where)
    better = answer.measure.better
    sign = 1 if better == "lower" else -1
    shown = {c: float(r["value"]) for c, r in rows.items() if r["status"] == "shown"}
    order = sorted(look.cities, key=lambda c: (c not in shown, sign * shown.get(c, 0.0), c))
    lines = []
    for city in order:
        place = 1 + sum(sign * v < sign * shown[city] for v in shown.values()) if city in shown else None
        lines.append(
            (
                Cell(formats.NOTHING) if place is None else Cell(str(place), place, "count"),
                Cell(words.city(city) + (t("report.own_city") if city == look.city else "")),
                cell(rows.get(city), column.measured, _missing(by)),
                difference(None if city == look.city else apart.get(city), column.measured),
            )
        )
    heads = (
        t("ranking.place"),
        names.dimension("city"),
        _heading(column),
        t("ranking.difference", city=words.city(look.city)),
    )
    direction = t(f"report.ranked_{better}")
    return Table(say(part.title), heads, tuple(lines), _joined(direction, _note(part, [answer])), 2)


def _apart(look: Look, measure: str, by: Sequence[str], where: Any) -> dict[str, Row]:
    try:
        more = {"se": "superpopulation", "against": ("city", look.city)}
        found = look.ask(measure, by, "peers", where, **more)
    except Unanswered:
        return {}
    return {str(r["city"]): r for r in found.table.to_dicts()}


def _note(part: Part, answers: Sequence[Released | None]) -> str:
    """What must be said under a table: its own note, what was left out of the answer, and what a protected cell is."""
    found = [say(part.note)] if part.note else []
    held = [a for a in answers if a is not None]
    left_out = {int(n) for a in held for n in a.table["n_excluded"].drop_nulls() if n}
    if left_out and any(a.measure.usable != "true" for a in held):
        found.append(t("report.excluded"))
    if any("hidden" in set(a.table["status"]) for a in held):
        found.append(t("report.protected", k=policy().k))
    return _joined(*found)


def _joined(*notes: str) -> str:
    return ("" if words.language() == "zh" else " ").join(note for note in notes if note)


# --- pictures


def _picture(look: Look, part: Part) -> Picture | None:
    """The part drawn; None where nothing can be."""
    drawn = _drawn(look, part)
    if drawn is None:
        return None
    chart, table = drawn
    if not any(c.value is not None for line in table.rows for c in line[table.left :]):
        return None
    note = t("figure.gaps", n=chart.gaps) if chart.gaps else ""
    told = replace(chart, alt=t("report.alt", title=say(part.title), numbers=_told(table)))
    return Picture(say(part.title), told, table, NATIVE[part.chart], note)


def _told(table: Table) -> str:
    """The numbers of a picture in words, for those who cannot see it."""
    lines = []
    for line in table.rows:
        numbers = [
            f"{head} {c.text}" if len(table.columns) > 2 else c.text
            for head, c in zip(table.columns[1:], line[1:], strict=True)
        ]
        lines.append(f"{line[0].text} {words.listing(numbers)}")
    return t("explain.semicolon").join(lines)


def _drawn(look: Look, part: Part) -> tuple[charts.Chart, Table] | None:
    if part.chart == "fall":
        return _fall(look, part)
    if part.chart == "dumbbells":
        return _dumbbells(look, part)
    column = part.column[part.charted]
    of = "course" if part.layout == "course" else part.of
    by = ("plan_year", *part.by) if part.layout == "course" else part.by
    if part.layout == "peers":
        by = ("city", "tier") if "tier" in {**part.where, **column.where} else ("city",)
    try:
        answer = look.ask(column.measure, by, of, {**part.where, **column.where})
    except Unanswered:
        return None
    x, series = by[0], by[1] if len(by) > 1 and part.layout != "peers" else None
    drawn = look.named(answer, x)
    order = [k for k in look.order if k in set(answer.table["tier"])] if "tier" in by else []
    if part.chart == "lines" and series:
        held = look.tiers(answer) if series == "tier" else []
        chart = charts.lines(drawn, x, series, held)
    else:
        flat = len(look.ordered(x, answer)) > 4 or x == "tier"
        chart = charts.bars(drawn, x, series, order, flat=flat)
    return chart, _series(look, answer, part, column, x, series)


def _series(look: Look, answer: Released, part: Part, column: Column, x: str, series: str | None) -> Table:
    """The numbers a chart draws: categories down, series across."""
    by = (x, series) if series else (x,)
    rows = _rows(answer, by)
    across = look.ordered(series, answer) if series else [""]
    lines = [
        (
            Cell(look.label(x, at)),
            *(
                cell(rows.get((at, to) if series else (at,)), column.measured, formats.NOTHING)
                for to in across
            ),
        )
        for at in look.ordered(x, answer)
    ]
    heads = [look.label(series, to) for to in across] if series else [_heading(column)]
    return Table(say(part.title), (names.dimension(x), *heads), tuple(lines))


def _fall(look: Look, part: Part) -> tuple[charts.Chart, Table] | None:
    try:
        before, after, paid = (
            look.ask(m, ("tier",), part.of) for m in ("own_share_before", "own_share_after", "tier_share")
        )
    except Unanswered:
        return None
    order = [k for k in look.tiers(after) if k != "none"]
    return charts.fall(before, after, paid, order), _by_tier(look, part, [paid, after], order)


def _dumbbells(look: Look, part: Part) -> tuple[charts.Chart, Table] | None:
    try:
        before, after = (look.ask(m, ("tier",), part.of) for m in ("own_share_before", "own_share_after"))
    except Unanswered:
        return None
    order = [k for k in look.tiers(after) if k != "none"]
    return charts.dumbbells(before, after, order), _by_tier(look, part, [before, after], order)


def _by_tier(look: Look, part: Part, answers: Sequence[Released], order: Sequence[str]) -> Table:
    keyed = [_rows(a, ("tier",)) for a in answers]
    lines = [
        (
            Cell(words.tier(k)),
            *(
                cell(rows.get((k,)), a.measure.unit, t("cell.not_covered"))
                for rows, a in zip(keyed, answers, strict=True)
            ),
        )
        for k in order
    ]
    heads = (names.dimension("tier"), *(say(measures()[a.measure.id].title) for a in answers))
    return Table(say(part.title), heads, tuple(lines))
