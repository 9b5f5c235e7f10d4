"""A figure on a page: a chart, its numbers beside it, what could not be drawn, and the drawer that explains it."""

from collections.abc import Sequence

import polars as pl
import streamlit as st

from analytics.figures import tables
from analytics.figures.charts import Chart
from analytics.figures.words import t
from analytics.release import Released, policy
from analytics.view import explain, grid

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
        st.subheader(title, anchor=False)
        if chart is None:
            grid.show(table, title, left)
        elif not chart.figure["data"]:
            st.info(t("figure.nothing"))
            grid.show(table, title, left)
        else:
            picture, figures = st.tabs([t("figure.chart"), t("figure.table")], key=f"t_{key}")
            with picture:
                st.plotly_chart(chart.figure, key=f"c_{key}", alt=chart.alt, config=CONFIG)
            with figures:
                grid.show(table, title, left)
        if chart is not None and chart.gaps:
            st.caption(t("figure.gaps", n=chart.gaps))
        if note:
            st.caption(note)
        errors = [a.provenance["uncertainty"] for a in answers if "uncertainty" in a.provenance]
        if errors and sure:
            st.caption(explain.uncertainty(errors[0]))
        for text in dict.fromkeys(filter(None, map(tables.no_resource, answers))):
            st.caption(text)
        if any("hidden" in answer.table["status"] for answer in answers):
            st.caption(t("figure.hidden", k=policy().k))
        explain.drawer(key, answers, called)
