"""What the numbers rest on: deliveries, reconciliation, rules hit, the snapshot, assumed plan values."""

import streamlit as st

from analytics.view import asking, ledger, tables
from analytics.view.words import t

desk = asking.desk()
deliveries = desk.quality()
st.title(t("data.answer", n=len(deliveries), **ledger.totals(deliveries)), anchor=False)
if ledger.reconciles(deliveries):
    st.success(t("data.reconciles"), icon=":material/check_circle:")
else:
    st.error(t("data.differs"), icon=":material/error:")

st.subheader(t("data.deliveries"), anchor=False)
tables.show(ledger.deliveries(deliveries), t("data.deliveries"), left=2)

st.subheader(t("data.rules"), anchor=False)
hits = ledger.rules_hit(deliveries)
if hits.is_empty():
    st.caption(t("data.no_rules"))
else:
    tables.show(hits, t("data.rules"), left=4)

st.subheader(t("data.snapshot"), anchor=False)
tables.show(ledger.facts(desk.snapshot_id, desk.manifest()), t("data.snapshot"), left=2)
st.subheader(t("data.files"), anchor=False)
tables.show(ledger.files(desk.manifest()), t("data.files"), left=4)

st.subheader(t("data.assumed"), anchor=False)
assumed = ledger.assumed(desk.places)
if assumed.is_empty():
    st.caption(t("data.no_assumed"))
else:
    tables.show(assumed, t("data.assumed"), left=2)
