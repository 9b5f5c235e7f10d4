"""Benefit rules of one city and year in words, a second plan beside it, what differs, what is not modelled."""

import streamlit as st

from analytics.figures import words
from analytics.figures.words import t
from analytics.view import benefits, choose, controls, grid, registry

with choose.row():
    plan, other = benefits.choose()
    only = choose.of("differing", ["all", "only"]) == "only" and other is not None
controls.notices()
pairs = benefits.pairs(plan, other)
name = benefits.name(plan)
if other is None:
    st.title(t("benefit.title", place=name, tiers=len(plan.order), n=len(plan.tier)), anchor=False)
else:
    found = benefits.differences(pairs, plan, other)
    key = "benefit.title_differs" if found else "benefit.title_same"
    st.title(t(key, place=name, other=benefits.name(other), n=len(found)), anchor=False)
st.caption(t("benefit.lead"))
if other is not None and found:
    with st.expander(t("benefit.differences", n=len(found)), icon=":material/difference:", key="differences"):
        st.caption(t("benefit.differs_lead", first=name, second=benefits.name(other)))
        st.markdown("\n".join(f"* {line}" for line in found))

if not plan.tier and other is None:
    st.info(t("benefit.no_tiers"))
for tier, members in benefits.tiers(pairs).items():
    lines = benefits.table(members, plan, other, only)
    if not lines.is_empty():
        st.header(benefits.title(tier), anchor=False)
        grid.text(lines)

st.header(t("benefit.left_out"), anchor=False)
for one in [plan] if other is None else [plan, other]:
    st.markdown(f"**{benefits.name(one)}**")
    clauses = benefits.left_out(one)
    st.markdown("\n".join(f"* {line}" for line in clauses) if clauses else t("benefit.nothing_left_out"))

st.header(t("coverage.title", place=words.city(plan.city)), anchor=False)
st.caption(t("coverage.lead"))
if known := registry.of_city(plan.city):
    grid.text(registry.table(known))
whole, schemes, count = registry.grid()
label = t("coverage.all", schemes=schemes, n=count)
with st.expander(label, icon=":material/inventory:", key="register", on_change="rerun") as box:
    if box.open:
        grid.show(whole, label, left=count, whole=True)
