"""The register of what is known of every scheme-year: whole, and true to the plan files."""

from collections.abc import Iterable
from typing import Any, get_args

import pytest

from analytics import reference
from analytics.plans import Covered, Plan, build_plan, coverage, folder_of_plans, load_plans
from analytics.plans.coverage import register, status_of, values_of
from analytics.reference import SourceClass
from analytics.tiers import TIER

ROWS = coverage()
PLANS = load_plans()

# The scheme-years that have been looked for, typed from the survey of the schemes; not read from the register.
SURVEY: list[tuple[str, str, Iterable[int]]] = [
    ("zhanjiang", "serious_illness", range(2009, 2026)),
    ("zhanjiang", "basic", (2022, 2024, 2025)),
    ("zhuhai", "inclusive", range(2019, 2026)),
    ("zhuhai", "serious_illness", (2021, 2022)),
    ("wenzhou", "serious_illness", range(2013, 2026)),
    ("weihai", "serious_illness", (2014, 2015, 2022, 2023)),
    ("weihai", "inclusive", range(2021, 2026)),
    ("mianyang", "inclusive", range(2022, 2026)),
    ("nanning", "inclusive", range(2022, 2026)),
    ("zaozhuang", "inclusive", range(2022, 2026)),
    ("zaozhuang", "serious_illness", (2014, 2015, 2024)),
    ("guangxi", "serious_illness", (2014,)),
    ("nanning", "serious_illness", (2025,)),
    ("chongzuo", "other", (2021, 2024)),
    ("lecheng", "inclusive", range(2020, 2026)),
]
# What the survey calls complete, and is held without a carried-over or assumed value.
COMPLETE = {
    ("440800", "serious_illness", 2013), ("440400", "inclusive", 2021), ("370400", "serious_illness", 2015),
    ("451400", "other", 2021),
    *(("330300", "serious_illness", year) for year in (2018, 2019, 2020)),
    *(("371000", "serious_illness", year) for year in (2014, 2015, 2022, 2023)),
    *(("450100", "inclusive", year) for year in (2022, 2023)),
}  # fmt: skip


def key(row: Covered) -> tuple[str, str, int]:
    return row.place, row.tier, row.plan_year


def unlike(rows: Iterable[Covered], plans: dict[tuple[str, int], Plan]) -> list[str]:
    """Where the register and the plan files disagree."""
    rows = list(rows)
    found = [
        f"{row.scheme} {row.plan_year}: the register says {row.status}, the values say {status_of(row.values)}"
        for row in rows
        if row.status != status_of(row.values)
    ]
    known = {key(row) for row in rows}
    found += [
        f"{place} {year} {tier}: a plan file holds it, the register does not"
        for (place, year), plan in plans.items()
        for tier in plan.order
        if (place, tier, year) not in known
    ]
    found += [
        f"{row.scheme} {row.plan_year}: says what is missing where nothing is, or does not say it"
        for row in rows
        if (row.missing is None) != (row.status == "complete")
    ]
    return found


def test_the_register_says_what_the_plan_files_say() -> None:
    assert unlike(ROWS, PLANS) == []


def test_a_register_that_is_wrong_is_found() -> None:
    changed: list[dict[str, Any]] = [{"ceiling": "missing"}, {"source_of": {"ceiling": "guess"}}]
    for change in changed:
        content = reference.load_toml(folder_of_plans() / "zhanjiang" / "2013.toml")
        content["tier"][0] |= change
        content["sources"]["guess"] = {"title": "a guess", "class": "assumed", "note": "planted"}
        content["not_modelled"][0]["source"] = "guess"
        worse = build_plan(content)
        assert status_of(values_of(worse, "serious_illness")) == "partly"
        rows = coverage({**PLANS, ("440800", 2013): worse})
        assert any(
            "2013: the register says complete, the values say partly" in line for line in unlike(rows, PLANS)
        )
    assert any("a plan file holds it" in line for line in unlike(ROWS[1:], PLANS))
    assert status_of(()) == "skeleton"


def test_every_scheme_year_of_the_survey_is_in_it() -> None:
    known = {key(row) for row in ROWS}
    wanted = {(reference.place_code(place), tier, year) for place, tier, years in SURVEY for year in years}
    assert wanted <= known
    assert {key(row) for row in ROWS if row.status == "complete"} == COMPLETE


def test_each_row_stands_once_and_names_a_place_and_a_tier() -> None:
    keys = [key(row) for row in ROWS]
    assert keys == sorted(set(keys))
    assert len({scheme.id for scheme in register()}) == len(register())
    for row in ROWS:
        assert row.place in reference.places()
        assert row.tier in TIER
        assert row.title.zh and row.title.en
        assert row.missing is None or (row.missing.zh and row.missing.en)


def test_classes_are_the_six_and_add_up() -> None:
    for row in ROWS:
        assert set(row.by_class) <= set(get_args(SourceClass))
        assert sum(row.by_class.values()) + len(row.holes) == len(row.values)
        assert len(row.assumed) == row.by_class["assumed"]


@pytest.mark.parametrize(
    ("place", "tier", "year", "by_class", "holes"),
    [
        # counted by hand in the rule: base, scope, deductible, bands, ceiling
        ("440800", "serious_illness", 2013, {"page_B": 5}, 0),
        # two assumed readings of the base, two published amounts, no ratio
        ("440800", "serious_illness", 2009, {"assumed": 2, "page_C": 2}, 1),
        # five values, and for the poor a deductible, five points more and no ceiling
        ("330300", "serious_illness", 2019, {"page_A": 8}, 0),
        ("469002", "inclusive", 2023, {}, 0),
    ],
)
def test_values_are_counted(place: str, tier: str, year: int, by_class: dict[str, int], holes: int) -> None:
    (row,) = (r for r in ROWS if key(r) == (place, tier, year))
    assert (dict(row.by_class), len(row.holes)) == (by_class, holes)
