"""One city-year at a glance: what becomes of every 100 yuan, and who is still in catastrophic expenditure."""

import streamlit as st

from analytics.figures import charts, formats, tables, words
from analytics.figures.words import t
from analytics.view import asking, cards, choose, figure, reporting

with choose.row():
    place = choose.place()
    yardstick = choose.yardstick(place.where)
    reporting.offer(place)
choose.remarks(place)
with asking.together():
    after = asking.ask("own_share_after", ["plan_year", "tier"], place.all_years)
    reimbursed = asking.ask("effective_reimbursement_rate", ["plan_year"], place.all_years)
    here = asking.ask("own_share_after", ["tier"], place.where)
    before = asking.ask("own_share_before", ["tier"], place.where)
    paid = asking.ask("tier_share", ["tier"], place.where)
order = asking.present(here, place.city, place.year)

first, last = (asking.row(here, tier=order[0]), asking.row(here, tier=order[-1])) if order else (None, None)
if first and last and first["status"] == last["status"] == "shown":
    left_by = {
        "before": formats.per_hundred(first["value"]),
        "after": formats.per_hundred(last["value"]),
    }
    st.title(
        t(
            "overview.answer" if left_by["before"] != left_by["after"] else "overview.same",
            place=place.name,
            first=words.inline(words.tier(order[0])),
            **left_by,
        ),
        anchor=False,
    )
else:
    st.title(t("overview.no_answer", place=place.name), anchor=False)

with asking.together():  # where it cannot be answered, what stands above still is
    burdened = asking.ask(
        "catastrophic_headcount", ["plan_year", "tier"], place.all_years, yardstick.parameters
    )
    still = asking.ask("catastrophic_headcount", ["tier"], place.where, yardstick.parameters)
sentence = choose.catastrophic(burdened)
with st.grid(5, min_column_width=150):
    cards.amount(t("card.cost"), reimbursed, place.year, lambda row: row["denominator"], t("card.cost_help"))
    cards.rate(t("card.own_after"), asking.narrow(after, tier="last"), place.year, t("card.own_help"))
    cards.rate(t("card.reimbursed"), reimbursed, place.year, t("card.reimbursed_help"))
    cards.rate(
        t("card.che_before"),
        asking.narrow(burdened, tier="none"),
        place.year,
        t("tier.none") + t("explain.colon") + sentence,
    )
    cards.rate(
        t("card.che_after"),
        asking.narrow(burdened, tier="last"),
        place.year,
        t("tier.last") + t("explain.colon") + sentence,
    )
st.caption(t("card.on_last_year"))

left, right = st.columns([3, 2])
with left:
    figure.show(
        "fall",
        t("fall.title"),
        charts.fall(before, here, paid, order),
        tables.side_by_side([before, paid, here], order),
        [here, paid, before],
        t("fall.note"),
    )
with right:
    steps = asking.present(still, place.city, place.year)
    figure.show(
        "che",
        t("overview.che"),
        charts.bars(still, "tier", order=steps, flat=True),
        tables.side_by_side([still], steps),
        [still],
        sentence,
    )
