"""Ways to look at places beside each other: courses, one city in depth, room for improvement, a bureau's own map."""

import os
from functools import partial
from pathlib import Path

import streamlit as st

from analytics.figures import charts, compared, formats, names, tables, territory, words
from analytics.figures.words import say, t
from analytics.measures import dimensions
from analytics.release import Released
from analytics.view import asking, choose, figure

GROUPS = ("person_group", "insurance_type", "age_band", "sex")


def first() -> tuple[str, str]:
    """Measure and tier before anybody chose: of claims what all tiers leave to persons, of a survey how many households are ruined."""
    return ("own_share_after", "last") if asking.desk().has_persons else ("catastrophic_headcount", "none")


def courses(seen: Released, tier: str | None, scope: choose.Scope, benchmark: str, picked: list[str]) -> None:
    """All places over the years, the same as a table of colours, and how far each is from the benchmark."""
    crossed = tables.crossed(
        seen, "city", "plan_year", scope.cities, scope.years, partial(scope.missing, seen, tier)
    )
    many = len(names.ordered("city", seen.table["city"])) > compared.MANY
    figure.show(
        "course",
        t("compare.course"),
        compared.course(seen, "plan_year", "city", picked),
        crossed,
        [seen],
        " ".join(part for part in (t("panels.note") if many else "", say(seen.measure.caveat)) if part),
    )
    left, right = st.columns(2)
    with left:
        colours = t("compare.darker" if seen.measure.better == "none" else "compare.darker_worse")
        chart = charts.heat(seen, "plan_year", "city")
        figure.show("cells", t("compare.cells"), chart, crossed, [seen], colours)
    year = scope.years[-1]
    if len(scope.cities) == 1:  # nothing to be apart from
        return
    with right:
        figure.show(
            "apart",
            t("apart.title", city=words.city(benchmark), year=year),
            compared.apart(seen, "city", "plan_year", benchmark, year),
            tables.against(seen, "city", "plan_year", benchmark, scope.cities, scope.years),
            [seen],
            t("apart.note" if seen.measure.better == "none" else "apart.note_better"),
            sure=False,
        )


def explore(
    measure: str, tier: str | None, scope: choose.Scope, city: str, chosen: dict[str, str], se: str
) -> None:
    """One city in depth: over the years by tier, then by every group of people, on one scale."""
    where = {**scope.where, "city": [city]}
    whole = asking.ask(measure, ["plan_year", "tier"] if tier else ["plan_year"], where, chosen, se=se)
    if whole.table.is_empty():
        st.info(t("explore.nothing", city=words.city(city), years=words.span(scope.years)))
        return
    if tier:
        order = asking.present(whole, city, scope.years[-1])
        chart = charts.lines(whole, "plan_year", "tier", order)
        table = tables.crossed(
            whole, "plan_year", "tier", across=order, missing=lambda at, k: asking.absent(whole, city, at, k)
        )
    else:
        chart, table = charts.bars(whole, "plan_year"), tables.side_by_side([whole])
    title = t("explore.course", city=words.city(city))
    figure.show("course", title, chart, table, [whole], say(whole.measure.caveat))

    answers = {}
    for group in GROUPS:
        if group not in scope.people and dimensions()[group].fits(whole.measure):
            by = [group, "plan_year", "tier"] if tier else [group, "plan_year"]
            found = asking.ask(measure, by, where, chosen, se=se)
            answers[group] = asking.narrow(found, tier=tier) if tier else found
    drawn = compared.same_scale([charts.lines(a, "plan_year", group) for group, a in answers.items()])
    columns = st.columns(2)
    for place, ((group, answer), chart) in enumerate(zip(answers.items(), drawn, strict=True)):
        with columns[place % 2]:
            by_group = words.inline(names.dimension(group))
            figure.show(
                f"by_{group}",
                t("tiers.by", measure=say(answer.measure.title), by=by_group),
                chart,
                tables.crossed(
                    answer,
                    group,
                    "plan_year",
                    missing=lambda _, at: scope.missing(answer, tier, city, at),  # noqa: B023 - called at once
                ),
                [answer],
                compared.widest(answer, group, scope.years[-1]),
            )


def room(seen: Released, scope: choose.Scope, of: str) -> None:
    """What would change in the newest year if every city were as good as the best of them, or as their median."""
    year, form = scope.years[-1], seen.measure
    kind = compared.improved_in(form, seen.parameters.get("weight", ""))
    if not kind:
        st.info(t("room.not_here", measure=say(form.title)))
        return
    here = asking.narrow(seen, plan_year=year)
    aim = compared.target(here, of)
    if aim is None:
        st.info(t("room.too_few", year=year))
        return
    found = compared.room(here, of)
    plain = formats.value(aim, form.unit, words.language(), words.money_unit())
    told = compared.best(here) if of == "best" else plain
    figure.show(
        "room",
        t(f"room_title.{of}", year=year, value=told),
        compared.rooms_drawn(found, kind, form),
        compared.rooms_told(here, found, kind, aim),
        [seen],
        t(f"room_note.{kind}") + t("room.note"),
        sure=False,
    )


# --- the bureau's own map


def map_file() -> Path | None:
    """The boundary file put there by the bureau: JIANFU_MAP, else `map.geojson` beside the store; None where there is none."""
    named = os.environ.get("JIANFU_MAP")
    path = Path(named) if named else asking.store_path().parent / "map.geojson"
    return path if named or path.is_file() else None


@st.cache_resource(max_entries=2, show_spinner=False)
def _territory(path: str, changed: int, named_by: str) -> territory.Territory:
    with Path(path).open("rb") as file:
        return territory.read(file.read(territory.LARGEST + 1), named_by)


def mapped(seen: Released, tier: str | None, scope: choose.Scope) -> None:
    """The newest year on the bureau's own boundaries; a file that cannot be drawn says why, and the table stays."""
    year, path = scope.years[-1], map_file()
    here = asking.narrow(seen, plan_year=year)
    table = tables.crossed(
        here, "city", "plan_year", scope.cities, [year], partial(scope.missing, seen, tier)
    )
    chart, note = None, ""
    try:
        if path is None:
            raise territory.Unusable(t("map.gone"))
        named_by = os.environ.get("JIANFU_MAP_CODE", "")
        land = _territory(str(path), path.stat().st_mtime_ns, named_by)
        chart = territory.draw(land, here, path.name)
        note = words.plain(" ".join(chart.told))
    except (territory.Unusable, OSError) as error:
        why = str(error) if isinstance(error, territory.Unusable) else t("map.unreadable")
        st.warning(
            t("map.not_drawn", file=words.plain(path.name if path else ""), why=why), icon=":material/map:"
        )
    figure.show("map", t("map.title", year=year), chart, table, [seen], note, sure=False)
