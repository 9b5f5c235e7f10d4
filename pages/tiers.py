"""What each tier takes off the own burden: before and after, reach, three definitions of burden reduction."""

import streamlit as st

from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.view import asking, choose, figure

MEASURES = [
    "own_share_before",
    "tier_share",
    "own_share_after",
    "reach",
    "burden_reduction_rate",
    "burden_reduction_mean",
    "burden_reduction_points",
    "paid_per_beneficiary",
]

with choose.row():
    place = choose.place()
choose.remarks(place)
with asking.together():
    before, after, paid = (
        asking.ask(m, ["tier"], place.where) for m in ("own_share_before", "own_share_after", "tier_share")
    )
order = asking.present(after, place.city, place.year)
known = [row for k in order if (row := asking.row(paid, tier=k)) and row["status"] == "shown"]
if known:
    each = [
        t("tiers.took", tier=words.inline(words.tier(row["tier"])), share=formats.per_hundred(row["value"]))
        for row in known
    ]
    st.title(t("tiers.answer", place=place.name, each=words.listing(each)), anchor=False)
else:
    st.title(t("tiers.no_answer", place=place.name), anchor=False)

figure.show(
    "before_after",
    t("tiers.before_after"),
    charts.dumbbells(before, after, order),
    tables.side_by_side([before, after], order),
    [before, after],
    t("tiers.key"),
)

with asking.together():
    every = [asking.ask(m, ["tier"], place.where) for m in MEASURES]
figure.show(
    "all",
    t("tiers.all"),
    None,
    tables.by_measure(every, "tier", order, lambda form, _: tables.nobody(form)),
    every,
    t("tiers.definitions"),
)

left, right = st.columns(2)
with left:
    measure = choose.measure(MEASURES, default="burden_reduction_rate")
with right:
    group = choose.group(default="person_group")
answer = asking.ask(measure, [group, "tier"], place.where)
figure.show(
    "by",
    t("tiers.by", measure=say(answer.measure.title), by=words.inline(names.dimension(group))),
    charts.bars(answer, group, "tier", order=order, flat=True),
    tables.crossed(answer, group, "tier", across=order, missing=lambda *_: tables.nobody(answer.measure)),
    [answer],
    say(answer.measure.caveat),
)
