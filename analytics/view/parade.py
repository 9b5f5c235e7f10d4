"""Pen's parade: persons lined up by living standard, and how far paying for care pulls each stretch of the line down."""

from typing import Any

import polars as pl

from analytics.figures import charts, formats, names
from analytics.figures.words import say, t
from analytics.release import Released
from analytics.view import asking, choose, figure

TOP = 3  # times the line: what is drawn at first, so that the line can be seen
_BEFORE, _DRIP, _LINE = "#56B4E9", "#D55E00", "#5B6672"


def show(place: choose.Place, line: str) -> None:
    """The figure of a city-year against a poverty line."""
    answer = asking.parade(place.where, {"poverty_line": line})
    figure.show(
        "parade",
        t("parade.title"),
        _chart(answer),
        _table(answer),
        [answer],
        t(
            "parade.note",
            top=TOP,
            line=names.setting("poverty_line", line),
            caveat=say(answer.measure.caveat),
        ),
    )


def _points(answer: Released) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Every stretch before and after paying, the poorest first."""
    rows = {(r["point"], r["payments"]): r for r in answer.table.to_dicts()}
    return [(rows[at, "gross"], rows[at, "net"]) for at in sorted({point for point, _ in rows})]


def _chart(answer: Released) -> charts.Chart:
    """Living standard before paying as a line, what is paid as a drip below it, the poverty line across."""
    drawn = [(b, a) for b, a in _points(answer) if b["status"] == a["status"] == "shown"]
    gaps = len(_points(answer)) - len(drawn)
    x = [b["share"] * 100 for b, _ in drawn]
    told = [
        t(
            "parade.told",
            share=formats.percent(b["share"]),
            before=_times(b["value"]),
            after=_times(a["value"]),
        )
        for b, a in drawn
    ]
    drip = {"type": "data", "symmetric": False, "width": 0, "thickness": 2.5, "color": _DRIP}
    before = {
        "type": "scatter",
        "mode": "lines",
        "name": t("parade.before"),
        "x": x,
        "y": [b["value"] for b, _ in drawn],
        "error_y": {
            **drip,
            "array": [max(a["value"] - b["value"], 0) for b, a in drawn],
            "arrayminus": [max(b["value"] - a["value"], 0) for b, a in drawn],
        },
        "line": {"color": _BEFORE, "width": 2.5},
        "customdata": told,
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    key = {"type": "scatter", "mode": "lines", "x": [None], "y": [None], "hoverinfo": "skip"}
    paid = {**key, "name": t("parade.paid"), "line": {"color": _DRIP, "width": 3}}
    poor = {
        **key,
        "name": t("parade.line"),
        "x": [0, 100],
        "y": [1, 1],
        "line": {"color": _LINE, "dash": "dash", "width": 1.5},
    }
    layout = charts.canvas(
        showlegend=True,
        xaxis=charts.plain_axis(title={"text": t("parade.x")}, range=[0, 100], ticksuffix="%"),
        yaxis=charts.plain_axis(title={"text": t("parade.y")}, zeroline=True, range=[_bottom(drawn), TOP]),
    )
    return charts.Chart(
        {"data": [before, paid, poor] if drawn else [], "layout": layout}, t("parade.alt"), gaps
    )


def _bottom(drawn: list[tuple[dict[str, Any], dict[str, Any]]]) -> float:
    return float(min(0.0, *(a["value"] for _, a in drawn))) if drawn else 0.0


def _table(answer: Released) -> pl.DataFrame:
    lines = [
        {
            t("parade.x"): formats.percent(b["share"]) if b["status"] == "shown" else t("cell.hidden"),
            t("parade.before"): _times(b["value"]) if b["status"] == "shown" else t(f"cell.{b['status']}"),
            t("parade.after"): _times(a["value"]) if a["status"] == "shown" else t(f"cell.{a['status']}"),
        }
        for b, a in _points(answer)
    ]
    return pl.DataFrame(lines)


def _times(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value:.2f}"
