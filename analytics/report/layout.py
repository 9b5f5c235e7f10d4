"""Answers laid out: parts of a report as tables of cells and pictures. A cell has a number behind it only where one is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.release import Released, policy
from analytics.report.document import Block, Cell, Picture, Table, Text
from analytics.report.form import Column, Part
from analytics.report.look import Look, Unanswered

Row = Mapping[str, Any]
NATIVE = {"fall": "fall", "bars": "bars", "lines": "lines"}
_FEWEST = 2  # numbers a picture is drawn of
_OWN, _OTHERS = "#00639C", "#9AA5B1"
# Unit of a measure -> unit of a cell, where they are not of the same name.
_UNITS = {"per_100": "count"}


def blocks(look: Look, part: Part) -> list[Block]:
    """A part as picture and table. Raises Unanswered where the store holds nothing for it."""
    if part.of == "course" and len(look.years) == 1:
        raise Unanswered(t("report.one_year"))
    made = {"columns": _columns, "crossed": _crossed, "course": _course, "peers": _peers}[part.layout]
    table = made(look, part)
    numbers = [cell for line in table.rows for cell in line[table.left :]]
    if {cell.text for cell in numbers} <= {t("cell.hidden"), formats.NOTHING}:
        return [Text(t("report.all_protected", title=table.title, k=policy().k))]
    return [_picture(look, part, table) or table] if part.chart else [table]


def cell(row: Row | None, unit: str, missing: str, show: str = "value") -> Cell:
    """A number of a row as people read it, the number behind it, or the word that says why there is none."""
    if row is None:
        return Cell(missing)
    if row["status"] == "undefined" and not row["n"]:  # nobody there at all
        return Cell(t("cell.no_data"))
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


def _even(cells: Sequence[Cell]) -> list[Cell]:
    """Cells that stand beside each other, their sums of money in one unit."""
    language, unit = words.language(), words.money_unit()
    by = formats.common([c.value for c in cells if c.unit == "yuan"], unit, language)
    even = []
    for one in cells:
        sign = "+" if one.text.startswith("+") else ""
        if one.unit != "yuan" or one.value is None:
            even.append(one)
            continue
        money = _plain(one.value)
        alone = one.text == sign + formats.money(money, language, unit)  # nothing else is said with it
        even.append(replace(one, text=sign + formats.money(money, language, by=by)) if alone else one)
    return even


def _of_totals(before: Cell, now: Cell, unit: str) -> Cell:
    """The difference of two totals."""
    if before.value is None or now.value is None:
        return Cell(formats.NOTHING)
    return difference({"difference": now.value - before.value}, unit)


def _plain(number: float) -> float:
    """Without the last bits of a sum of fractions, which would be printed as decimals."""
    return float(f"{number:.12g}")


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
    lines = list(zip(*(_even(column) for column in zip(*lines, strict=True)), strict=True))
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
    many = {at for (at, _), row in rows.items() if row["status"] == "shown"}

    def missing(at: str) -> str:
        """What an absent cell says; the tiers across are those the place has."""
        if "tier" not in part.by:
            return formats.NOTHING
        return tables.unless_few(tables.nobody(answer.measure), answer.measure, at in many)

    lines = [
        (
            Cell(look.label(down, at)),
            *(cell(rows.get((at, to)), column.measured, missing(at), column.show) for to in columns),
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
            if column.show == "value":
                change = look.change(column.measure, where)
                line.append(difference(change.row if change else None, column.measured))
            else:
                line.append(_of_totals(line[-2], line[-1], column.measured))
        lines.append(tuple(_even(line)))
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
                Cell(words.city(city) + (t("report.own_city") if city == look.city else "")),
                Cell(formats.NOTHING) if place is None else Cell(str(place), place, "count"),
                cell(rows.get(city), column.measured, _missing(by)),
                difference(None if city == look.city else apart.get(city), column.measured),
            )
        )
    heads = (
        names.dimension("city"),
        t("ranking.place"),
        _heading(column),
        t("ranking.difference", city=words.city(look.city)),
    )
    direction = t(f"report_ranked.{better}")
    told = t("report_ranked.interval") if any("[" in line[-1].text for line in lines) else ""
    return Table(say(part.title), heads, tuple(lines), _joined(direction, told, _note(part, [answer])))


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


def _picture(look: Look, part: Part, table: Table) -> Picture | None:
    """The part drawn over its table; None where there is nothing to compare."""
    found = _fall(look) if part.chart == "fall" else _drawn(look, part)
    if found is None:
        return None
    chart = _ranked(found, table, look) if part.layout == "peers" else found
    drawn = _series(part, table)
    if sum(line[at].value is not None for line in table.rows for at in drawn) < _FEWEST:
        return None
    title = table.title
    if part.layout == "columns" and part.chart == "bars" and len(part.column) > 1:
        title = t("report.drawn", title=title, what=words.inline(table.columns[drawn[0]]))
    told = replace(chart, alt=t("report.alt", title=title, numbers=_told(table, drawn)))
    note = t("figure.gaps", n=chart.gaps) if chart.gaps else ""
    return Picture(title, told, table, NATIVE[part.chart], note, drawn)


def _series(part: Part, table: Table) -> tuple[int, ...]:
    """The columns of its table a picture draws; of a fall what each tier takes off, and what is left after it."""
    if part.chart == "fall":
        at = {column.measure: i for i, column in enumerate(part.column, 1) if column.show == "value"}
        return at["tier_share"], at["own_share_after"]
    if part.chart == "lines":
        return tuple(range(1, len(table.columns)))
    return (2,) if part.layout == "peers" else (table.left + part.charted,)


def _told(table: Table, drawn: Sequence[int]) -> str:
    """The numbers of a picture in words, for those who cannot see it."""
    lines = []
    for line in table.rows:
        several = len(drawn) > 1
        numbers = [f"{table.columns[at]} {line[at].text}" if several else line[at].text for at in drawn]
        lines.append(f"{line[0].text} {words.listing(numbers)}")
    return t("explain.semicolon").join(lines)


def _drawn(look: Look, part: Part) -> charts.Chart | None:
    column = part.column[part.charted]
    where = {**part.where, **column.where}
    by = part.by if part.layout != "peers" else ("city", "tier") if "tier" in where else ("city",)
    try:
        answer = look.ask(column.measure, by, part.of, where)
    except Unanswered:
        return None
    x = by[0]
    drawn = look.named(answer, x)
    if part.chart == "lines":
        held = look.tiers(answer) if by[1] == "tier" else []
        return charts.lines(drawn, x, by[1], held, names.dimension(x))
    order = look.tiers(answer) if x == "tier" else []
    return charts.bars(drawn, x, None, order, flat=len(look.ordered(x, answer)) > 3)


def _fall(look: Look) -> charts.Chart | None:
    try:
        before, after, paid = (
            look.ask(m, ("tier",)) for m in ("own_share_before", "own_share_after", "tier_share")
        )
    except Unanswered:
        return None
    return charts.fall(before, after, paid, look.tiers(after))


def _ranked(chart: charts.Chart, table: Table, look: Look) -> charts.Chart:
    """Bars in the order of the table, this city's alone in colour."""
    (bar,) = chart.figure["data"]
    names_, numbers = ("y", "x") if bar["orientation"] == "h" else ("x", "y")
    ranks = {row[0].text.removesuffix(t("report.own_city")): i for i, row in enumerate(table.rows)}
    at = sorted(range(len(bar[names_])), key=lambda i: ranks[bar[names_][i]])
    city = words.city(look.city)
    moved = {name: [bar[name][i] for i in at] for name in (names_, numbers, "text")}
    own = [_OWN if label == city else _OTHERS for label in moved[names_]]
    return replace(chart, figure={**chart.figure, "data": [{**bar, **moved, "marker": {"color": own}}]})
