"""The drawer under every figure: how was this computed? Only what came with the answer is shown, the SQL included."""

import json
from collections.abc import Mapping, Sequence

import polars as pl
import streamlit as st

from analytics.figures import asked, formats, tables, words
from analytics.figures.words import say, t
from analytics.measures import Measure
from analytics.release import Released
from analytics.view import grid

filters, settings, citation, uncertainty = asked.filters, asked.settings, asked.citation, asked.uncertainty


def drawer(key: str, answers: Sequence[Released], called: Sequence[str] = ()) -> None:
    """A closed drawer; its content is drawn when it is opened. Several answers: one at a time, by the names in `called`
    or by what tells them apart."""
    box = st.expander(t("explain.title"), icon=":material/function:", key=f"x_{key}", on_change="rerun")
    if not box.open:
        return
    with box:
        picked = answers[0]
        if len(answers) > 1:
            one = len({a.measure.id for a in answers}) < len(
                answers
            )  # the same measure under several settings
            told = called or [settings(a) if one else say(a.measure.title) for a in answers]
            titles = {str(i): title for i, title in enumerate(told)}
            chosen = st.selectbox(
                t("explain.which"), list(titles), format_func=titles.__getitem__, key=f"w_x_{key}"
            )
            picked = answers[int(chosen)]
        _content(key, picked)


def definition(measure: Measure) -> None:
    """What a measure is: sentence, formula, expressions of numerator and denominator, caveat, sources."""
    st.markdown(f"**{say(measure.title)}** (`{measure.id}`): {say(measure.plain)}")
    left, right = st.columns([3, 2])
    with left:
        st.latex(measure.formula)
        st.markdown(f"**{t('explain.terms')}** `{measure.numerator}` ÷ `{measure.denominator}`")
        if measure.sums:
            lines = [
                f"* `{name}` = Σ `{s.of}`{f' × `({s.times})`' if s.times else ''}"
                for name, s in measure.sums.items()
            ]
            st.markdown("\n".join(lines))
        if measure.usable != "true":
            st.markdown(f"**{t('explain.only')}** `{measure.usable}`")
        if measure.where != "true":
            st.markdown(f"**{t('explain.only')}** `{measure.where}`")
    with right:
        st.warning(say(measure.caveat), icon=":material/info:")
        for source in measure.source:
            st.caption(
                f"{t('explain.source')} {words.listing([part for part in (source.title, source.where) if part])}"
            )


def _content(key: str, released: Released) -> None:
    measure = released.measure
    definition(measure)
    st.markdown(f"**{t('explain.fraction')}** {fraction(released)}")
    st.markdown(f"**{t('explain.filters')}** {filters(released)}")
    if released.parameters:
        st.markdown(f"**{t('explain.parameters')}** {settings(released)}")
    st.markdown(f"**{t('explain.numbers')}**")
    grid.show(tables.full(released), t("explain.numbers"), left=len(released.by) or 1)
    with st.expander(t("explain.sql"), icon=":material/database:"):
        st.code(released.sql, language="sql")
        if replay := released.provenance.get("replay"):
            st.caption(t("explain.replay_sql", table=f"paid_{replay['payments']}"))
            st.code(replay["sql"], language="sql")
        st.caption(
            t("explain.bound", bound=json.dumps(dict(released.bound), ensure_ascii=False, default=str))
        )
    grid.show(provenance(released), t("explain.provenance"), left=2)
    st.caption(t("explain.citation", cite=citation(released)))
    st.download_button(
        t("explain.download"),
        data=tables.csv(released),
        file_name=f"{measure.id}_{'_'.join(released.by) or 'all'}.csv",
        mime="text/csv",
        key=f"d_{key}",
        on_click="ignore",
        icon=":material/download:",
    )


def fraction(released: Released) -> str:
    """Numerator over denominator in words; with their sums where the answer is one row."""
    rows = released.table.to_dicts()
    if len(rows) == 1 and rows[0]["status"] == "shown":
        row = rows[0]
        value = tables.cell(row, released.measure.unit)
        return f"{formats.count(round(row['numerator'], 6))} ÷ {formats.count(round(row['denominator'], 6))} = {value}"
    return t("explain.see_numbers")


def provenance(released: Released) -> pl.DataFrame:
    """What an answer rests on, one line per fact."""
    lines = []
    for name, value in released.provenance.items():
        text = words.listing([str(v) for v in value]) if isinstance(value, (list, tuple)) else say(value)
        if isinstance(value, Mapping):
            told = {k: v for k, v in value.items() if k != "sql"}  # shown with the SQL of the figure
            text = json.dumps(told, ensure_ascii=False, default=str)
        if isinstance(value, bool):
            text = t("methods.yes" if value else "methods.no")
        label = t(f"provenance.{name}") if words.known(f"provenance.{name}") else name
        lines.append({t("explain.fact"): label, t("explain.content"): text})
    return pl.DataFrame(lines)
