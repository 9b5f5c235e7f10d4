"""Cities and plan years on one scale, one city in depth, the benchmark's distance, and the rules that differ beside the results."""

import streamlit as st

from analytics.figures import compared, words
from analytics.figures.words import say, t
from analytics.view import asking, choose, compare, grid, ranking, rules

scope = choose.scope()
first, state = compare.first()
left, middle, right = st.columns(3)
with left:
    measure = choose.measure(asking.MEASURES, default=first)
per_tier = asking.measure(measure).per == "tier"
with middle:
    tier = choose.tier(measure, default=state) if per_tier else None
with right:
    benchmark = choose.benchmark(scope.cities)

parameters = choose.parameters(measure, per_tier, scope.where)
with choose.row():
    mode = choose.mode(drawn=compare.map_file() is not None)
    se = choose.sampling() if mode in ("course", "explore") else ""
    city = choose.city(scope.cities) if mode == "explore" else ""
    target = choose.target() if mode == "room" else ""
    picked = choose.highlight(scope.cities, compared.MOST) if mode == "course" else []
choose.notices()

answer = asking.ask(
    measure, ["city", "plan_year", "tier"] if tier else ["city", "plan_year"], scope.where, parameters, se=se
)
if tier:
    answer = asking.narrow(answer, tier=tier)
name = say(answer.measure.title) + (f" · {words.tier(tier)}" if tier else "")
if mode == "explore":
    st.title(compared.answer_of(answer, name, city, scope.years), anchor=False)
else:
    st.title(compared.answer(answer, name, len(scope.cities), scope.years), anchor=False)

years = scope.years if mode == "explore" else scope.years[-1:]
places = [(at, year) for at in ([city] if city else scope.cities) for year in years]
if mode == "ranking":
    ranking.show(answer, tier, scope, benchmark, parameters)
elif mode == "explore":
    compare.explore(measure, tier, scope, city, parameters, se)
elif mode == "room":
    compare.room(answer, scope, target)
elif mode == "map":
    compare.mapped(answer, tier, scope)
else:
    compare.courses(answer, tier, scope, benchmark, picked)

with st.container(border=True):
    differing = t("compare.rules", year=words.span(years))
    st.header(differing, anchor=False)
    grid.show(rules.table(places, tier), differing, left=7)
    st.caption(t("compare.rules_note"))
