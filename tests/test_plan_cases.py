"""Worked cases of the rule texts (tests/cases/plans*.toml) against `pay`, the claims query and the oracle."""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from oracles import plan_oracle

from analytics import reference
from analytics.plans import Plan, build_plan, claims_sql, folder_of_plans, pay, plan_for

CASES: dict[str, list[dict[str, Any]]] = {"case": [], "stack": []}
INLINE: dict[str, Any] = {}
for _path in sorted((Path(__file__).parent / "cases").glob("plans*.toml")):
    _content = reference.load_toml(_path)
    INLINE |= _content.get("inline", {})
    for _kind, _cases in CASES.items():
        _cases += _content.get(_kind, [])

# What a claim is unless the case says otherwise: a local resident in a level-three hospital, in the first year of cover.
CLAIM: dict[str, Any] = {
    "insurance_type": "resident", "person_group": "general", "is_pre_existing": False, "is_retired": False,
    "product": None, "hospital_level": "3", "care_type": "inpatient", "cross_region": "local", "claim_date": None,
    "cover_start": None, "product_years": None, "insured_years": None, "zero_claim_years": None, "capacity": None,
}  # fmt: skip
TYPES = {
    **{k: polars.Boolean if isinstance(v, bool) else polars.String for k, v in CLAIM.items()},
    **dict.fromkeys(("claim_date", "cover_start"), polars.Date),
    **dict.fromkeys(("product_years", "insured_years", "zero_claim_years"), polars.Int32),
    "person_id": polars.String, "seq": polars.Int64,
}  # fmt: skip
PARTS = ("in_policy", "advance", "out_of_catalogue", "special_drug")
PART_OF = {"in_policy_cost": "in_policy", "in_policy_own": "in_policy", "total_own": "in_policy"}
CONNECTION = duckdb.connect(config={"threads": 1})
OF_PERSON = ("low_income", "destitute", "near_low_income", "monitored")


@cache
def content_of(name: str) -> dict[str, Any]:
    """The plan file as it was written."""
    kind, _, inline = name.partition(":")
    return INLINE[inline] if kind == "inline" else plan_oracle.read(folder_of_plans() / f"{name}.toml")


@cache
def plan_of(name: str) -> Plan:
    if name.startswith("inline:"):
        return build_plan(content_of(name), name)
    city, year = name.split("/")
    plan = plan_for(city, int(year))
    assert plan is not None, f"data/plans has no {name}"
    return plan


def fen(yuan: Any) -> int:
    return int(Decimal(str(yuan)) * 100)


def claim(case: dict[str, Any], plan: Plan, seq: int = 1, **parts: Any) -> dict[str, Any]:
    """One claim: what the case says of it, the rest as usual; its parts in yuan."""
    holds = {"product": plan.product[0].code if plan.product else "x"}
    said = {k: v for k, v in case.items() if k in CLAIM}
    return {"person_id": "p", "seq": seq, **CLAIM, **holds, **said} | {
        f"{k}_fen": fen(parts.get(k, 0)) for k in PARTS
    }


def query(plan: Plan, claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    types = TYPES | {f"{k}_fen": polars.Int64 for k in PARTS}
    frame = polars.DataFrame(claims, schema={k: types[k] for k in claims[0]})
    CONNECTION.register("claims", frame)
    return list(CONNECTION.sql(claims_sql(plan)).pl().sort("seq").to_dicts())


def name_of(case: dict[str, Any]) -> str:
    keys = ("plan", "tier", "liability", "insurance_type", "amount")
    return "-".join([*(str(case[k]) for k in keys if k in case), *case.get("for", ())])


@pytest.mark.parametrize("case", CASES["case"], ids=name_of)
def test_case(case: dict[str, Any]) -> None:
    options = {k: case[k] for k in ("hospital_level", "cross_region") if k in case}
    plan, amount, groups = plan_of(case["plan"]), fen(case["amount"]), case.get("for", ())
    result = pay(
        plan,
        case["tier"],
        amount,
        groups,
        case.get("liability"),
        case.get("insurance_type"),
        **options,
    )
    assert Decimal(result["paid_fen"]) / 100 == Decimal(case["paid"]), case["rule"]
    assert result["paid_fen"] + result["own_fen"] == amount
    # the steps are the whole amount, and their payments, rounded once half up, are the payment before the ceiling
    assert sum(step["base_fen"] for step in result["steps"]) == amount
    assert (sum(step["paid_fen_bp"] for step in result["steps"]) + 5_000) // 10_000 == result["due_fen"]

    # the row alone, by the claims query and by the oracle
    key = (result["tier"], result["liability"], result["insurance_type"])
    (rule,) = (r for r in plan.tier if (r.id, r.liability, r.insurance_type) == key)
    content = content_of(case["plan"])
    rows = [r for r in content["tier"] if (r["id"], r.get("liability", "main"), r["insurance_type"]) == key]
    person = {
        "person_group": next((g for g in groups if g in OF_PERSON), "general"),
        "is_pre_existing": "pre_existing" in groups,
        "is_retired": "retired" in groups,
        "care_type": rule.scope[0],
        **case,
    }
    one = claim(person, plan, **{PART_OF.get(rule.base, rule.base): case["amount"]})
    (paid,) = query(plan.model_copy(update={"tier": (rule,)}), [one])
    assert fen(case["paid"]) == paid[f"{rule.id}_paid_fen"], "claims query"
    (by_oracle,) = plan_oracle.year(content | {"tier": rows}, [one])
    assert by_oracle["paid"] == [Decimal(case["paid"])], "oracle"


@pytest.mark.parametrize("case", CASES["stack"], ids=name_of)
def test_stack(case: dict[str, Any]) -> None:
    """Claims of one person's year through the whole plan; `claims` where there are several, each with its own parts."""
    plan = plan_of(case["plan"])
    said = [{**case, **single} for single in case.get("claims", [{}])]
    claims = [claim(c, plan, seq, **{k: c[k] for k in PARTS if k in c}) for seq, c in enumerate(said, 1)]
    rows = query(plan, claims)
    got = {tier: sum(row[f"{tier}_paid_fen"] for row in rows) for tier in case["paid"]}
    assert got == {tier: fen(yuan) for tier, yuan in case["paid"].items()}, case["rule"]
    assert sum(row["own_fen"] for row in rows) == fen(case["own"])
    content = content_of(case["plan"])
    of_year = plan_oracle.year(content, claims)
    for tier, yuan in case["paid"].items():
        here = [i for i, row in enumerate(content["tier"]) if row["id"] == tier]
        assert sum(c["paid"][i] for c in of_year for i in here) == Decimal(yuan), f"oracle: {tier}"


def test_cases_name_plans_that_are_shipped() -> None:
    assert len(CASES["case"]) > 150
    for case in (*CASES["case"], *CASES["stack"]):
        assert plan_of(case["plan"]).order, case["plan"]
