"""Released tables to tables of words. A cell says which it is: a number, protected, undefined, not covered."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from analytics.figures import formats, names, words
from analytics.figures.words import say, t
from analytics.measures import Measure, grammar
from analytics.release import Released, policy


def cell(row: Mapping[str, Any] | None, unit: str, missing: str | None = None) -> str:
    """A row's value in words; `missing` is what to say where there is no row (default: not covered)."""
    if row is None:
        return missing or t("cell.not_covered")
    if row["status"] != "shown":
        return t(f"cell.{row['status']}")
    text = formats.value(row["value"], unit, words.language(), words.money_unit())
    between = interval(row, unit)
    return t("interval.cell", value=text, interval=between) if between else text


def nobody(form: Measure) -> str:
    """What to say where a group has no row of a tier its place has: this tier paid nobody, or nobody is there whom the measure counts."""
    return t("cell.nobody_paid" if form.is_of_paid else "cell.nobody")


def unless_few(said: str, form: Measure, many: bool) -> str:
    """What an absent cell says, unless it says that nobody of a group was paid that is not known to be of `many`: of a few that is a
    fact about each of them.
    """
    return said if many or said != nobody(form) else t("cell.hidden")


def interval(row: Mapping[str, Any], unit: str, low: str = "ci_low", high: str = "ci_high") -> str:
    """The interval of a row, shares in percent without the sign; empty where there is none."""
    ends = [float(row[end]) for end in (low, high) if row.get(end) is not None]
    if len(ends) < 2:
        return ""
    if unit in ("share", "points"):
        return t("interval.ends", low=f"{ends[0] * 100:.1f}", high=f"{ends[1] * 100:.1f}")
    told = [formats.value(end, unit, words.language(), words.money_unit()) for end in ends]
    return t("interval.ends", low=told[0], high=told[1])


def error(row: Mapping[str, Any], unit: str) -> str:
    """A standard error: of shares in percentage points."""
    if row.get("se") is None:
        return formats.NOTHING
    if unit in ("share", "points"):
        return f"{row['se'] * 100:.2f}{t('tables.points')}"
    return formats.value(row["se"], unit, words.language(), words.money_unit())


def full(released: Released, tiers: Sequence[str] = ()) -> pl.DataFrame:
    """Everything an answer holds, one row per group: dimensions in words, value, numerator, denominator, n. `tiers`: their order of
    payment, where it is one.
    """
    unit, rows = released.measure.unit, []
    for row in _sorted(released, tiers):
        line = {names.dimension(d): names.member(d, row[d]) for d in released.by}
        line[say(released.measure.title)] = cell({**row, "ci_low": None}, unit)
        if "se" in row:
            line[t("column.se")] = error(row, unit)
            line[t("column.interval")] = interval(row, unit) or formats.NOTHING
        for part in ("numerator", "denominator"):
            line[t(f"column.{part}")] = (
                t("cell.hidden") if row["status"] == "hidden" else formats.count(_rounded(row[part]))
            )
        line[t("column.n")] = t("cell.hidden") if row["status"] == "hidden" else formats.count(row["n"])
        rows.append(line)
    return pl.DataFrame(rows)


def with_parts(released: Released, parts: Mapping[str, str], money: Sequence[str] = ()) -> pl.DataFrame:
    """One row per group: dimensions in words, the value, and parts of it (numerator, denominator, n) under the heads given;
    those named in `money` as sums of money."""
    lines, shown = [], [r for r in released.table.to_dicts() if r["status"] == "shown"]
    scales = {p: formats.common([r[p] for r in shown], words.money_unit(), words.language()) for p in money}
    for row in _sorted(released):
        line = {names.dimension(d): names.member(d, row[d]) for d in released.by}
        line[say(released.measure.title)] = cell(row, released.measure.unit)
        for part, head in parts.items():
            told = formats.count(_rounded(row[part]))
            if part in money:
                told = formats.money(row[part], words.language(), by=scales[part])
            line[head] = t("cell.hidden") if row["status"] == "hidden" else told
        lines.append(line)
    return pl.DataFrame(lines)


def no_resource(released: Released) -> str:
    """How many households have a resource (or living standard) of zero or less, and what becomes of them; empty where there are
    none or the measure knows none.
    """
    n = released.provenance.get("n_no_resource", 0)
    if not n:
        return ""
    name = "resource" if "resource" in released.parameters else "living_standard"
    title = say(grammar().choices(name)[released.parameters[name]].title)
    if isinstance(n, int):
        count = t("no_resource.homes", n=formats.count(n))
    elif n.startswith(">="):
        count = t("no_resource.least", n=formats.count(int(n.removeprefix(">="))))
    else:
        count = t("no_resource.few", k=policy().k) if n.startswith("n <") else t("no_resource.cells")
    rule = t(f"provenance_no_resource.{released.provenance['no_resource']}")
    return t(
        "no_resource.households",
        of=title if words.language() == "zh" else title[:1].lower() + title[1:],
        n=count,
        rule=rule,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _sorted(released: Released, tiers: Sequence[str] = ()) -> list[dict[str, Any]]:
    orders = {d: names.ordered(d, released.table[d]) for d in released.by}
    if "tier" in orders:
        orders["tier"].sort(key=lambda k: tiers.index(k) if k in tiers else -1 if k == "none" else len(tiers))
    return sorted(released.table.to_dicts(), key=lambda r: [orders[d].index(str(r[d])) for d in released.by])


def side_by_side(answers: Sequence[Released], rows: Sequence[str] | None = None) -> pl.DataFrame:
    """Several measures with the same breakdown as columns of one table. `rows`: order of the first dimension's values."""
    by = answers[0].by
    keyed = [{tuple(str(r[d]) for d in by): r for r in a.table.iter_rows(named=True)} for a in answers]
    keys = [tuple(str(r[d]) for d in by) for r in _sorted(answers[0])]
    if rows is not None:
        keys = sorted((k for k in keys if k[0] in rows), key=lambda k: list(rows).index(k[0]))
    lines = []
    for key in keys:
        line = {names.dimension(d): names.member(d, code) for d, code in zip(by, key, strict=True)}
        line |= {
            say(a.measure.title): cell(found.get(key), a.measure.unit, formats.NOTHING)
            for a, found in zip(answers, keyed, strict=True)
        }
        lines.append(line)
    return pl.DataFrame(lines)


def by_measure(
    answers: Sequence[Released],
    columns: str,
    across: Sequence[str],
    missing: Callable[[Measure, str], str] | None = None,
) -> pl.DataFrame:
    """One line per measure, the values of a dimension across. `missing(measure, column)`: see `crossed`."""
    lines = []
    for answer in answers:
        found = {str(r[columns]): r for r in answer.table.iter_rows(named=True)}
        form = answer.measure
        many = _is_whole(answer) or any(r["status"] == "shown" for r in found.values())
        absent = {c: unless_few(missing(form, c), form, many) if missing else None for c in across}
        cells = {names.member(columns, c): cell(found.get(c), form.unit, absent[c]) for c in across}
        lines.append({t("control.measure"): say(form.title), **cells})
    return pl.DataFrame(lines)


def crossed(
    released: Released,
    rows: str,
    columns: str,
    down: Sequence[str] = (),
    across: Sequence[str] = (),
    missing: Callable[[str, str], str] | None = None,
) -> pl.DataFrame:
    """One dimension down, another across, in the order given or their own. `missing(row, column)`: what to say where
    the answer holds nothing (default: not covered)."""
    cells = {(str(r[rows]), str(r[columns])): r for r in released.table.iter_rows(named=True)}
    down = down or names.ordered(rows, released.table[rows])
    across = across or names.ordered(columns, released.table[columns])

    # groups known to be no small ones
    many = {row for (row, _), held in cells.items() if held["status"] == "shown"}

    def text(row: str, column: str) -> str:
        known = _is_whole(released) or (columns == "tier" and row in many)
        absent = unless_few(missing(row, column), released.measure, known) if missing else None
        return cell(cells.get((row, column)), released.measure.unit, absent)

    return _crossed(rows, down, columns, across, text)


def _is_whole(released: Released) -> bool:
    """Whether an answer looks at everybody of its places."""
    return {*released.by, *released.where} <= {"city", "plan_year", "tier", "threshold"}


def _crossed(
    rows: str, down: Sequence[str], columns: str, across: Sequence[str], text: Callable[[str, str], str]
) -> pl.DataFrame:
    heads = [names.dimension(rows), *(names.member(columns, c) for c in across)]
    lines = [[names.member(rows, r), *(text(r, c) for c in across)] for r in down]
    return pl.DataFrame(lines, schema=dict.fromkeys(heads, pl.String), orient="row")


def against(
    released: Released, rows: str, columns: str, benchmark: str, down: Sequence[str], across: Sequence[str]
) -> pl.DataFrame:
    """Differences of every row from the benchmark row, in the measure's own unit (shares: percentage points)."""
    unit, found = released.measure.unit, differences(released, rows, columns, benchmark)

    def text(row: str, column: str) -> str:
        shown = formats.difference(found.get((row, column)), unit, words.language(), words.money_unit())
        return shown.removesuffix(t("tables.points")) if unit in ("share", "points") else shown

    table = _crossed(rows, [r for r in down if r != benchmark], columns, across, text)
    return (
        table.rename({names.dimension(rows): names.dimension(rows) + t("tables.in_points")})
        if unit in ("share", "points")
        else table
    )


def differences(
    released: Released, rows: str, columns: str, benchmark: str
) -> dict[tuple[str, str], float | None]:
    """Value less that of the benchmark row in the same column; None where either is not shown."""
    values = {
        (str(r[rows]), str(r[columns])): r["value"] if r["status"] == "shown" else None
        for r in released.table.iter_rows(named=True)
    }
    found = {}
    for (row, column), own in values.items():
        other = values.get((benchmark, column))
        found[row, column] = None if own is None or other is None else own - other
    return found


def unmarked(frame: pl.DataFrame) -> pl.DataFrame:
    """A table of sentences as plain words, for a grid that draws no marks."""
    links = pl.all().str.replace_all(r"\[(.*?[^\\])\]\([^)]*\)", "$1")
    return frame.with_columns(links).with_columns(
        pl.all().str.replace_all("  \n", " · ").str.replace_all(r"\*\*", "").str.replace_all(r"\\(.)", "$1")
    )
