"""How the city product is run: joining and renewal, premium and loss ratio, liabilities, days to pay, who is paid."""

import streamlit as st

from analytics.view import choose, operations

seen = operations.product()
st.title(operations.answer(seen), anchor=False)
missing = operations.absent(seen)
if not missing:
    operations.headlines(seen)

left, right = st.columns(2)
with left:
    operations.ratio(seen)
with right:
    operations.held(seen)
if not missing:
    operations.liabilities(seen)
    operations.diseases(seen)
left, right = st.columns(2)
with left:
    operations.days(seen)
with right:
    operations.handled(seen)
if not missing:
    with st.container(width=260):
        group = choose.group(default="age_band", only=operations.GROUPS)
    operations.structure(seen, group)
with st.container(width=420):
    measure = choose.measure(operations.EVERY, default="claim_incidence")
operations.course(seen, measure)
