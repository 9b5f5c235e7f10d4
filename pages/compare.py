"""Cities and plan years on one scale, the benchmark's distance, and the rules that differ beside the results."""

import streamlit as st

from analytics.figures import charts, tables, words
from analytics.figures.words import say, t
from analytics.view import asking, choose, figure, grid, ranking, rules

scope = choose.scope()
left, middle, right = st.columns(3)
with left:
    measure = choose.measure(asking.MEASURES, default="own_share_after")
per_tier = asking.measure(measure).per == "tier"
with middle:
    tier = choose.tier(measure, default="last") if per_tier else None
with right:
    benchmark = choose.benchmark(scope.cities)

parameters = choose.parameters(measure, per_tier, scope.where)
with choose.row():
    mode = choose.mode()
    se = choose.sampling() if mode == "course" else ""

answer = asking.ask(
    measure, ["city", "plan_year", "tier"] if tier else ["city", "plan_year"], scope.where, parameters, se=se
)
if tier:
    answer = asking.narrow(answer, tier=tier)
name = say(answer.measure.title) + (f" · {words.tier(tier)}" if tier else "")
st.title(t("compare.answer", measure=name, n=len(scope.cities), years=words.span(scope.years)), anchor=False)

if mode == "ranking":
    ranking.show(answer, tier, scope, benchmark, parameters)
else:
    figure.show(
        "course",
        t("compare.course"),
        charts.lines(answer, "plan_year", "city"),
        tables.crossed(answer, "city", "plan_year", scope.cities, scope.years, scope.missing),
        [answer],
        say(answer.measure.caveat),
    )
    left, right = st.columns(2)
    with left:
        figure.show(
            "cells",
            t("compare.cells"),
            charts.heat(answer, "plan_year", "city"),
            tables.crossed(answer, "city", "plan_year", scope.cities, scope.years, scope.missing),
            [answer],
        )
    with right:
        figure.show(
            "apart",
            t("compare.apart", city=words.city(benchmark)),
            None,
            tables.against(answer, "city", "plan_year", benchmark, scope.cities, scope.years),
            [answer],
            t("compare.apart_note"),
            sure=False,
        )

year = scope.years[-1]
st.header(t("compare.rules", year=year), anchor=False)
grid.show(rules.table([(city, year) for city in scope.cities], tier), t("compare.rules", year=year), left=7)
st.caption(t("compare.rules_note"))
