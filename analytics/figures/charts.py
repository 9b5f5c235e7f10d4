"""Released tables to Plotly figures, as plain dicts: no template, margins grow with their labels, no fixed text colours.

A protected or undefined cell is a gap, never a zero; each chart says how many cells it could not draw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analytics.figures import formats, names, tables, words
from analytics.figures.words import say, t
from analytics.release import Released
from analytics.tiers import OWN_COLOUR, TIER

Row = Mapping[str, Any]
_PALETTE = ("#00639C", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8B6F00", "#7F7F7F")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
_GREY = "#9AA5B1"
_SHADES = [[0, "#F2F6FA"], [1, "#62A5D3"]]  # darker is worse; every shade is light enough to read on
_INK = "#111827"
_ARM = "#5B6672"


@dataclass(frozen=True)
class Chart:
    """A figure, its description for those who cannot see it, how many cells it leaves out, and what its picture says below it
    wherever it goes."""

    figure: dict[str, Any]
    alt: str
    gaps: int = 0
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Step:
    """One bar of the fall, as shares of cost; `length` None: protected."""

    label: str
    base: float
    length: float | None
    text: str
    colour: str


def canvas(**more: Any) -> dict[str, Any]:
    """Layout of every figure."""
    return {
        "template": "none",
        "margin": {"l": 8, "r": 16, "t": 12, "b": 8},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "height": 380,
        **more,
    }


def plain_axis(**more: Any) -> dict[str, Any]:
    """An axis whose labels are never cut off."""
    return {"automargin": True, "zeroline": False, **more}


def _wrapped(label: str) -> str:
    """A long English label on two lines."""
    middle = label.find(" ", len(label) // 2 - 1)
    return f"{label[:middle]}<br>{label[middle + 1 :]}" if len(label) > 14 and middle > 0 else label


def readings(
    rows: Sequence[Row | None], released: Released
) -> tuple[list[float | None], list[str], dict[str, Any]]:
    """Values as drawn, as words, and the axis they need; a cell that is not shown is None."""
    unit, language, chosen = released.measure.unit, words.language(), words.money_unit()
    raw = [r["value"] if r is not None and r["status"] == "shown" else None for r in rows]
    text = [formats.value(v, unit, language, chosen) if v is not None else "" for v in raw]
    if unit == "share":
        return raw, text, plain_axis(tickformat=".1~%", rangemode="tozero")
    if unit == "points":
        return (
            [None if v is None else v * 100 for v in raw],
            text,
            plain_axis(title={"text": t("axis.points")}, rangemode="tozero"),
        )
    if unit == "yuan":
        by = formats.scale(released.table["value"], chosen, language)
        title = {"text": by.name(language)}
        return (
            [None if v is None else v / by.yuan for v in raw],
            text,
            plain_axis(title=title, tickformat=",", rangemode="tozero"),
        )
    if unit == "index":  # on either side of zero, which is a value of its own
        return raw, text, plain_axis(tickformat=".2~f", zeroline=True)
    return raw, text, plain_axis(tickformat=",", rangemode="tozero")


def whiskers(rows: Sequence[Row | None], released: Released, colour: str = _ARM) -> dict[str, Any] | None:
    """The intervals of values as they are drawn; None where the answer has none."""
    if "ci_low" not in released.table.columns:
        return None
    factor = 1.0
    if released.measure.unit == "points":
        factor = 100
    elif released.measure.unit == "yuan":
        factor = 1 / formats.scale(released.table["value"], words.money_unit(), words.language()).yuan
    up, down = [], []
    for row in rows:
        known = row is not None and row["status"] == "shown" and row["ci_low"] is not None
        up.append((row["ci_high"] - row["value"]) * factor if row and known else 0.0)
        down.append((row["value"] - row["ci_low"]) * factor if row and known else 0.0)
    looks = {"type": "data", "symmetric": False, "thickness": 1.2, "width": 3, "color": colour}
    return {**looks, "array": up, "arrayminus": down}


def _colour(dimension: str | None, code: str, position: int) -> str:
    if dimension == "tier":
        return TIER[code].colour if code in TIER else _GREY
    return _PALETTE[position % len(_PALETTE)]


def _grid(
    released: Released, x: str, series: str | None, order: Sequence[str] = ()
) -> tuple[list[str], list[str], dict[tuple[str, str], Row]]:
    """Values across, series along, and the cells; `order` is for the dimension that is the tier."""
    table = released.table

    def values(dimension: str) -> list[str]:
        return list(order) if order and dimension == "tier" else names.ordered(dimension, table[dimension])

    cells: dict[tuple[str, str], Row] = {
        (str(r[series]) if series else "", str(r[x])): r for r in table.iter_rows(named=True)
    }
    return values(x), values(series) if series else [""], cells


def _taken(share: float) -> str:
    text = formats.per_hundred(share)
    return text if text.startswith("<") else f"−{text}"


def fall(before: Released, after: Released, paid: Released, order: Sequence[str]) -> Chart:
    """What becomes of every 100 yuan: the whole cost, each tier's part in order of payment, the own burden left.

    Bars start where the own burden after the tier ends, so they fit on end without adding anything up.
    """
    rows = [
        {str(r["tier"]): r for r in a.table.iter_rows(named=True) if r["status"] == "shown"}
        for a in (before, after, paid)
    ]
    steps = [_Step(t("fall.cost"), 0, 1, "100", _GREY)]
    start = rows[0].get(order[0]) if order else None
    if start and 1 - start["value"] > 0.0005:
        borne = 1 - start["value"]
        steps.append(_Step(t("fall.others"), start["value"], borne, _taken(borne), _GREY))
    gaps, left = 0, 1.0
    for k in order:
        if k in rows[1] and k in rows[2]:
            left, share = rows[1][k]["value"], rows[2][k]["value"]
            steps.append(_Step(words.tier(k), left, share, _taken(share), TIER[k].colour))
        else:
            gaps += 1
            left = rows[1][k]["value"] if k in rows[1] else left
            steps.append(_Step(words.tier(k), left, None, t("cell.hidden"), TIER[k].colour))
    if order and order[-1] in rows[1]:
        left = rows[1][order[-1]]["value"]
        steps.append(_Step(t("fall.own"), 0, left, formats.per_hundred(left), OWN_COLOUR))
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": [_wrapped(step.label) for step in steps],
        "x": [0 if step.length is None else step.length * 100 for step in steps],
        "base": [step.base * 100 for step in steps],
        "text": [step.text for step in steps],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": [step.colour for step in steps]},
        "hovertemplate": "%{y} %{text}<extra></extra>",
    }
    layout = canvas(
        height=90 + 40 * len(steps),
        bargap=0.3,
        showlegend=False,
        xaxis=plain_axis(title={"text": t("fall.axis")}, range=[0, 112], tickvals=[0, 20, 40, 60, 80, 100]),
        yaxis=plain_axis(autorange="reversed"),
    )
    alt = t("fall.alt", steps="; ".join(f"{step.label} {step.text}" for step in steps))
    return Chart({"data": [bar], "layout": layout}, alt, gaps)


def dumbbells(before: Released, after: Released, order: Sequence[str]) -> Chart:
    """Own share before and after each tier, one line per tier in order of payment."""
    ends = [{str(r["tier"]): r for r in answer.table.iter_rows(named=True)} for answer in (before, after)]
    data: list[dict[str, Any]] = []
    gaps, axis = 0, plain_axis()
    for k in order:
        x, text, axis = readings([ends[0].get(k), ends[1].get(k)], after)
        if None in x:
            gaps += 1
            continue
        label = _wrapped(words.tier(k))
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers+text",
                "x": x,
                "y": [label, label],
                "text": text,
                "textposition": ["top center", "bottom center"],
                "cliponaxis": False,
                "line": {"color": TIER[k].colour, "width": 4},
                "marker": {
                    "size": 13,
                    "symbol": ["circle-open", "circle"],
                    "color": TIER[k].colour,
                    "line": {"width": 3, "color": TIER[k].colour},
                },
                "hovertemplate": "%{y}: %{text}<extra></extra>",
            }
        )
    layout = canvas(
        height=110 + 52 * len(order),
        showlegend=False,
        xaxis={
            **axis,
            "range": [-0.06, 1.06],
            "tickvals": [0, 0.2, 0.4, 0.6, 0.8, 1],
            "title": {"text": t("tiers.axis")},
        },
        yaxis=plain_axis(type="category", autorange="reversed"),
    )
    return Chart({"data": data, "layout": layout}, t("tiers.alt"), gaps)


def bars(
    released: Released, x: str, series: str | None = None, order: Sequence[str] = (), flat: bool = False
) -> Chart:
    """One bar per value of `x`, grouped by `series`. `order`: of tiers; `flat`: bars lie, for long names."""
    across, along, cells = _grid(released, x, series, order)
    data: list[dict[str, Any]] = []
    gaps, axis = 0, plain_axis()
    for position, code in enumerate(along):
        rows = [cells.get((code, at)) for at in across]
        values, text, axis = readings(rows, released)
        gaps += sum(r is not None and v is None for r, v in zip(rows, values, strict=True))
        colours: Any = [_colour(x, at, 0) for at in across] if not series else _colour(series, code, position)
        labels = [_wrapped(names.member(x, at)) for at in across]
        ends = whiskers(rows, released)
        text = [_told(row, part, released) for row, part in zip(rows, text, strict=True)]
        data.append(
            {
                **({f"error_{'x' if flat else 'y'}": ends} if ends else {}),
                "type": "bar",
                "orientation": "h" if flat else "v",
                "name": names.member(series, code) if series else say(released.measure.title),
                "x": values if flat else labels,
                "y": labels if flat else values,
                "text": text,
                "textposition": "outside" if len(across) * len(along) <= 14 and not ends else "none",
                "cliponaxis": False,
                "marker": {"color": colours},
                "hovertemplate": f"%{{{'y' if flat else 'x'}}}<br>%{{fullData.name}} %{{text}}<extra></extra>",
            }
        )
    drawn = [text for trace in data if trace["textposition"] == "outside" for text in trace["text"]]
    # A Chinese letter is as wide as two others.
    longest = max((len(text.encode("gb18030")) for text in drawn), default=0)
    room = 1.18 + (0.04 * max(0, longest - 6) if flat else 0)  # for the numbers outside the bars
    if inside := [v for trace in data for v in _reach(trace, "x" if flat else "y")]:
        low, high = min(0, *inside) * room, max(0, *inside) * room
        axis |= {"range": [low, high if high > low else 1]}  # zeros alone have no negative half
    named = plain_axis(type="category", **({"autorange": "reversed"} if flat else {}))
    height = 110 + (20 + 16 * len(along) if series else 44) * len(across) if flat else 380
    across_axis, up_axis = (axis, named) if flat else (named, axis)
    layout = canvas(barmode="group", showlegend=bool(series), height=height, xaxis=across_axis, yaxis=up_axis)
    return Chart({"data": data if inside else [], "layout": layout}, _alt(released, x, series), gaps)


def _told(row: Row | None, text: str, released: Released) -> str:
    between = tables.interval(row, released.measure.unit) if row is not None and text else ""
    return t("interval.cell", value=text, interval=between) if between else text


def _reach(trace: Mapping[str, Any], axis: str) -> list[float]:
    """Every value of a trace, and the ends of its intervals."""
    ends = trace.get(f"error_{axis}", {})
    values = trace[axis]
    none = [0.0] * len(values)
    return [
        v + shift
        for v, up, down in zip(values, ends.get("array", none), ends.get("arrayminus", none), strict=True)
        if v is not None
        for shift in (up, -down)
    ]


def lines(released: Released, x: str, series: str, order: Sequence[str] = (), title: str = "") -> Chart:
    """One line per value of `series` over `x`; colours and dashes both tell them apart. Gaps stay gaps. `order`: of
    tiers; `title`: of the axis below."""
    across, along, cells = _grid(released, x, series, order)
    data: list[dict[str, Any]] = []
    gaps, axis = 0, plain_axis()
    for position, code in enumerate(along):
        rows = [cells.get((code, at)) for at in across]
        y, text, axis = readings(rows, released)
        gaps += sum(r is not None and v is None for r, v in zip(rows, y, strict=True))
        ends = whiskers(rows, released, _colour(series, code, position))
        text = [_told(row, part, released) for row, part in zip(rows, text, strict=True)]
        data.append(
            {
                **({"error_y": ends} if ends else {}),
                "type": "scatter",
                "mode": "lines+markers",
                "name": names.member(series, code),
                "x": [names.member(x, at) for at in across],
                "y": y,
                "connectgaps": False,
                "line": {
                    "color": _colour(series, code, position),
                    "dash": _DASHES[position % len(_DASHES)],
                    "width": 2.5,
                },
                "marker": {"size": 7},
                "hovertemplate": "%{fullData.name} %{customdata}<extra></extra>",
                "customdata": text,
            }
        )
    below = plain_axis(type="category", **({"title": {"text": title}} if title else {}))
    is_any = any(v is not None for trace in data for v in trace["y"])
    layout = canvas(hovermode="x unified", showlegend=True, xaxis=below, yaxis=axis)
    return Chart({"data": data if is_any else [], "layout": layout}, _alt(released, x, series), gaps)


def heat(released: Released, x: str, y: str) -> Chart:
    """A value per cell of two dimensions; cells that are not shown stay empty."""
    across, along, cells = _grid(released, x, y)
    rows = [[cells.get((code, at)) for at in across] for code in along]
    drawn = [readings(line, released) for line in rows]
    trace = {
        "type": "heatmap",
        "x": [names.member(x, at) for at in across],
        "y": [_wrapped(names.member(y, code)) for code in along],
        "z": [values for values, _, _ in drawn],
        "text": [text for _, text, _ in drawn],
        "texttemplate": "%{text}",
        "hovertemplate": "%{y} %{x}: %{text}<extra></extra>",
        "textfont": {"color": _INK},
        "colorscale": _SHADES,
        "reversescale": released.measure.better == "higher",
        "showscale": False,
        "xgap": 3,
        "ygap": 3,
    }
    gaps = sum(
        r is not None and v is None
        for line, (vs, _, _) in zip(rows, drawn, strict=True)
        for r, v in zip(line, vs, strict=True)
    )
    layout = canvas(
        height=80 + 48 * len(along),
        xaxis=plain_axis(type="category", side="top"),
        yaxis=plain_axis(type="category", autorange="reversed"),
    )
    return Chart({"data": [trace] if cells else [], "layout": layout}, _alt(released, x, y), gaps)


def _alt(released: Released, x: str | None, series: str | None) -> str:
    by = words.listing([words.inline(names.dimension(d)) for d in (x, series) if d])
    return t("chart.alt", measure=say(released.measure.title), by=by)
