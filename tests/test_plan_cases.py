"""Worked cases of the rule texts (tests/cases/plans.toml) against `pay` and against the claims query."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from analytics import reference
from analytics.plans import Plan, build_plan, claims_sql, filled, pay, plan_for

CASES = reference.load_toml(Path(__file__).parent / "cases" / "plans.toml")


def plan_of(name: str) -> Plan:
    kind, _, inline = name.partition(":")
    if kind == "inline":
        return build_plan(CASES["inline"][inline], name)
    city, year = name.split("/")
    plan = plan_for(city, int(year))
    assert plan is not None, f"data/plans has no {name}"
    return plan


def name_of(case: dict[str, Any]) -> str:
    keys = ("plan", "tier", "liability", "insurance_type", "amount")
    return "-".join([*(str(case[k]) for k in keys if k in case), *case.get("for", ())])


@pytest.mark.parametrize("case", CASES["case"], ids=name_of)
def test_case(case: dict[str, Any]) -> None:
    options = {k: case[k] for k in ("hospital_level", "cross_region") if k in case}
    result = pay(
        plan_of(case["plan"]),
        case["tier"],
        int(Decimal(str(case["amount"])) * 100),
        case.get("for", ()),
        case.get("liability"),
        case.get("insurance_type"),
        **options,
    )
    assert Decimal(result["paid_fen"]) / 100 == Decimal(case["paid"]), case["rule"]
    assert result["paid_fen"] + result["own_fen"] == int(Decimal(str(case["amount"])) * 100)
    # the steps are the whole amount, and their payments, rounded once half up, are the payment before the ceiling
    assert sum(step["base_fen"] for step in result["steps"]) * 100 == Decimal(str(case["amount"])) * 10_000
    assert (sum(step["paid_fen_bp"] for step in result["steps"]) + 5_000) // 10_000 == result["due_fen"]


@pytest.mark.parametrize("case", CASES["stack"], ids=name_of)
def test_stack(case: dict[str, Any]) -> None:
    parts = {
        k: int(case.get(k, 0) * 100) for k in ("in_policy", "advance", "out_of_catalogue", "special_drug")
    }
    person = f"""SELECT 'p' AS person_id, 1::BIGINT AS seq, '{case.get("insurance_type", "resident")}' AS insurance_type,
        '{case.get("person_group", "general")}' AS person_group, {case.get("is_pre_existing", False)} AS is_pre_existing,
        {case.get("is_retired", False)} AS is_retired, {case.get("product", "'x'")} AS product,
        '{case.get("hospital_level", "3")}' AS hospital_level, '{case.get("care_type", "inpatient")}' AS care_type,
        '{case.get("cross_region", "local")}' AS cross_region, {", ".join(f"{v} AS {k}_fen" for k, v in parts.items())}"""
    held = ()
    plan = plan_of(case["plan"])
    relation = duckdb.connect().sql(claims_sql(plan, filled(plan, f"({person})", held)))
    row = dict(zip(relation.columns, relation.fetchall()[0], strict=True))
    expected = {f"{k}_paid_fen": int(Decimal(v) * 100) for k, v in case["paid"].items()}
    assert {k: row[k] for k in expected} == expected, case["rule"]
    assert row["own_fen"] == int(Decimal(case["own"]) * 100)
