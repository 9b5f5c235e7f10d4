"""The claims query against an independent calculation, and what must hold whatever the rules are."""

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracles import plan_oracle
from plan_worlds import PARTS, Claim, alike, ask, plans, random_claims, run, without, year_sums

from analytics.plans import Plan, PlanHoles, build_plan, claims_sql, may_pay

PLAN_FILES = sorted((Path(__file__).parents[1] / "data" / "plans").glob("*/*.toml"))
# an example is a whole plan run on a hundred claims: an eighth of the usual number
QUICK = settings(
    max_examples=settings().max_examples // 8, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def assert_as_oracle(plan: Plan, content: dict[str, Any], claims: list[Claim]) -> None:
    got = run(plan, claims)
    assert_sound(content, claims, got)
    by_person: dict[str, list[int]] = {}
    for at, claim in enumerate(claims):
        by_person.setdefault(claim["person_id"], []).append(at)
    for person, places in by_person.items():
        expected = plan_oracle.year(content, [claims[at] for at in places])
        for at, truth in zip(places, expected, strict=True):
            row, sums = got[at], {}
            for rule, paid in zip(content["tier"], truth["paid"], strict=True):
                for name in (
                    f"{rule['id']}_paid_fen",
                    f"{rule['id']}__{rule.get('liability', 'main')}_paid_fen",
                ):
                    sums[name] = sums.get(name, 0) + int(paid * 100)
            sums["own_fen"] = int(sum(truth["left"].values()) * 100)
            assert {name: row[name] for name in sums} == sums, (person, row)


def assert_sound(content: dict[str, Any], claims: list[Claim], got: list[dict[str, Any]]) -> None:
    """Money is conserved and nothing is paid that is not owed, claim by claim, tier by tier."""
    tiers = list(dict.fromkeys(rule["id"] for rule in content["tier"]))
    for claim, row in zip(claims, got, strict=True):
        assert all(row[name] == value for name, value in claim.items())
        owed = sum(claim[part] for part in PARTS)
        for tier in tiers:
            assert 0 <= row[f"{tier}_paid_fen"] <= owed
            owed -= row[f"{tier}_paid_fen"]
        assert row["own_fen"] == owed


@QUICK
@given(content=plans(), seed=st.integers(0, 10_000))
def test_any_plan_pays_as_the_oracle(content: dict[str, Any], seed: int) -> None:
    claims = random_claims(seed, 25, content, scale=20_000_000)
    assert_as_oracle(build_plan(content), content, claims)


@pytest.mark.parametrize("path", PLAN_FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_shipped_plan_pays_as_the_oracle(path: Path) -> None:
    content = plan_oracle.read(path)
    plan = build_plan(content)
    if plan.holes():
        pytest.skip("has missing values")
    claims = random_claims(int(path.stem), 120, content, scale=150_000_000)
    assert_as_oracle(plan, content, claims)


@QUICK
@given(content=plans(), seed=st.integers(0, 10_000))
def test_order_of_claims_does_not_change_the_year(content: dict[str, Any], seed: int) -> None:
    content = alike(content, events_in_first_tier=True)
    claims = random_claims(seed, 25, content, scale=20_000_000)
    dice = random.Random(seed)
    turned = [
        claim | {"seq": place}
        for claim, place in zip(claims, dice.sample(range(999), len(claims)), strict=True)
    ]
    plan = build_plan(content)
    assert year_sums(plan, claims) == year_sums(plan, turned)


@QUICK
@given(content=plans(), seed=st.integers(0, 10_000))
def test_cutting_claims_does_not_change_the_year(content: dict[str, Any], seed: int) -> None:
    content = alike(content)
    claims = random_claims(seed, 25, content, scale=20_000_000)
    dice = random.Random(seed)
    pieces = []
    for claim in claims:
        rest = {part: claim[part] for part in PARTS}
        for number in range(3):
            piece = {part: owed if number == 2 else dice.randint(0, owed) for part, owed in rest.items()}
            rest = {part: rest[part] - piece[part] for part in PARTS}
            pieces.append(claim | piece | {"seq": 3 * claim["seq"] + number})
    plan = build_plan(content)
    assert year_sums(plan, claims) == year_sums(plan, pieces)


@QUICK
@given(content=plans(), seed=st.integers(0, 10_000), data=st.data())
def test_a_better_rule_never_leaves_a_person_more(
    content: dict[str, Any], seed: int, data: st.DataObject
) -> None:
    """Holds where nothing is shared: else paying more early can leave a later liability its deductible, or take its
    ceiling, where another tier would have paid."""
    content = alike(content)
    rows = [without(row, "shared_deductible", "shared_ceiling") for row in content["tier"]]
    at = data.draw(st.integers(0, len(rows) - 1))
    better, change = dict(rows[at]), data.draw(st.sampled_from(["deductible", "rate", "ceiling"]))
    if change == "deductible":
        better["deductible"] //= 2
    elif change == "rate":
        band = data.draw(st.integers(0, len(better["bands"]) - 1))
        higher = dict(better["bands"][band])
        higher["rate"] = min(higher["rate"] + Decimal("0.05"), Decimal(1))
        better["bands"] = [higher if i == band else b for i, b in enumerate(better["bands"])]
    elif better["ceiling"] != "none":
        better["ceiling"] = better["ceiling"] | {"amount": better["ceiling"]["amount"] * 2}
    claims = random_claims(seed, 25, content | {"tier": rows}, scale=20_000_000)
    before = year_sums(build_plan(content | {"tier": rows}), claims)
    after = year_sums(build_plan(content | {"tier": [*rows[:at], better, *rows[at + 1 :]]}), claims)
    assert all(after[person]["own_fen"] <= before[person]["own_fen"] for person in before)


@settings(QUICK, max_examples=QUICK.max_examples // 2)
@given(content=plans(), seed=st.integers(0, 10_000), data=st.data())
def test_a_plan_paid_in_parts_pays_the_same(content: dict[str, Any], seed: int, data: st.DataObject) -> None:
    """Also where the second part is asked for some persons only; the early test leaves out only who is not paid."""
    plan = build_plan(content)
    claims = random_claims(seed, 25, content, scale=20_000_000)
    at = data.draw(st.integers(1, len(plan.tier)))
    whole = run(plan, claims)
    sums = ", ".join(
        f"sum({part})::BIGINT AS {part}" for part in ("_in", "_adv", "_out", "_drug", "in_policy_fen")
    )
    who = "person_id, insurance_type, person_group, is_pre_existing, is_retired, product"
    some = "(SELECT * FROM head WHERE person_id < 'p2')"
    head, rest, rest_of_some, years = ask(
        {
            "head": claims_sql(plan, last=at, keep_state=True),
            "rest": claims_sql(plan, "head", first=at),
            "rest_of_some": claims_sql(plan, some, first=at),
            "years": f'SELECT 0 AS "at", person_id, {may_pay(plan, at)} AS may '
            f"FROM (SELECT {who}, {sums} FROM head GROUP BY {who})",
        },
        claims,
    )
    assert rest == whole
    assert rest_of_some == [row for row in whole if row["person_id"] < "p2"]
    may = {row["person_id"]: row["may"] for row in years}
    names = {f"{r.id}__{r.liability}_paid_fen" for r in plan.tier[at:]}
    for row, before in zip(whole, head, strict=True):
        assert may[row["person_id"]] or all(row[name] == before.get(name, 0) for name in names)


def one_row(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "inclusive",
        "insurance_type": "all",
        "base": "in_policy_own",
        "scope": ["inpatient"],
        "per": "year",
        "deductible": 100,
        "bands": [{"over": 0, "rate": Decimal("0.5")}],
        "ceiling": "none",
        "source": "s",
    }
    return row | changes


def plan_of(*rows: dict[str, Any]) -> Plan:
    sources = {"s": {"title": "made up", "class": "assumed"}}
    return build_plan({"city": "440800", "plan_year": 2023, "sources": sources, "tier": list(rows)})


def claim(seq: int, in_policy: int, advance: int = 0, out: int = 0, drug: int = 0, **changes: Any) -> Claim:
    """Amounts in yuan."""
    usual = {
        "person_id": "p", "seq": seq, "insurance_type": "resident", "person_group": "general",
        "is_pre_existing": False, "is_retired": False, "product": None, "hospital_level": "3",
        "care_type": "inpatient", "cross_region": "local",
    }  # fmt: skip
    amounts = dict(zip(PARTS, (100 * x for x in (in_policy, advance, out, drug)), strict=True))
    return usual | amounts | changes


def paid(plan: Plan, name: str, *claims: Claim) -> list[float]:
    return [row[f"{name}_paid_fen"] / 100 for row in run(plan, claims)]


def test_two_settlements_use_up_the_deductible_once() -> None:
    assert paid(plan_of(one_row()), "inclusive", claim(1, 80), claim(2, 60), claim(3, 10)) == [0, 20, 5]


def test_a_row_per_event_takes_the_deductible_every_time_and_its_ceiling_once() -> None:
    row = one_row(per="event", ceiling={"on": "payout", "amount": 120})
    assert paid(plan_of(row), "inclusive", claim(1, 300), claim(2, 80), claim(3, 200)) == [100, 0, 20]


def test_shared_deductible_used_up_by_the_other_liability() -> None:
    inside = one_row(liability="inside", shared_deductible="both")
    outside = one_row(liability="outside", shared_deductible="both", base="out_of_catalogue")
    plan = plan_of(inside, outside)
    # 70 inside leave 30 of the deductible for 90 outside: half of 60; the later 50 inside find 70 used up
    assert paid(plan, "inclusive__outside", claim(1, 70, out=90)) == [30]
    assert paid(plan, "inclusive__outside", claim(1, 150, out=90)) == [45]
    # inside comes first over the whole year, in whatever order the claims come
    assert sum(paid(plan, "inclusive__outside", claim(1, 0, out=90), claim(2, 70))) == 30
    assert sum(paid(plan, "inclusive__inside", claim(1, 0, out=90), claim(2, 150))) == 25


def test_half_a_fen_is_rounded_up_once_on_the_year() -> None:
    half = one_row(deductible=0)
    # three claims of one fen: 1.5 fen are due in the year; each rounded by itself would make 3
    ones = [claim(seq, 0, in_policy_fen=1) for seq in (1, 2, 3)]
    assert paid(plan_of(half), "inclusive", *ones) == [0.01, 0, 0.01]
    # 33.75 + 0.5 = 34.25 fen; each band rounded by itself would make 34 + 1
    bands = [{"over": 0, "rate": Decimal("0.3375")}, {"over": 1, "rate": Decimal("0.5")}]
    assert paid(plan_of(half | {"bands": bands}), "inclusive", claim(1, 0, in_policy_fen=101)) == [0.34]


def test_who_is_not_covered_is_paid_nothing() -> None:
    resident = plan_of(one_row(insurance_type="resident", deductible=0))
    assert paid(
        resident, "inclusive", claim(1, 100), claim(2, 100, person_id="q", insurance_type="employee")
    ) == [50, 0]
    voluntary = plan_of(one_row(voluntary=True, deductible=0))
    assert paid(voluntary, "inclusive", claim(1, 100), claim(2, 100, person_id="q", product="x")) == [0, 50]
    poor = plan_of(one_row(deductible=0, **{"for": ["low_income"]}))
    assert paid(
        poor, "inclusive", claim(1, 100), claim(2, 100, person_id="q", person_group="low_income")
    ) == [0, 50]


def test_rows_per_event_may_differ_by_hospital_and_place() -> None:
    variants = [
        {"hospital_level": ["1", "2"], "deductible": 20},
        {"cross_region": ["out_province"], "rate_plus": Decimal("-0.1")},
    ]
    plan = plan_of(one_row(per="event", variants=variants))
    away = {"cross_region": "out_province"}
    four = [claim(1, 200), claim(2, 200, hospital_level="2"), claim(3, 200, **away)]
    assert paid(plan, "inclusive", *four, claim(4, 200, hospital_level="1", **away)) == [50, 90, 40, 72]


def test_a_payment_on_gross_cost_stops_at_what_is_owed() -> None:
    first = one_row(id="basic", deductible=0, bands=[{"over": 0, "rate": Decimal("0.9")}])
    second = one_row(id="statutory_supplement", base="in_policy_cost", deductible=0)
    # 1,000 cost, 900 paid by basic: half the gross cost would be 500, but 100 is owed
    assert paid(plan_of(first, second), "statutory_supplement", claim(1, 1_000)) == [100]


def test_a_payment_per_event_on_gross_cost_stops_at_what_the_settlement_owes() -> None:
    first = one_row(id="basic", per="event", deductible=100, bands=[{"over": 0, "rate": Decimal("0.9")}])
    second = one_row(id="statutory_supplement", per="event", base="in_policy_cost", deductible=0)
    # 1,000: basic 810, half of the gross cost would be 500, but 190 is owed; 100: nothing from basic, half of it
    assert paid(plan_of(first, second), "statutory_supplement", claim(1, 1_000), claim(2, 100)) == [190, 50]


def test_new_bands_drop_an_earlier_shift_and_a_new_shift_replaces_it() -> None:
    variants = [
        {"for": ["low_income", "destitute", "monitored"], "rate_plus": Decimal("0.1")},
        {"for": ["destitute"], "bands": [{"over": 0, "rate": Decimal("0.8")}]},
        {"for": ["monitored"], "rate_plus": Decimal("0.2")},
    ]
    plan = plan_of(one_row(deductible=0, variants=variants))
    groups = ("general", "low_income", "destitute", "monitored")
    claims = [claim(1, 100, person_id=group, person_group=group) for group in groups]
    assert paid(plan, "inclusive", *claims) == [50, 60, 80, 70]


def test_advance_self_pay_is_paid_after_in_policy_cost_of_the_year() -> None:
    first = one_row(deductible=60, advance_share=Decimal("0.5"), bands=[{"over": 0, "rate": Decimal("0.7")}])
    second = one_row(id="charity", deductible=0, bands=[{"over": 0, "rate": Decimal(1)}])
    plan = plan_of(first, second)
    # base 100 + half of 100; (150 - 60) x 70 % = 63, all of it off the 100: charity finds 37, the advance stays
    for claims in (
        [claim(1, 100), claim(2, 0, 100)],
        [claim(1, 0, 100), claim(2, 100)],
        [claim(1, 100, 100)],
    ):
        assert sum(paid(plan, "inclusive", *claims)) == 63
        assert sum(paid(plan, "charity", *claims)) == 37


def test_a_plan_with_holes_is_not_simulated() -> None:
    plan = plan_of(one_row(ceiling="missing"))
    with pytest.raises(PlanHoles, match=r"inclusive/main: ceiling"):
        claims_sql(plan)


# The benefit stack of a small invented example: eight persons, each layer alone. Expected own burdens were computed
# outside the project with exact fractions from the rules as stated: basic 70 % above 1,000, at most 100,000;
# serious illness 60 % above 20,000, 70 % above 70,000, low income half the threshold and five points more; assistance
# for low income 70 %, at most 30,000; city supplement for the enrolled 75 % in and 50 % out of catalogue above 20,000
# each. person: low income, enrolled, bill, out of catalogue, advance self-pay; own burden after B, C, A, H alone.
STACK = {
    "P1": ((0, 1, 800, 0, 0), (800, 800, 800, 800)),
    "P2": ((0, 0, 11_000, 1_000, 0), (4_700, 11_000, 11_000, 11_000)),
    "P3": ((0, 0, 90_000, 8_000, 2_000), (34_700, 53_000, 90_000, 90_000)),
    "P4": ((0, 1, 200_000, 30_000, 10_000), (100_000, 107_000, 200_000, 90_000)),
    "P5": ((1, 0, 90_000, 8_000, 2_000), (34_700, 43_500, 60_000, 90_000)),
    "P6": ((1, 1, 400_000, 60_000, 20_000), (300_000, 173_500, 370_000, 155_000)),
    "P7": ((0, 1, 600_000, 150_000, 30_000), (500_000, 325_000, 600_000, 235_000)),
    "P8": ((0, 0, 21_000, 0, 0), (7_000, 20_400, 21_000, 21_000)),
}


def _flat(rate: str) -> list[dict[str, Any]]:
    return [{"over": 0, "rate": Decimal(rate)}]


STACK_ROWS = {
    "B": [one_row(id="basic", base="in_policy_cost", deductible=1_000, bands=_flat("0.70"),
                  ceiling={"on": "payout", "amount": 100_000})],
    "C": [one_row(id="serious_illness", deductible=20_000,
                  bands=[*_flat("0.60"), {"over": 70_000, "rate": Decimal("0.70")}],
                  variants=[{"for": ["low_income"], "deductible": 10_000, "rate_plus": Decimal("0.05")}])],
    "A": [one_row(id="medical_assistance", deductible=0, bands=_flat("0.70"), **{"for": ["low_income"]},
                  ceiling={"on": "payout", "amount": 30_000})],
    "H": [one_row(liability="inside", voluntary=True, deductible=20_000, bands=_flat("0.75")),
          one_row(liability="outside", voluntary=True, deductible=20_000, bands=_flat("0.50"), base="out_of_catalogue")],
}  # fmt: skip


@pytest.mark.parametrize("layer", "BCAH")
def test_each_layer_of_the_small_stack_alone(layer: str) -> None:
    claims, expected = [], {}
    for name, ((poor, enrolled, bill, out, advance), own) in STACK.items():
        group, product = "low_income" if poor else "general", "x" if enrolled else None
        claims.append(
            claim(1, bill - out - advance, advance, out, person_id=name, person_group=group, product=product)
        )
        expected[name] = own["BCAH".index(layer)] * 100
    sums = year_sums(plan_of(*STACK_ROWS[layer]), claims)
    assert {name: values["own_fen"] for name, values in sums.items()} == expected
