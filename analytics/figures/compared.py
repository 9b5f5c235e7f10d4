"""Places beside each other: courses on one scale, distances from a reference, room for improvement."""

from collections.abc import Mapping, Sequence
from itertools import count
from statistics import median
from typing import Any

import polars as pl

from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.measures import Measure, is_money
from analytics.release import Released

MANY = 8  # more courses than this cannot be told apart in one chart
MOST = 3  # courses picked out of the others
_ACROSS = 3  # panels in a row: as many as a phone can show
_GREY, _OWN = "#9AA5B1", "#1F7FB8"
_PICKED = (("#D55E00", "solid"), ("#009E73", "dash"), ("#CC79A7", "dot"))
_BETTER, _WORSE, _NEITHER = "#00639C", "#D55E00", "#7F8A96"


def course(released: Released, x: str, series: str, picked: Sequence[str] = ()) -> charts.Chart:
    """A course for each value of `series`: in one chart, or a small panel each where there are more than eight. Those
    picked stand out, the others are grey."""
    codes = names.ordered(series, released.table[series])
    if len(codes) > MANY:
        return panels(released, x, series, picked)
    chart = charts.lines(released, x, series)
    looks = _looks(codes, picked)
    if not looks:
        return chart
    behind, front = [], []
    for code, trace in zip(codes, chart.figure["data"], strict=False):  # no trace where nothing is shown
        if code in looks:
            front.append({**trace, "line": {**looks[code], "width": 3.5}})
        else:
            plain = {k: v for k, v in trace.items() if k != "error_y"}
            behind.append(
                {**plain, "mode": "lines", "line": {"color": _GREY, "width": 1.2}, "showlegend": False}
            )
    return charts.Chart({**chart.figure, "data": [*behind, *front]}, chart.alt, chart.gaps)


def _looks(codes: Sequence[str], picked: Sequence[str]) -> dict[str, dict[str, str]]:
    kept = [code for code in codes if code in picked][:MOST]
    return {
        code: {"color": colour, "dash": dash}
        for code, (colour, dash) in zip(kept, _PICKED[: len(kept)], strict=True)
    }


def panels(released: Released, x: str, series: str, picked: Sequence[str] = ()) -> charts.Chart:
    """One small panel for each value of `series`, all on one scale: its own course before the grey courses of the others;
    those picked are drawn in every panel."""
    codes = names.ordered(series, released.table[series])
    across = names.ordered(x, released.table[x])
    cells = {(str(r[series]), str(r[x])): r for r in released.table.iter_rows(named=True)}
    read = {code: charts.readings([cells.get((code, at)) for at in across], released) for code in codes}
    labels = [names.member(x, at) for at in across]
    looks = _looks(codes, picked)
    down = -(-len(codes) // _ACROSS)
    values = [v for drawn, _, _ in read.values() for v in drawn if v is not None]
    low, high = min(0.0, *values, 0.0), max(0.0, *values, 0.0)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {}
    notes: list[dict[str, Any]] = []
    keyed: set[str] = set()  # those the legend names already
    for place, code in enumerate(codes):
        ids = {"xaxis": f"x{place + 1}", "yaxis": f"y{place + 1}"} if place else {}
        others = [other for other in codes if other != code and other not in looks]
        data.append(_crowd(labels, [read[other][0] for other in others], ids))
        for other, look in looks.items():
            if other != code:
                named = {**ids, "showlegend": other not in keyed, "legendgroup": other}
                keyed.add(other)
                data.append(_line(other, series, labels, read[other], {**look, "width": 1.8}, named))
        own = looks.get(code, {"color": _OWN, "dash": "solid"})
        data.append(
            _line(code, series, labels, read[code], {**own, "width": 3}, {**ids, "showlegend": False})
        )
        column, row = place % _ACROSS, place // _ACROSS
        left, right = column / _ACROSS + 0.015, (column + 1) / _ACROSS - 0.015
        top = 1 - row / down
        bottom = top - 0.72 / down
        number = str(place + 1) if place else ""
        layout[f"xaxis{number}"] = charts.plain_axis(
            type="category",
            domain=[left, right],
            anchor=f"y{number}",
            tickvals=[labels[0], labels[-1]],
            tickfont={"size": 10},
            showgrid=False,
        )
        layout[f"yaxis{number}"] = {
            **read[code][2],
            "domain": [bottom, top - 0.13 / down],
            "anchor": f"x{number}",
            "range": [low * 1.05, high * 1.05 or 1],
            "nticks": 4,
            "tickfont": {"size": 10},
            "showticklabels": column == 0,
            **({"matches": "y"} if place else {}),
            **({"title": {}} if column or row else {}),
        }
        title = {"text": f"<b>{names.member(series, code)}</b>", "showarrow": False, "font": {"size": 12}}
        anchored = {"xanchor": "left", "yanchor": "top", "xref": "paper", "yref": "paper"}
        notes.append({**title, **anchored, "x": left, "y": top})
    gaps = sum(r["status"] != "shown" for r in cells.values())
    whole = charts.canvas(height=40 + 165 * down, showlegend=bool(looks), annotations=notes, **layout)
    alt = t("panels.alt", measure=say(released.measure.title), n=len(codes))
    return charts.Chart({"data": data if values else [], "layout": whole}, alt, gaps)


def _crowd(labels: Sequence[str], lines: Sequence[Sequence[float | None]], ids: Mapping[str, str]) -> Any:
    """All courses of the others as one trace, broken between them."""
    return {
        **ids,
        "type": "scatter",
        "mode": "lines",
        "x": [at for _ in lines for at in (*labels, labels[-1])],
        "y": [v for line in lines for v in (*line, None)],
        "line": {"color": _GREY, "width": 0.8},
        "opacity": 0.55,
        "hoverinfo": "skip",
        "showlegend": False,
        "connectgaps": False,
    }


def _line(
    code: str,
    series: str,
    labels: Sequence[str],
    read: tuple[list[float | None], list[str], dict[str, Any]],
    line: Mapping[str, Any],
    ids: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        **ids,
        "type": "scatter",
        "mode": "lines+markers",
        "name": names.member(series, code),
        "x": list(labels),
        "y": read[0],
        "line": dict(line),
        "marker": {"size": 4},
        "connectgaps": False,
        "customdata": read[1],
        "hovertemplate": "%{fullData.name} %{x}: %{customdata}<extra></extra>",
    }


def same_scale(drawn: Sequence[charts.Chart]) -> list[charts.Chart]:
    """Charts that stand beside each other, their upright axes of one range."""
    values = [v for chart in drawn for trace in chart.figure["data"] for v in trace["y"] if v is not None]
    if not values:
        return list(drawn)
    ends = [min(0.0, *values, 0.0) * 1.08, max(0.0, *values, 0.0) * 1.08 or 1]
    return [
        charts.Chart(
            {
                **chart.figure,
                "layout": {
                    **chart.figure["layout"],
                    "yaxis": {**chart.figure["layout"]["yaxis"], "range": ends},
                },
            },
            chart.alt,
            chart.gaps,
        )
        for chart in drawn
    ]


def apart(released: Released, rows: str, columns: str, benchmark: str, at: str) -> charts.Chart:
    """How far each row is from the benchmark at one value of `columns`, best first; better and worse in two colours."""
    form = released.measure
    found = tables.differences(released, rows, columns, benchmark)
    known = [
        (code, gap)
        for (code, where), gap in found.items()
        if where == at and code != benchmark and gap is not None
    ]
    sign = -1 if form.better == "higher" else 1
    known.sort(key=lambda pair: sign * pair[1])
    factor, axis = _as_drawn(form.unit, [gap for _, gap in known])
    told = [formats.difference(gap, form.unit, words.language(), words.money_unit()) for _, gap in known]
    drawn = [gap * factor for _, gap in known]
    colours = [
        _NEITHER if form.better == "none" or not gap else _BETTER if sign * gap < 0 else _WORSE
        for _, gap in known
    ]
    here = released.table.filter(pl.col(columns).cast(pl.String) == at)
    gaps = here.filter(pl.col("status") != "shown").height
    bar = _flat([names.member(rows, code) for code, _ in known], drawn, told, colours)
    if form.unit in ("share", "points"):  # named by the axis: on a phone the number alone has room
        bar |= {"text": [text.partition(" ")[0] for text in told], "customdata": told}
        bar["hovertemplate"] = "%{y}: %{customdata}<extra></extra>"
    alt = t(
        "apart.alt",
        measure=say(form.title),
        benchmark=names.member(rows, benchmark),
        gaps="; ".join(
            f"{names.member(rows, code)} {text}" for (code, _), text in zip(known, told, strict=True)
        ),
    )
    return charts.Chart({"data": [bar] if known else [], "layout": _lying(drawn, axis)}, alt, gaps)


def _flat(labels: Sequence[str], drawn: Sequence[float], told: Sequence[str], colours: Any) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "y": list(labels),
        "x": list(drawn),
        "text": list(told),
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": colours},
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }


def _lying(drawn: Sequence[float], axis: Mapping[str, Any]) -> dict[str, Any]:
    """Layout of bars that lie, with room for the numbers at either end."""
    low, high = min(0.0, *drawn, 0.0), max(0.0, *drawn, 0.0)
    room = (high - low or 1) * 0.3
    ends = [low - room if low < 0 else 0, high + room if high > 0 or low == 0 else 0]
    return charts.canvas(
        height=100 + 34 * len(drawn),
        showlegend=False,
        bargap=0.35,
        xaxis={**axis, "zeroline": True, "range": ends},
        yaxis=charts.plain_axis(type="category", autorange="reversed"),
    )


def _as_drawn(unit: str, values: Sequence[float]) -> tuple[float, dict[str, Any]]:
    """What brings differences of a unit to those drawn, and their axis."""
    if unit in ("share", "points"):
        return 100, charts.plain_axis(title={"text": t("axis.points")}, tickformat=".2~f")
    if unit == "yuan":
        by = formats.scale(values, words.money_unit(), words.language())
        return 1 / by.yuan, charts.plain_axis(title={"text": by.name(words.language())}, tickformat=",")
    return 1, charts.plain_axis(tickformat=",")


# --- room for improvement


def improved_in(form: Measure, weight: str = "") -> str:
    """What would change if a place did better by a measure: `yuan`, `households`, `persons`; empty where its numerator is no
    sum of these, or neither direction is better."""
    if form.better == "none" or form.sums or form.quantile or form.unit not in ("share", "yuan", "points"):
        return ""
    if form.counts:
        household = form.grain == "household_year" and weight != "person"
        return "households" if household else "persons" if form.grain != "claim" else ""
    return "yuan" if is_money(form.numerator) else ""


def target(released: Released, of: str) -> float | None:
    """The value places are held against: the best shown, or the median of those shown."""
    values = [r["value"] for r in released.table.iter_rows(named=True) if r["status"] == "shown"]
    if len(values) < 2:
        return None
    best = min(values) if released.measure.better == "lower" else max(values)
    return float(best if of == "best" else median(values))


def room(released: Released, of: str) -> dict[str, float | None]:
    """By city, largest first: how much would change if its value were the target: distance times denominator; nothing where
    the city is at least as good, unknown where its value is not shown."""
    aim = target(released, of)
    found: dict[str, float | None] = {}
    for row in released.table.iter_rows(named=True):
        known = aim is not None and row["status"] == "shown"
        found[str(row["city"])] = (
            _room(row, aim, released.measure.better) if known and aim is not None else None
        )
    order = count()
    return dict(sorted(found.items(), key=lambda pair: (pair[1] is None, -(pair[1] or 0), next(order))))


def _room(row: Mapping[str, Any], aim: float, better: str) -> float:
    gap = row["value"] - aim if better == "lower" else aim - row["value"]
    return float(max(gap, 0) * row["denominator"])


def amount(value: float | None, kind: str) -> str:
    """An amount of room in words; households and persons in whole ones."""
    if value is None:
        return t("cell.hidden")
    if kind == "yuan":
        return formats.money(value, words.language(), words.money_unit())
    return t(f"room.{kind}", n=formats.count(round(value)))


def rooms_drawn(found: Mapping[str, float | None], kind: str, measure: Measure) -> charts.Chart:
    """Room for improvement by city, the largest first."""
    known = {code: v for code, v in found.items() if v is not None}
    factor, axis = _as_drawn(kind, list(known.values()))
    told = [amount(v, kind) for v in known.values()]
    drawn = [v * factor for v in known.values()]
    labels = [words.city(code) for code in known]
    layout = _lying(drawn, axis)
    alt = t(
        "room.alt", measure=say(measure.title), rooms="; ".join(map(" ".join, zip(labels, told, strict=True)))
    )
    bar = _flat(labels, drawn, told, _WORSE)
    return charts.Chart({"data": [bar] if known else [], "layout": layout}, alt, len(found) - len(known))


def rooms_told(
    released: Released, found: Mapping[str, float | None], kind: str, aim: float | None
) -> pl.DataFrame:
    """One line per city: value, distance from the target, what it is multiplied with, room."""
    unit, rows = released.measure.unit, {str(r["city"]): r for r in released.table.iter_rows(named=True)}
    lines = []
    for code, value in found.items():
        row = rows[code]
        known = row["status"] == "shown" and aim is not None
        gap = row["value"] - aim if known else None
        money = is_money(released.measure.denominator)
        base = row["denominator"] if known else None
        lines.append(
            {
                names.dimension("city"): words.city(code),
                say(released.measure.title): tables.cell({**row, "ci_low": None}, unit),
                t("room.gap"): formats.difference(gap, unit, words.language(), words.money_unit()),
                t("column.denominator"): formats.money(base, words.language(), words.money_unit())
                if money
                else formats.count(base),
                t("room.column"): amount(value, kind) if known else t(f"cell.{row['status']}"),
            }
        )
    return pl.DataFrame(lines)


def widest(released: Released, dimension: str, year: str) -> str:
    """The gap between the highest and the lowest group of a year in words; empty where fewer than two are shown."""
    here = released.table.filter(pl.col("plan_year").cast(pl.String) == year)
    shown = [r for r in here.iter_rows(named=True) if r["status"] == "shown"]
    if len(shown) < 2:
        return ""
    unit, language, money = released.measure.unit, words.language(), words.money_unit()
    low, high = (pick(shown, key=lambda r: r["value"]) for pick in (min, max))
    return t(
        "explore.widest",
        year=year,
        high=words.plain(names.member(dimension, high[dimension])),
        top=formats.value(high["value"], unit, language, money),
        low=words.plain(names.member(dimension, low[dimension])),
        bottom=formats.value(low["value"], unit, language, money),
        gap=formats.difference(high["value"] - low["value"], unit, language, money).removeprefix("+"),
    )


def answer(released: Released, name: str, cities: int, years: Sequence[str]) -> str:
    """The newest year in words: where the value is lowest and where highest; of one place its value, of none what is compared."""
    here = released.table.filter(pl.col("plan_year").cast(pl.String) == years[-1]).sort("value", "city")
    shown = [r for r in here.iter_rows(named=True) if r["status"] == "shown"]
    if not shown:
        return t("compare.answer", measure=name, n=cities, years=words.span(list(years)))
    low, high = shown[0], shown[-1]
    if low is high:
        where = {"year": years[-1], "city": words.city(low["city"])}
        return t("compared.one", measure=name, value=_said(released, low), **where)
    return t(
        "compared.ends",
        measure=name,
        year=years[-1],
        low=words.city(low["city"]),
        bottom=_said(released, low),
        high=words.city(high["city"]),
        top=_said(released, high),
    )


def answer_of(released: Released, name: str, city: str, years: Sequence[str]) -> str:
    """One city's first and newest value in words; without two to show, what is looked at."""
    rows = {str(r["plan_year"]): r for r in released.table.iter_rows(named=True) if str(r["city"]) == city}
    shown = [rows[y] for y in sorted(rows) if rows[y]["status"] == "shown"]
    if len(shown) < 2:
        return t("explore.answer", measure=name, city=words.city(city), years=words.span(list(years)))
    first, last = shown[0], shown[-1]
    return t(
        "explore.from_to",
        measure=name,
        city=words.city(city),
        first=first["plan_year"],
        before=_said(released, first),
        last=last["plan_year"],
        after=_said(released, last),
    )


def best(released: Released) -> str:
    """The city with the best value of those shown, and the value, in words."""
    shown = [r for r in released.table.sort("city").iter_rows(named=True) if r["status"] == "shown"]
    pick = min if released.measure.better == "lower" else max
    row = pick(shown, key=lambda r: r["value"])
    return t("compared.place", city=words.city(row["city"]), value=_said(released, row))


def _said(released: Released, row: Mapping[str, Any]) -> str:
    return formats.value(row["value"], released.measure.unit, words.language(), words.money_unit())
