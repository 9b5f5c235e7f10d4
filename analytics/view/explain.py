"""The drawer under every figure: how was this computed? Only what came with the answer is shown, the SQL included."""

import json
from collections.abc import Sequence

import polars as pl
import streamlit as st

from analytics.figures import about, formats, lookup, names, tables, terms, words
from analytics.figures.words import say, t
from analytics.measures import Measure
from analytics.release import Released
from analytics.view import asking, grid


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
            told = called or [about.settings(a) if one else say(a.measure.title) for a in answers]
            titles = {str(i): title for i, title in enumerate(told)}
            chosen = st.selectbox(
                t("explain.which"), list(titles), format_func=titles.__getitem__, key=f"w_x_{key}"
            )
            picked = answers[int(chosen)]
        _content(picked)


def definition(measure: Measure) -> None:
    """What a measure is: sentence, formula, expressions of numerator and denominator, caveat, sources."""
    st.markdown(f"**{say(measure.title)}** (`{measure.id}`): {say(measure.plain)}")
    left, right = st.columns([3, 2])
    with left:
        st.latex(measure.formula)
        st.markdown(f"**{t('explain.terms')}** {words.plain(terms.fraction(measure))}")
        st.markdown("\n".join(f"* {words.plain(line)}" for line in terms.sums(measure)))
        for only in (measure.usable, measure.where):
            if only != "true":
                st.markdown(f"**{t('explain.only')}** {words.plain(terms.plain(only))}")
    with right:
        st.warning(say(measure.caveat), icon=":material/info:")
        for source in measure.source:
            st.caption(
                f"{t('explain.source')} {words.listing([part for part in (source.title, source.where) if part])}"
            )


def _content(released: Released) -> None:
    measure = released.measure
    definition(measure)
    st.markdown(f"**{t('explain.fraction')}** {about.fraction(released)}")
    st.markdown(f"**{t('explain.filters')}** {about.filters(released)}")
    if released.parameters:
        st.markdown(f"**{t('explain.parameters')}** {about.settings(released)}")
    st.markdown(f"**{t('audit.figure')}** `{words.listing(about.ids([released]))}`")
    st.markdown(f"**{t('explain.numbers')}**")
    cities, years = (released.where.get(d, ()) for d in ("city", "plan_year"))
    paid = asking.order(cities[0], years[0]) if len(cities) == len(years) == 1 else ()
    grid.show(tables.full(released, paid), t("explain.numbers"), left=len(released.by) or 1)
    with st.expander(t("explain.sql"), icon=":material/database:"):
        st.code(released.sql, language="sql")
        if released.provenance.get("prepared"):
            st.caption(t("explain.prepared"))
        if replay := released.provenance.get("replay"):
            st.caption(t("explain.replay_sql", table=f"paid_{replay['payments']}"))
            st.code(replay["sql"], language="sql")
        st.caption(
            t("explain.bound", bound=json.dumps(dict(released.bound), ensure_ascii=False, default=str))
        )
    facts = pl.DataFrame(
        about.provenance(released), schema=[t("explain.fact"), t("explain.content")], orient="row"
    )
    grid.show(facts, t("explain.provenance"), left=2)


_ABSENT = ("not_covered", "nobody_paid", "nobody", "no_data", "withheld")


def _absent(text: str) -> str:
    """Why no number of an answer stands in a cell: what the cell says, else it is made of several."""
    return next((why for why in _ABSENT if text == t(f"cell.{why}")), "difference")


def number(key: str, answers: Sequence[Released], frame: pl.DataFrame, row: int, column: str) -> None:
    """What stands in one cell of a table, from the answer it was written from."""
    text = str(frame.row(row, named=True)[column])
    found = lookup.found(answers, frame, row, column)
    with st.container(border=True, key=f"n_{key}"):
        st.markdown(f"**{t('number.title', value=words.plain(text))}**")
        if found is None:
            st.caption(t(f"number.{_absent(text)}"))
            return
        answer, cells = found
        form = answer.measure
        at = [f"{names.dimension(d)}{t('explain.colon')}{names.member(d, cells[d])}" for d in answer.by]
        lines = [
            f"{say(form.title)}{t('explain.colon')}{say(form.plain)}",
            f"**{t('number.of')}** {t('explain.semicolon').join([*at, about.filters(answer)])}",
        ]
        if cells["status"] == "hidden":
            lines.append(t("number.hidden"))
        elif cells["status"] == "shown":
            lines += [
                f"**{t('number.fraction')}** {about.fraction(answer, cells)} ({words.plain(terms.fraction(form))})",
                f"**{t('number.rests', unit=t(f'grain.{form.grain}'))}** {formats.count(cells['n'])}",
            ]
        if answer.parameters:
            lines.append(f"**{t('explain.parameters')}** {about.settings(answer)}")
        lines.append(t("number.card", link=f"methods?card={form.id}&lang={words.language()}"))
        st.markdown("  \n".join(lines))
