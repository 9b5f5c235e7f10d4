"""What a plan says of itself, and one amount through one liability."""

from decimal import Decimal
from typing import Any

import pytest

from analytics.plans import build_plan, pay


def row_of(**changes: Any) -> dict[str, Any]:
    row = {
        "id": "inclusive", "insurance_type": "all", "base": "in_policy_own", "scope": ["inpatient"], "per": "year",
        "deductible": 100, "bands": [{"over": 0, "rate": 0.5}], "ceiling": "none", "source": "page",
    }  # fmt: skip
    return row | changes


def built(*rows: dict[str, Any]) -> Any:
    sources = {
        "page": {"title": "a page", "class": "page_A"},
        "guess": {"title": "a guess", "class": "assumed"},
    }
    clause = {"clause": {"zh": "x", "en": "x"}, "why": {"zh": "x", "en": "x"}, "source": "guess"}
    content = {
        "city": "440800",
        "plan_year": 2023,
        "sources": sources,
        "tier": rows,
        "not_modelled": [clause],
        "product": [{"code": code, "name": {"zh": code, "en": code}} for code in ("a", "b")],
    }
    return build_plan(content)


def test_order_holes_and_sources() -> None:
    plan = built(
        row_of(id="basic", insurance_type="resident", bands="missing"),
        row_of(id="basic", insurance_type="employee", source_of={"ceiling": "guess"}),
        row_of(id="inclusive", variants=[{"for": ["destitute"], "ceiling": "missing"}]),
        row_of(id="medical_assistance", source="guess"),
    )
    assert plan.order == ("basic", "inclusive", "medical_assistance")
    assert plan.holes() == [
        "basic/main (resident): bands",
        "inclusive/main: variants[1] (destitute): ceiling",
    ]
    assert plan.holes("employee") == plan.holes()[1:]
    employee = plan.tier[1]
    assert plan.source_class(employee, "ceiling") == "assumed"
    assert plan.source_class(employee, "bands") == "page_A"
    with pytest.raises(KeyError, match="price"):
        plan.source_class(employee, "price")
    assumed = {(rule.label, field) for rule, field, _ in plan.assumed()}
    assert ("basic/main (employee)", "ceiling") in assumed
    assert ("medical_assistance/main", "deductible") in assumed


@pytest.mark.parametrize(
    "options, text",
    [
        ({"tier_id": "charity"}, "has no tier 'charity'; it has inclusive"),
        ({"liability": "c"}, "has no liability 'c'; it has a, b"),
        ({}, "several liabilities, name one: a, b"),
        ({"liability": "a", "groups": ["poor"]}, "no such group: poor"),
        ({"liability": "a", "groups": ["low_income", "destitute"]}, "name one"),
        ({"liability": "a", "insurance_type": "resident"}, "not for insurance type 'resident'"),
        ({"liability": "b"}, "deductible missing"),
    ],
)
def test_pay_says_what_it_cannot_do(options: dict[str, Any], text: str) -> None:
    plan = built(
        row_of(liability="a", insurance_type="employee"), row_of(liability="b", deductible="missing")
    )
    with pytest.raises(ValueError, match=text):
        pay(plan, **({"tier_id": "inclusive", "amount_fen": 100} | options))


def test_pay_shows_every_piece_of_the_amount() -> None:
    bands = [{"over": 0, "rate": 0.5}, {"over": 200, "rate": 0.75}]
    row = row_of(bands=bands, ceiling={"on": "eligible", "amount": 300})
    poor = row_of(id="medical_assistance", **{"for": ["low_income"]})
    plan = built(row, poor)
    result = pay(plan, "inclusive", 40_001)
    shown = [(s["over_fen"], s["up_to_fen"], s["rate_bp"], s["base_fen"]) for s in result["steps"]]
    assert shown == [
        (0, 10_000, 0, 10_000),
        (10_000, 20_000, 5_000, 10_000),
        (20_000, 30_000, 7_500, 10_000),
        (30_000, None, 0, 10_001),
    ]
    assert (result["paid_fen"], result["own_fen"], result["source"]["title"]) == (12_500, 27_501, "a page")
    nobody = pay(plan, "medical_assistance", 40_000)
    assert (nobody["eligible"], nobody["paid_fen"]) == (False, 0)
    assert pay(plan, "medical_assistance", 40_000, ["low_income"])["paid_fen"] == 15_000


def test_who_is_retired_is_insured_as_an_employee() -> None:
    """300 less 100: residents half, employees three quarters of 200; whoever says otherwise is heard."""
    plan = built(
        row_of(insurance_type="resident"),
        row_of(insurance_type="employee", bands=[{"over": 0, "rate": 0.75}]),
    )
    for groups, kind, fen in (
        ([], None, 10_000), (["employee"], None, 15_000), (["retired"], None, 15_000), (["retired"], "resident", 10_000)
    ):  # fmt: skip
        assert pay(plan, "inclusive", 30_000, groups, insurance_type=kind)["paid_fen"] == fen


def test_pay_rests_every_step_on_its_clause() -> None:
    variants = [
        {"for": ["retired"], "deductible": 50, "source": "guess", "note": "half"},
        {"years_at_least": 5, "rate_plus": Decimal("0.02")},
        {"for": ["retired"], "ceiling": {"on": "eligible", "amount": 400}, "note": "cut"},
    ]
    ceiling = {"on": "eligible", "amount": 300}
    plan = built(
        row_of(ceiling=ceiling, variants=variants, note="of the row", source_of={"ceiling": "guess"}),
        row_of(id="charity", **{"for": ["monitored"]}, source_of={"for": "guess"}),
    )
    said = {
        "row": pay(plan, "inclusive", 50_000),
        "old": pay(plan, "inclusive", 50_000, ["retired"], years=5),
    }
    clauses = {
        who: [
            (c["field"], c["title"], c["class"], c["note"], c["for"])
            for c in (s["clause"] for s in result["steps"])
        ]
        for who, result in said.items()
    }
    assert clauses == {
        "row": [
            ("deductible", "a page", "page_A", "of the row", None),
            ("bands", "a page", "page_A", "of the row", None),
            ("ceiling", "a guess", "assumed", "of the row", None),
        ],
        "old": [
            ("deductible", "a guess", "assumed", "half", "retired"),
            ("bands", "a page", "page_A", None, "years>=5"),
            ("ceiling", "a page", "page_A", "cut", "retired"),
        ],
    }
    # (400 - 50) x 52 %
    assert said["old"]["paid_fen"] == 18_200
    refused = pay(plan, "charity", 50_000)
    assert [(s["clause"]["field"], s["clause"]["title"]) for s in refused["steps"]] == [("for", "a guess")]


def test_pay_knows_years_capacity_exclusion_and_products() -> None:
    loyalty = {"over_years": 4, "per_year": 10, "at_most": 25}
    variants = [{"capacity": ["1"], "deductible": 0}]
    plan = built(
        row_of(
            id="serious_illness",
            ceiling={"on": "payout", "amount": 100},
            loyalty=loyalty,
            variants=variants,
            not_for=["pre_existing"],
        ),
        row_of(voluntary=True, product=["a"]),
        row_of(voluntary=True, product=["b"], bands=[{"over": 0, "rate": 0.75}]),
    )

    def paid(tier: str, yuan: int, **options: Any) -> float:
        return pay(plan, tier, yuan * 100, **options)["paid_fen"] / 100

    assert [paid("serious_illness", 900, years=years) for years in (None, 4, 5, 6, 7)] == [
        100,
        100,
        110,
        120,
        125,
    ]
    assert pay(plan, "serious_illness", 90_000, years=5)["ceiling_fen"] == 11_000
    assert [paid("serious_illness", 150, capacity=fifth) for fifth in (None, "1", "2")] == [25, 75, 25]
    assert paid("serious_illness", 900, groups=["pre_existing"]) == 0
    assert [paid("inclusive", 300, product=code) for code in ("a", "b")] == [100, 150]
    for options, text in (
        ({}, "inclusive/main differs by product, name one: a, b"),
        ({"product": "c"}, "no such product: c; products are a, b"),
        ({"product": "a", "years": 0}, "the first year of cover is year 1"),
        ({"product": "a", "capacity": "9"}, "no such capacity: 9"),
    ):
        with pytest.raises(ValueError, match=text):
            paid("inclusive", 300, **options)
