"""Any measure by band of yearly cost or of own burden."""

import streamlit as st

from analytics.figures import charts, tables, words
from analytics.figures.words import say, t
from analytics.view import asking, choose, figure

with choose.row():
    place = choose.place()
choose.remarks(place)
title = st.empty()
with st.container(horizontal=True, vertical_alignment="bottom"):
    with st.container(width=420):
        measure = choose.measure(asking.MEASURES, default="burden_reduction_rate")
    band = choose.of("band", ["cost_band", "burden_band"], width=210)
per_tier = asking.measure(measure).per == "tier"
parameters = choose.parameters(measure, per_tier, place.where)
se = choose.sampling()

answer = asking.ask(measure, [band, "tier"] if per_tier else [band], place.where, parameters, se=se)
name = say(answer.measure.title)
title.title(
    t("cost_bands.answer", place=place.name, measure=words.inline(name), by=words.inline(t(f"band.{band}"))),
    anchor=False,
)
if per_tier:
    order = asking.present(answer, place.city, place.year)
    chart = charts.bars(answer, band, "tier", order=order)
    table = tables.crossed(
        answer, band, "tier", across=order, missing=lambda *_: tables.nobody(answer.measure)
    )
else:
    chart, table = charts.bars(answer, band), tables.side_by_side([answer])
figure.show("bands", name, chart, table, [answer], say(answer.measure.caveat))
