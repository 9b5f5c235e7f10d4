"""Headline numbers: one value, its change on the year before, and its course over the years."""

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from analytics.figures import formats, tables, words
from analytics.figures.words import t
from analytics.release import Released

_COLOURS = {"higher": "normal", "lower": "inverse"}


def rate(label: str, by_year: Released, year: str, help: str | None = None) -> None:
    """A measure at one plan year of an answer by plan year."""
    unit, language = by_year.measure.unit, words.language()
    rows = {str(r["plan_year"]): r for r in by_year.table.iter_rows(named=True)}
    shown = {y: r["value"] for y, r in sorted(rows.items()) if r["status"] == "shown"}
    earlier = shown.get(str(int(year) - 1))
    change = None if earlier is None or year not in shown else shown[year] - earlier
    text = None if change is None else formats.difference(change, unit, language, words.money_unit())
    none = formats.difference(0.0, unit, language, words.money_unit())
    flat = text is not None and text.lstrip("+-") == none  # a change that reads as none has no arrow
    st.metric(
        label,
        tables.cell(rows.get(year), unit),
        0 if flat else text,
        delta_color=_COLOURS.get(by_year.measure.better, "off"),  # type: ignore[arg-type]
        chart_data=list(shown.values()) if len(shown) > 2 else None,
        border=True,
        height="stretch",
        help=help,
    )


def amount(
    label: str,
    by_year: Released,
    year: str,
    pick: Callable[[Mapping[str, Any]], float | None],
    help: str | None = None,
) -> None:
    """Money picked from the row of one plan year, for example a denominator."""
    rows = {str(r["plan_year"]): r for r in by_year.table.iter_rows(named=True)}
    row = rows.get(year)
    hidden = row is not None and row["status"] == "hidden"
    value = None if row is None else pick(row)
    course = [pick(r) for _, r in sorted(rows.items()) if r["status"] != "hidden"]
    drawn = [v for v in course if v is not None]
    st.metric(
        label,
        t("cell.hidden")
        if hidden
        else formats.money(value, words.language(), words.money_unit(), brief=True),
        chart_data=drawn if len(drawn) > 2 else None,
        border=True,
        height="stretch",
        help=help,
    )
