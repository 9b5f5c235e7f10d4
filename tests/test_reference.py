"""Reference data and shipped plans: right in form, sourced, simulatable, and true to the rule texts."""

import re
from decimal import Decimal
from typing import Any, get_args

import pytest

from analytics import reference
from analytics.desk import benchmarks
from analytics.plans import (
    Plan,
    PlanHoles,
    TierRule,
    check_plans,
    claims_sql,
    load_plans,
    plan_for,
    premium_of,
)
from analytics.plans.model import SOURCED_FIELDS, Ceiling
from analytics.reference import SourceClass
from analytics.tiers import TIER

CITIES = ("zhanjiang", "zhuhai", "wenzhou", "zaozhuang", "weihai", "nanning", "mianyang")
PLANS = load_plans()
SIMULATED = [(city, year) for city in CITIES for year in range(2021, 2026)]
BEFORE_THE_PRODUCT = {("zaozhuang", 2021), ("nanning", 2021), ("mianyang", 2021)}
CLASSES = set(get_args(SourceClass))


def shipped(city: str, year: int) -> Plan:
    plan = plan_for(city, year)
    assert plan is not None, f"no plan {city}/{year}"
    return plan


def row(plan: Plan, tier: str, liability: str, insurance_type: str) -> TierRule:
    rows = [r for r in plan.rules(tier, insurance_type) if r.liability == liability]
    assert len(rows) == 1, f"{tier}/{liability} for {insurance_type}: {len(rows)} rows"
    return rows[0]


def test_cities_are_prefectures_with_one_slug_each() -> None:
    cities = reference.cities()
    assert all(re.fullmatch(r"[1-9][0-9]{3}00", code) for code in cities)
    assert len({city.slug for city in cities.values()}) == len(cities) == 8
    assert {cities[reference.city_code(slug)].slug for slug in CITIES} == set(CITIES)
    # frames and product areas have plans, but are no cities
    others = {code: place.kind for code, place in reference.places().items() if code not in cities}
    assert others == {"100000": "frame", "370000": "frame", "450000": "frame", "469002": "product_area"}
    assert [reference.place_code(s) for s in ("china", "lecheng", "zhuhai")] == ["100000", "469002", "440400"]
    assert reference.city_code("shandong") == "shandong"  # a survey's area stays what it was called
    # the first two digits of a code are the province
    first = {"guangdong": "44", "zhejiang": "33", "shandong": "37", "guangxi": "45", "sichuan": "51"}
    assert {city.province: code[:2] for code, city in cities.items()} == first


def test_incomes_grow_and_name_their_source() -> None:
    incomes = reference.incomes()
    areas = {area for area, _ in incomes}
    assert areas == {"china"} | {c.province for c in reference.cities().values()} | set(
        reference.cities()
    ) - {"451400"}
    for area in areas:
        series = [incomes[area, year].yuan for year in range(2018, 2025)]
        assert series == sorted(series), area
    assert all(income.source for income in incomes.values())


@pytest.mark.parametrize(
    ("city", "year", "area", "yuan"),
    [
        ("zhuhai", 2020, "440400", 52_495),
        ("zhuhai", 2021, "guangdong", 41_029),
        ("wenzhou", 2022, "330300", 59_588),
        ("weihai", 2024, "shandong", 39_890),
        ("mianyang", 2023, "sichuan", 30_679),
    ],
)
def test_policy_line_is_last_years_published_income(city: str, year: int, area: str, yuan: int) -> None:
    line = reference.policy_line(reference.city_code(city), year)
    assert line is not None
    assert (line.area, line.year, line.yuan) == (area, year - 1, yuan)


def test_bands_of_money_join_without_gap() -> None:
    bands = reference.bands()
    assert bands[0].over is None
    assert bands[-1].up_to is None
    assert [b.up_to for b in bands[:-1]] == [b.over for b in bands[1:]]


def test_published_figures_have_form_and_source() -> None:
    figures = [figure for place in benchmarks.places().values() for figure in place.figure]
    assert all(f.source and f.definition for f in figures)
    values = {f.id: f.value for f in figures}
    assert values["policy_share_resident_2023"] == Decimal("68.1")
    assert values["policy_share_employee_2023"] == Decimal("84.6")
    assert values["serious_illness_mean_2023"] == 7_924
    mix = [values[f"admission_mix_employee_{level}_2024"] for level in ("l3", "l2", "l1")]
    cost = [values[f"cost_per_admission_employee_{level}_2024"] for level in ("l3", "l2", "l1")]
    mean = sum(m * c for m, c in zip(mix, cost, strict=True)) / sum(mix)
    assert abs(mean - values["cost_per_admission_employee_2024"]) < 15


def test_every_plan_file_is_accepted() -> None:
    assert check_plans() == []
    assert {city for city, _ in PLANS} <= set(reference.places())
    wanted = {(reference.city_code(city), year) for city, year in SIMULATED}
    assert wanted | {("440800", 2013), ("330300", 2018), ("330300", 2019), ("330300", 2020)} <= set(PLANS)


@pytest.mark.parametrize("key", sorted(PLANS), ids=lambda key: f"{key[0]}-{key[1]}")
def test_no_value_without_source(key: tuple[str, int]) -> None:
    plan = PLANS[key]
    for rule in plan.tier:
        for field in SOURCED_FIELDS:
            assert plan.source_class(rule, field) in CLASSES
        assert all(v.source is None or v.source in plan.sources for v in rule.variants)
    for name, source in plan.sources.items():
        if source.source_class.startswith("page"):
            assert source.url, f"{name}: a page needs its address"
        if source.source_class == "assumed":
            assert source.note, f"{name}: an assumption says why"


@pytest.mark.parametrize(("city", "year"), SIMULATED)
def test_city_year_can_be_simulated(city: str, year: int) -> None:
    plan = shipped(city, year)
    assert plan.holes() == []
    tiers = {"basic", "serious_illness", "medical_assistance", "inclusive"}
    if (city, year) in BEFORE_THE_PRODUCT:
        tiers -= {"inclusive"}
        assert any("惠" in n.clause.zh for n in plan.not_modelled)
    assert set(plan.order) == tiers <= set(TIER)
    for insurance_type in ("resident", "employee"):
        assert {r.id for r in plan.rules(None, insurance_type)} == tiers
    assert claims_sql(plan).lstrip().startswith("WITH")
    assert bool(plan.product) == ("inclusive" in tiers) == any(r.voluntary for r in plan.tier)


def test_a_plan_that_is_not_whole_is_refused_with_what_it_lacks() -> None:
    whole = {reference.city_code(city) for city in CITIES}
    broken = {key: plan for key, plan in PLANS.items() if plan.holes()}
    assert {("469002", 2025), ("100000", 2021), ("440400", 2019), ("440800", 2009), ("370400", 2014)} <= set(
        broken
    )
    assert not any(city in whole and 2021 <= year <= 2025 for city, year in broken)
    for (city, year), plan in broken.items():
        with pytest.raises(PlanHoles, match=f"plan {city}/{year} cannot be simulated") as refused:
            claims_sql(plan)
        assert refused.value.holes == plan.holes()


@pytest.mark.parametrize(("city", "year"), [s for s in SIMULATED if s not in BEFORE_THE_PRODUCT])
def test_order_of_payment(city: str, year: int) -> None:
    last = ("inclusive", "medical_assistance") if city == "zhuhai" else ("medical_assistance", "inclusive")
    assert shipped(city, year).order == ("basic", "serious_illness", *last)


BANDS_SHANDONG = [(0, "0.60"), (100_000, "0.65"), (200_000, "0.70"), (300_000, "0.75")]
# Typed from the rule texts, value by value; not read from the plan files.
HEADLINES: list[tuple[str, int, str, str, str, str, Any, str]] = [
    ("zhanjiang", 2013, "serious_illness", "main", "resident", "deductible", 20_000, "page_B"),
    ("zhanjiang", 2013, "serious_illness", "main", "resident", "bands",
     [(0, "0.50"), (50_000, "0.60"), (80_000, "0.70"), (100_000, "0.80")], "page_B"),
    ("zhanjiang", 2013, "serious_illness", "main", "resident", "ceiling", ("payout", 140_000), "page_B"),
    ("zhanjiang", 2023, "serious_illness", "main", "resident", "deductible", 10_000, "page_A"),
    ("zhanjiang", 2023, "serious_illness", "main", "resident", "bands",
     [(0, "0.60"), (50_000, "0.70"), (80_000, "0.80"), (100_000, "0.85")], "page_A"),
    ("zhanjiang", 2023, "serious_illness", "main", "employee", "ceiling", ("payout", 700_000), "page_A"),
    ("zhanjiang", 2022, "basic", "inpatient", "resident", "deductible", 500, "page_C"),
    ("zhanjiang", 2022, "basic", "inpatient", "resident", "bands", [(0, "0.50")], "page_C"),
    ("zhuhai", 2021, "serious_illness", "cost_40_60", "employee", "ceiling", ("eligible", 600_000), "page_C"),
    ("zhuhai", 2021, "serious_illness", "own_pay", "resident", "deductible", 10_000, "page_C"),
    ("zhuhai", 2021, "inclusive", "ultra_high", "resident", "ceiling", ("eligible", 1_000_000), "page_B"),
    ("zhuhai", 2021, "inclusive", "personal_burden", "resident", "deductible", 30_000, "page_B"),
    ("zhuhai", 2021, "inclusive", "special_drugs", "resident", "bands", [(0, "0.90")], "page_B"),
    ("zhuhai", 2023, "inclusive", "personal_burden", "resident", "deductible", 30_000, "assumed"),
    ("wenzhou", 2018, "serious_illness", "main", "resident", "deductible", 32_600, "page_A"),
    ("wenzhou", 2018, "serious_illness", "main", "resident", "bands", [(0, "0.60"), (163_000, "0.70")], "page_A"),
    ("wenzhou", 2018, "serious_illness", "main", "resident", "ceiling", ("eligible", 326_000), "page_A"),
    ("wenzhou", 2019, "serious_illness", "main", "employee", "ceiling", ("eligible", 352_500), "page_A"),
    ("wenzhou", 2020, "serious_illness", "main", "resident", "ceiling", ("eligible", 352_500), "page_C"),
    ("wenzhou", 2024, "serious_illness", "main", "resident", "deductible", 25_700, "page_C"),
    ("wenzhou", 2023, "basic", "inpatient", "resident", "deductible", 700, "page_B"),
    ("zaozhuang", 2024, "serious_illness", "main", "resident", "bands", BANDS_SHANDONG, "page_C"),
    ("zaozhuang", 2023, "inclusive", "in_catalogue", "resident", "deductible", 15_000, "seed"),
    ("zaozhuang", 2025, "inclusive", "in_catalogue", "resident", "deductible", 8_000, "seed"),
    ("weihai", 2023, "serious_illness", "main", "resident", "bands", BANDS_SHANDONG, "page_C"),
    ("weihai", 2023, "serious_illness", "main", "resident", "ceiling", ("payout", 400_000), "page_C"),
    ("weihai", 2023, "serious_illness", "main", "employee", "ceiling", ("payout", 500_000), "page_C"),
    ("weihai", 2023, "inclusive", "in_catalogue", "resident", "deductible", 16_000, "page_A"),
    ("weihai", 2024, "inclusive", "in_catalogue", "resident", "deductible", 6_000, "page_A"),
    ("weihai", 2024, "inclusive", "special_drugs", "resident", "bands", [(0, "0.70")], "page_A"),
    ("nanning", 2023, "inclusive", "in_catalogue", "resident", "deductible", 10_000, "page_C"),
    ("nanning", 2022, "inclusive", "out_of_catalogue", "resident", "deductible", 18_000, "page_C"),
    ("nanning", 2024, "inclusive", "out_of_catalogue", "resident", "deductible", 12_000, "page_B"),
    ("nanning", 2025, "serious_illness", "main", "resident", "ceiling", ("payout", 500_000), "page_C"),
    ("mianyang", 2022, "inclusive", "in_catalogue", "resident", "advance_share", "0.50", "page_C"),
    ("mianyang", 2023, "inclusive", "out_of_catalogue", "resident", "bands", [(0, "0.40")], "page_C"),
    ("zhanjiang", 2009, "serious_illness", "main", "resident", "deductible", 15_000, "page_C"),
    ("zhanjiang", 2012, "serious_illness", "main", "resident", "ceiling", ("payout", 80_000), "page_C"),
    ("zhanjiang", 2010, "serious_illness", "main", "resident", "bands", "missing", "page_C"),
    ("zhuhai", 2019, "inclusive", "ultra_high", "resident", "deductible", "missing", "page_B"),
    ("zhuhai", 2020, "inclusive", "personal_burden", "resident", "ceiling", ("eligible", 300_000), "page_B"),
    ("zhuhai", 2021, "inclusive", "ultra_high", "resident", "waiting_days", 60, "page_B"),
    ("zhuhai", 2023, "inclusive", "personal_burden", "resident", "waiting_days", 60, "assumed"),
    ("zhuhai", 2025, "inclusive", "special_drugs", "resident", "waiting_days", 60, "page_B"),
    ("wenzhou", 2015, "serious_illness", "main", "resident", "bands", "missing", "seed"),
    ("zaozhuang", 2014, "serious_illness", "main", "resident", "deductible", 10_000, "page_B"),
    ("zaozhuang", 2015, "serious_illness", "main", "resident", "bands",
     [(0, "0.50"), (100_000, "0.60"), (200_000, "0.65")], "page_B"),
    ("zaozhuang", 2015, "serious_illness", "main", "resident", "ceiling", ("payout", 300_000), "page_B"),
    ("weihai", 2014, "serious_illness", "main", "resident", "deductible", 12_000, "page_B"),
    ("weihai", 2015, "serious_illness", "main", "resident", "ceiling", ("payout", 300_000), "page_B"),
    ("chongzuo", 2021, "other", "medical_leg", "resident", "deductible", 5_000, "page_B"),
    ("chongzuo", 2021, "other", "medical_leg", "resident", "bands", [(0, "0.70")], "page_B"),
    ("lecheng", 2020, "inclusive", "hainan", "resident", "ceiling", ("payout", 1_000_000), "page_A"),
    ("lecheng", 2020, "inclusive", "national", "resident", "waiting_days", 90, "page_C"),
    ("lecheng", 2025, "inclusive", "special_drugs", "resident", "deductible", 0, "seed"),
    ("lecheng", 2025, "inclusive", "special_drugs_b", "resident", "ceiling", ("payout", 2_000_000), "seed"),
    ("lecheng", 2025, "inclusive", "inpatient_b", "resident", "ceiling", ("payout", 1_000_000), "seed"),
    ("china", 2012, "serious_illness", "main", "resident", "bands", [(0, "0.50")], "page_B"),
    ("china", 2019, "serious_illness", "main", "resident", "bands", [(0, "0.60")], "page_A"),
    ("china", 2021, "serious_illness", "main", "resident", "deductible", "missing", "known"),
    ("guangxi", 2014, "serious_illness", "main", "resident", "bands", [(0, "0.53")], "page_A"),
    ("shandong", 2025, "serious_illness", "main", "resident", "bands", BANDS_SHANDONG, "page_C"),
]  # fmt: skip


@pytest.mark.parametrize("headline", HEADLINES, ids=lambda h: "-".join(str(x) for x in h[:6]))
def test_headline_values_are_those_of_the_rule_text(
    headline: tuple[str, int, str, str, str, str, Any, str],
) -> None:
    city, year, tier, liability, insurance_type, field, value, source_class = headline
    plan = shipped(city, year)
    rule = row(plan, tier, liability, insurance_type)
    got = getattr(rule, field)
    if isinstance(got, tuple):
        got, value = [(b.over, b.rate) for b in got], [(over, Decimal(rate)) for over, rate in value]
    elif isinstance(got, Ceiling):
        got = (got.on, got.amount)
    elif isinstance(got, Decimal):
        value = Decimal(value)
    assert got == value
    assert plan.source_class(rule, field) == source_class


PREMIUMS = [
    ("zhuhai", 2021, [190]),
    ("zhuhai", 2025, [190]),
    ("zhuhai", 2019, [190]),
    ("zaozhuang", 2023, ["missing"]),
    ("zaozhuang", 2024, [10, 139, 49, 69, 99]),
    ("zaozhuang", 2025, [10, 159, 69, 99]),
    ("weihai", 2024, [39, 150, 39, 89, 139]),
    ("weihai", 2025, [150, 39, 89, 139]),
    ("nanning", 2023, [79]),
    ("nanning", 2024, [166, 169, 79]),
    ("mianyang", 2022, [89]),
    ("mianyang", 2025, [89, 129]),
    ("lecheng", 2020, [29, 39, 59, 99, 159]),
    ("lecheng", 2021, [29, "missing"]),
    ("lecheng", 2025, [49, 99]),
]


@pytest.mark.parametrize(("city", "year", "yuan"), PREMIUMS)
def test_premiums_are_those_of_the_notices(city: str, year: int, yuan: list[int | str]) -> None:
    assert [p.yuan for p in shipped(city, year).premium] == yuan


# What a person pays, typed from the notices: product, age, groups, years of enrolment.
PERSONS: list[tuple[str, int, str, int | None, tuple[str, ...], int | None, int | None]] = [
    ("zaozhuang", 2024, "zhb", 18, (), None, 49),
    ("zaozhuang", 2024, "zhb", 19, (), None, 69),
    ("zaozhuang", 2024, "zhb", 50, (), None, 69),
    ("zaozhuang", 2024, "zhb", 51, (), None, 99),
    ("zaozhuang", 2024, "zhb", 18, ("pre_existing",), None, 139),
    ("zaozhuang", 2024, "zhb", 70, ("low_income", "pre_existing"), None, 10),
    ("zaozhuang", 2025, "zhb", 50, (), None, 69),
    ("zaozhuang", 2025, "zhb", 51, ("pre_existing",), None, 159),
    ("zaozhuang", 2023, "zhb", 30, (), None, None),
    ("weihai", 2024, "wnb", 22, (), None, 39),
    ("weihai", 2024, "wnb", 23, (), None, 89),
    ("weihai", 2024, "wnb", 59, (), None, 89),
    ("weihai", 2024, "wnb", 60, (), None, 139),
    ("weihai", 2024, "wnb", 60, ("monitored",), None, 39),
    ("weihai", 2025, "wnb", 10, ("pre_existing",), None, 150),
    ("nanning", 2024, "hyb_premium", None, (), None, 169),
    ("nanning", 2024, "hyb_premium", None, (), 2, 166),
    ("nanning", 2024, "hyb", None, (), 2, 79),
    ("mianyang", 2025, "hmb_plus", 5, (), None, 129),
    ("zhuhai", 2020, "dawj", 80, ("low_income",), 3, 190),
    ("lecheng", 2020, "national", 30, (), None, 39),
    ("lecheng", 2020, "national", 31, (), None, 59),
    ("lecheng", 2020, "national", 60, (), None, 159),
    ("lecheng", 2020, "national", 61, (), None, None),
    ("lecheng", 2020, "hainan", 90, (), None, 29),
    ("lecheng", 2025, "b", 40, (), None, 99),
]


@pytest.mark.parametrize("person", PERSONS, ids=lambda p: "-".join(str(x) for x in p[:6]))
def test_a_person_pays_the_premium_of_the_notice(
    person: tuple[str, int, str, int | None, tuple[str, ...], int | None, int | None],
) -> None:
    city, year, product, age, groups, years, yuan = person
    assert premium_of(shipped(city, year), product, age, groups, years) == yuan
