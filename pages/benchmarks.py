"""Published figures beside ours, calibration targets, and the three definitions of burden reduction kept apart."""

import streamlit as st

from analytics.figures import tables
from analytics.figures.words import say, t
from analytics.view import beside, controls, explain, figure, grid

with st.container(width=280):
    place = beside.place()
controls.notices()
rows = beside.rows(place)
counts = beside.count(rows)
st.title(t("beside.title", **counts), anchor=False)
st.caption(t("beside.lead"))

if drawn := beside.drawn(rows):
    figure.show(
        "pairs",
        t("beside.pairs"),
        beside.pairs(drawn),
        tables.unmarked(beside.table(drawn)),
        beside.answers(drawn),
        t("beside.pairs_note"),
        left=3,
        called=beside.titles(drawn),
    )

judged, others = beside.judged(rows, ["pass", "fail"]), beside.judged(rows, ["not_applicable"])
if judged or others:
    st.header(t("beside.targets", passed=counts["pass"], **counts), anchor=False)
    st.caption(t("beside.targets_note"))
if judged:
    grid.text(beside.targets(judged))
if others:
    with st.expander(t("beside.not_judged", n=len(others)), key="not_judged", on_change="rerun") as box:
        if box.open:
            grid.text(beside.targets(others))

everywhere = place == "all"
methods = [m for m in beside.KINDS if everywhere or beside.of_method(rows, m)]
if methods:
    st.header(t("beside.reductions"), anchor=False)
for method in methods:
    found, measure = beside.of_method(rows, method), beside.formula(method)
    with st.container(border=True):
        st.markdown(f"**{t(f'method.{method}')}**")
        st.markdown(say(measure.plain) if measure else t("beside.unknown"))
        if measure:
            st.latex(measure.formula)
        if found:
            grid.text(beside.table(found))
        else:
            st.caption(t("beside.none_published"))
        if answers := beside.answers(found):
            explain.drawer(f"m_{method}", answers, beside.titles(found))
told, cities = beside.three()
if everywhere and cities:
    title, note = t("beside.three"), t("beside.three_note")
    figure.show("three", title, None, tables.by_measure(told, "city", cities), told, note)

st.header(t("beside.places"), anchor=False)
for name, found in beside.by_place(rows).items():
    label = t("beside.of_place", place=name, n=len(found))
    key = f"p_{found[0].place}"
    with st.expander(label, key=key, expanded=not everywhere, on_change="rerun") as box:
        if box.open:
            grid.text(beside.table(found))
            if answers := beside.answers(found):
                explain.drawer(key, answers, beside.titles(found))
