"""A figure on a page: a chart, its numbers beside it, what could not be drawn, and the drawer that explains it."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import streamlit as st
from plotly.basedatatypes import BaseFigure

from analytics.figures import about, tables, words
from analytics.figures.charts import Chart
from analytics.figures.words import t
from analytics.release import Released, policy
from analytics.view import downloads, explain, grid, states

_DARK = {"color": "#39434D"}
CONFIG = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "svg"},
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
}


def show(
    key: str,
    title: str,
    chart: Chart | None,
    table: pl.DataFrame,
    answers: Sequence[Released],
    note: str = "",
    left: int = 1,
    called: Sequence[str] = (),
    sure: bool = True,
) -> None:
    """Draw a figure in its card. `key` is unique on the page; `left`: columns of the table that hold words; `called`: what
    the drawer calls the answers; `sure`: whether their intervals are drawn and to be explained."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="top"):
            st.header(title, anchor=False)
            downloads.offer(key, title, chart, table, answers)
        picked = None
        if chart is None or not chart.figure["data"]:
            if chart is not None:
                states.nothing(answers)
            picked = _table(key, table, title, left)
        else:
            picture, figures = st.tabs([t("figure.chart"), t("figure.table")], key=f"t_{key}")
            with picture:
                draw(f"c_{key}", chart)
            with figures:
                picked = _table(key, table, title, left)
        if picked is not None:
            explain.number(key, answers, table, *picked)
        if chart is not None and chart.gaps:
            st.caption(t("figure.gaps", n=chart.gaps))
        if note:
            st.caption(note)
        errors = [a.provenance["uncertainty"] for a in answers if "uncertainty" in a.provenance]
        if errors and sure:
            st.caption(about.uncertainty(errors[0]))
        for text in dict.fromkeys(filter(None, map(tables.no_resource, answers))):
            st.caption(text)
        for name in ("published_before", "not_tested_by_hospital"):
            told = dict.fromkeys(a.provenance[name] for a in answers if name in a.provenance)
            if told:
                st.caption(t(f"figure.{name}", places=words.plain(", ".join(told))))
        if any("hidden" in answer.table["status"] for answer in answers):
            st.caption(t("figure.hidden", k=policy().k))
        explain.drawer(key, answers, called)


class _Drawn(BaseFigure):  # type: ignore[misc]
    """A chart in Plotly's form. Our charts are checked by tests; checking them again for every visitor takes longer than all
    else about them.
    """

    def __init__(self, figure: dict[str, Any]) -> None:
        self._drawn = figure

    def to_dict(self) -> dict[str, Any]:
        return self._drawn


def draw(key: str, chart: Chart) -> None:
    """A chart on the page. Its words are darker on a light page than the theme would have them, which is too faint to read."""
    figure = chart.figure
    if st.context.theme.type == "light":
        axes = {
            name: {**axis, "tickfont": _DARK, "title": {**axis.get("title", {}), "font": _DARK}}
            for name, axis in figure["layout"].items()
            if name.startswith(("xaxis", "yaxis"))
        }
        figure = {**figure, "layout": {**figure["layout"], **axes, "font": _DARK}}
    st.plotly_chart(_Drawn(figure), key=key, alt=chart.alt, config=CONFIG)


def _table(key: str, table: pl.DataFrame, title: str, left: int) -> tuple[int, str] | None:
    """A table whose numbers can be asked about; the cell chosen, if it holds one."""
    picked = grid.show(table, title, left, pick=f"f_{key}")
    st.caption(t("number.hint"))
    return picked if picked is not None and picked[1] not in table.columns[:left] else None
