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
from analytics.view import controls, downloads, explain, grid, states

_SHOWN_AS = ("chart", "table", "both")
_DARK = {"color": "#39434D"}
# Without a mouse the bar of buttons would stand over the legend for good; a figure has its own downloads.
CONFIG = {"displayModeBar": False}


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
        drawn = chart if chart is not None and chart.figure["data"] else None
        st.header(title, anchor=False)
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            as_chart, as_table = shown_as(key) if drawn else (False, True)
            downloads.offer(key, title, chart, table, answers)
        if chart is not None and not drawn:
            states.nothing(answers)
        if drawn and as_chart:
            draw(f"c_{key}", drawn)
        picked = _table(key, table, title, left) if as_table else None
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
        for name in ("withheld", "published_before", "not_tested_by_hospital", "payments_over_burden"):
            told = dict.fromkeys(a.provenance[name] for a in answers if name in a.provenance)
            if told:
                st.caption(t(f"figure.{name}", places=words.plain(", ".join(told))))
        if any((answer.table["status"] == "hidden").any() for answer in answers):
            st.caption(t("figure.hidden", k=policy().k))
        explain.drawer(key, answers, called)


def shown_as(key: str) -> tuple[bool, bool]:
    """Whether a figure's chart and its table are drawn: as chosen in its card, else in the link, else the chart. A table nobody looks at
    would take a browser as long as all else of a change of the page.
    """
    linked = controls.kept("figures", _SHOWN_AS) or _SHOWN_AS[0]
    controls.notices()
    slot = f"w_t_{key}"
    chosen = st.segmented_control(
        t("control.figures"),
        _SHOWN_AS,
        format_func=lambda code: t(f"figure.{code}"),
        key=slot,
        default=st.session_state.get(slot, linked),
        required=True,
        label_visibility="collapsed",
    )
    chosen = chosen or linked  # a browser that is behind may hand back nothing
    return chosen != "table", chosen != "chart"


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
