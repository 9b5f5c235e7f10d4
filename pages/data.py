"""What the numbers rest on: what came and where every row is, what the checks found, rows that wait, the snapshot."""

import streamlit as st

from analytics.figures.words import t
from analytics.view import asking, checks, grid, ledger, states, upload, workplace

desk = asking.desk()
if asking.may("books"):
    deliveries = ledger.by_need(asking.quality())
    st.title(ledger.answer(deliveries), anchor=False)
    if ledger.reconciles(deliveries):
        st.success(t("data.reconciles"), icon=":material/check_circle:")
    else:
        st.error(t("data.differs"), icon=":material/error:")
    st.caption("  \n".join(ledger.money(deliveries)))
    upload.section(desk.is_synthetic)
    workplace.deliveries(deliveries)

    st.header(t("data.deliveries"), anchor=False)
    grid.show(ledger.came(deliveries), t("data.deliveries"), left=8)

    st.header(t("data.checks"), anchor=False)
    looked_at = workplace.chosen(deliveries)
    if len(looked_at) == 1:
        workplace.about(looked_at[0])
    found = checks.gathered(looked_at)
    workplace.findings(found)

    st.header(t("data.waiting"), anchor=False)
    workplace.rows(looked_at, found)

    st.header(t("data.measures"), anchor=False)
    workplace.measures(checks.gathered(deliveries))
    workplace.built(desk.store_wide())
else:
    st.title(t("access.manifest_title"), anchor=False)

st.header(t("data.snapshot"), anchor=False)
states.dated(desk.manifest())
grid.show(
    ledger.facts(desk.snapshot_id, desk.manifest()), t("data.snapshot"), left=2, wide=t("explain.content")
)
with st.expander(t("data.files"), icon=":material/folder:"):
    grid.show(ledger.files(desk.manifest()), t("data.files"), left=4)

if asking.may("books"):
    st.header(t("data.assumed"), anchor=False)
    assumed = ledger.assumed(desk.places)
    if assumed.is_empty():
        st.caption(t("data.no_assumed"))
    else:
        grid.show(assumed, t("data.assumed"), left=2, wide=t("data.value"))
