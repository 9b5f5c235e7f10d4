"""Places ranked by a measure, each with its interval, its difference from a reference, and its value at like ages and sexes."""

from dataclasses import replace
from typing import Any

import polars as pl
import streamlit as st

from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.release import Released
from analytics.view import asking, choose, figure

SURE = 0.05  # a difference with a smaller adjusted p can be told from chance


def show(
    seen: Released, tier: str | None, scope: choose.Scope, reference: str, chosen: dict[str, str]
) -> None:
    """The figure of the newest year. `seen`: the same question over all years, of one tier, as the page has asked it."""
    form, year = seen.measure, scope.years[-1]
    where = {**scope.where, "plan_year": [year]}
    row = asking.row(seen, city=reference, plan_year=year)
    if row is None:
        st.info(t("ranking.no_reference", city=words.city(reference), year=year))
        return
    by = ["city"]
    if tier:  # "last" is the last tier of the reference: like is compared with like
        by, where = ["city", "tier"], {**where, "tier": [str(row["tier"])]}
    answers = {"as_is": _asked(form.id, by, where, chosen, reference)}
    if form.grain == "person_year":
        alike = {**chosen, "standardise": "age_sex"}
        answers["alike"] = _asked(form.id, by, where, alike, reference)
    order = ranked(answers["as_is"])
    note = t("ranking.note", city=words.city(reference))
    figure.show(
        "ranking",
        t("ranking.title", year=year),
        dots(answers, order),
        table(answers, order, reference),
        list(answers.values()),
        f"{note} {t('ranking.alike_note')}" if "alike" in answers else note,
        left=3,
        called=[t(f"ranking.{code}") for code in answers],
    )


def _asked(
    measure: str, by: list[str], where: dict[str, list[str]], chosen: dict[str, str], reference: str
) -> Released:
    """The answer with intervals of the values and of the differences from the reference."""
    found = asking.ask(measure, by, where, chosen, se="superpopulation", against=("city", reference))
    sure = asking.ask(measure, by, where, chosen, se="superpopulation")
    ends = sure.table.select(*by, "se", "ci_low", "ci_high")
    return replace(found, table=found.table.join(ends, on=by, how="left", maintain_order="left"))


def ranked(answer: Released) -> list[str]:
    """Cities from the best to the worst, or from the highest where neither is better; those not shown last."""
    rows = answer.table.sort("city").to_dicts()
    sign = 1 if answer.measure.better == "lower" else -1
    return [
        str(r["city"]) for r in sorted(rows, key=lambda r: (r["value"] is None, sign * (r["value"] or 0)))
    ]


def table(answers: dict[str, Released], order: list[str], reference: str) -> pl.DataFrame:
    """A line per city: place, value, standardised value, difference with interval and adjusted p, and what that says."""
    raw = answers["as_is"]
    unit, rows = raw.measure.unit, _by_city(raw)
    alike = _by_city(answers["alike"]) if "alike" in answers else {}
    lines = []
    for place, city in enumerate(order, 1):
        row = rows[city]
        line = {t("ranking.place"): str(place) if row["status"] == "shown" else formats.NOTHING}
        line[names.dimension("city")] = words.city(city)
        # what all of the rest comes to, in sight on a phone
        line[t("ranking.says")] = _says(row, city == reference)
        line[t("ranking.as_is")] = tables.cell(row, unit)
        if alike:
            line[t("ranking.alike")] = tables.cell(alike.get(city), unit, formats.NOTHING)
        line[t("ranking.difference", city=words.city(reference))] = _difference(row, unit)
        if alike:
            head = t("ranking.difference_alike")
            line[head] = _difference(alike.get(city, {}), unit)
        p = row.get("p_adjusted")
        line[t("ranking.p")] = formats.NOTHING if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"
        lines.append(line)
    return pl.DataFrame(lines)


def _by_city(answer: Released) -> dict[str, dict[str, Any]]:
    return {str(r["city"]): r for r in answer.table.to_dicts()}


def _difference(row: dict[str, Any], unit: str) -> str:
    if row.get("difference") is None:
        return formats.NOTHING
    text = formats.difference(row["difference"], unit, words.language(), words.money_unit())
    between = tables.interval(row, unit, "difference_low", "difference_high")
    return t("interval.cell", value=text, interval=between) if between else text


def _says(row: dict[str, Any], is_reference: bool) -> str:
    if is_reference:
        return t("ranking.reference")
    if row.get("p_adjusted") is None:
        return formats.NOTHING
    if row["p_adjusted"] >= SURE:
        return t("ranking.alike_enough")
    return t("ranking.higher" if row["difference"] > 0 else "ranking.lower")


def dots(answers: dict[str, Released], order: list[str]) -> charts.Chart:
    """A dot with its interval per city; hollow: at like ages and sexes."""
    data: list[dict[str, Any]] = []
    gaps, axis = 0, charts.plain_axis()
    beside = 0.12 if len(answers) > 1 else 0.0  # the two dots of a city, one above the other
    for code, answer in answers.items():
        rows = [_by_city(answer).get(city) for city in order]
        values, text, axis = charts.readings(rows, answer)
        gaps += sum(value is None for value in values)
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": t(f"ranking.{code}"),
                "x": values,
                "y": [at + (beside if data else -beside) for at in range(len(order))],
                "error_x": charts.whiskers(rows, answer),
                "marker": {
                    "size": 11,
                    "symbol": "circle" if code == "as_is" else "circle-open",
                    "color": _COLOURS[code],
                },
                "customdata": [f"{words.city(c)} {told}" for c, told in zip(order, text, strict=True)],
                "hovertemplate": "%{customdata} %{fullData.name}<extra></extra>",
            }
        )
    layout = charts.canvas(
        height=130 + 46 * len(order),
        showlegend=len(data) > 1,
        xaxis={**axis, "rangemode": "normal"},
        yaxis=charts.plain_axis(
            tickvals=list(range(len(order))),
            ticktext=[words.city(city) for city in order],
            range=[len(order) - 0.5, -0.5],
        ),
    )
    form = answers["as_is"].measure
    return charts.Chart({"data": data, "layout": layout}, t("ranking.alt", measure=say(form.title)), gaps)


_COLOURS = {"as_is": "#00639C", "alike": "#D55E00"}
