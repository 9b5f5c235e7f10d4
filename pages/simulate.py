"""A changed plan beside the plan in force: the same settlements paid twice, who gains, what it costs."""

import streamlit as st

from analytics.figures import tables
from analytics.figures.words import t
from analytics.view import benefits, changing, figure, grid, whatif

title = st.empty()
wanted = changing.choose_scenario()
fit = whatif.fit(wanted)
found = whatif.outcome(wanted) if fit else None
title.title(whatif.answer(wanted, found), anchor=False)
if fit:
    whatif.fit_line(fit, wanted.tier if wanted.scenario else "")
    if wanted.scenario is None:
        st.info(t("whatif.what_to_do"), icon=":material/tune:")

if found and wanted.scenario:
    st.header(t("whatif.rules"), anchor=False)
    grid.text(benefits.changed(found.plan, found.changed))
    whatif.cards(found, wanted.tier)

    order = whatif.order(found)
    spent, burden = (
        found.answer("paid_per_insured", ("tier",)),
        found.answer("own_burden_mean", ("cost_band",)),
    )
    left, right = st.columns(2)
    with left:
        whatif.pair("spent", t("whatif.spending"), spent, order, total=True, note=t("whatif.spending_note"))
    with right:
        whatif.pair("burden", t("whatif.by_band"), burden)
    left, right = st.columns(2)
    for column, measure in ((left, "headcount"), (right, "overshoot")):
        with column:
            answer = found.answer(f"catastrophic_{measure}", ("income_group",), threshold="0.10")
            whatif.pair(measure, t(f"by_income.{measure}"), answer, note=t("whatif.income_note"))
    st.header(t("whatif.payers"), anchor=False)
    grid.show(whatif.payers(found), t("whatif.payers"), whole=True)
    whatif.downloads(wanted.scenario, found)

if fit:
    figure.show("fit", t("whatif.fit"), None, tables.side_by_side(fit), fit, t("whatif.fit_note"))
