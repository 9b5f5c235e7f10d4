"""Catastrophic health expenditure by threshold and resource, before and after each tier, and who is left."""

import streamlit as st

from analytics.figures import charts, formats, names, tables, words
from analytics.figures.words import say, t
from analytics.view import asking, bearing, choose, figure

MEASURES = ["catastrophic_headcount", "catastrophic_overshoot", "mean_positive_overshoot"]

with choose.row():
    place = choose.place()
    yardstick = choose.yardstick(place.where, weight=True)
    se = choose.sampling()
choose.remarks(place)

still = asking.ask("catastrophic_headcount", ["tier"], place.where, yardstick.parameters, se=se)
order = asking.present(still, place.city, place.year)
first, last = asking.row(still, tier="none"), asking.row(still, tier=order[-1] if order else "")
if first and last and first["status"] == last["status"] == "shown":
    st.title(
        t(
            "catastrophic.answer" if order[1:] else "catastrophic.untiered",
            place=place.name,
            before=formats.percent(first["value"]),
            after=formats.percent(last["value"]),
            who=t(f"catastrophic.{yardstick.weight}"),
        ),
        anchor=False,
    )
else:
    st.title(t("catastrophic.no_answer", place=place.name), anchor=False)

left, right = st.columns(2)
with left:
    measure = choose.measure(MEASURES)
with right:
    group = choose.group(default="person_group")

every = asking.ask(measure, ["threshold", "tier"], place.where, yardstick.at_any, se=se)
name = say(asking.measure(measure).title)
figure.show(
    "grid",
    t("catastrophic.grid", measure=name),
    charts.lines(every, "threshold", "tier", order, t("control.threshold")),
    tables.crossed(every, "threshold", "tier", across=order, missing=lambda *_: tables.nobody(every.measure)),
    [every],
    t("catastrophic.note", resource=names.setting("resource", still.parameters["resource"])),
)

answer = asking.ask(measure, [group, "tier"], place.where, yardstick.parameters, se=se)
figure.show(
    "group",
    t(
        "catastrophic.group",
        measure=name,
        by=words.inline(names.dimension(group)),
        threshold=choose.share(yardstick.threshold),
    ),
    charts.bars(answer, group, "tier", order=order, flat=True),
    tables.crossed(answer, group, "tier", across=order, missing=lambda *_: tables.nobody(answer.measure)),
    [answer],
    say(answer.measure.plain) if measure != MEASURES[0] else choose.catastrophic(answer),
)

if order[1:]:  # without a tier, in a survey, there is nothing to credit
    fallen = measure.rpartition("_")[2]  # of a mean overshoot there is no credit, of the overshoot there is
    counted = {kind: f"{kind}_{fallen}" for kind in names.JOINED["credit"]}
    with asking.together():
        credits = {
            kind: asking.ask(named, ["tier"], place.where, yardstick.parameters, se=se)
            for kind, named in counted.items()
        }
    shared = asking.joined("credit", credits)
    told = credits["shapley"].measure
    figure.show(
        "credit",
        t(
            "catastrophic.credit",
            measure=say(asking.measure(f"catastrophic_{fallen}").title),
            threshold=choose.share(yardstick.threshold),
        ),
        charts.bars(shared, "tier", "credit", order=order[1:], flat=True),
        tables.crossed(shared, "tier", "credit", down=order[1:]),
        list(credits.values()),
        t("catastrophic.credit_note", plain=say(told.plain), caveat=say(told.caveat)),
    )

bearing.ranked(place, yardstick, order, se)
bearing.poverty(place, order, se)
